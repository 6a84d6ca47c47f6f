// Playlists as hls.js gets them: written anew from what was verified. Whatever
// else a playlist says (keys, byte ranges, date ranges, definitions) never gets
// there; of what is not signed only addresses are left, and bytes from there are
// verified before they are played.

import { attribute } from "./manifest/values";
import { ManifestError, type Part, type Playlist, type Segment, type SignedRecord, type Variant, type Verified } from "./manifest";

/** The origin's grid: the media time of a gap is in no record. */
const SEGMENT_MS = 2000;
/** Attributes of EXT-X-STREAM-INF that say which rendition suits a device and a network, beside BANDWIDTH and NAME. */
const HINTS = ["AVERAGE-BANDWIDTH", "CODECS", "RESOLUTION", "FRAME-RATE"];
const HARMLESS = /^[\w., :-]+$/;

/** The absolute address that a playlist means, if there is one with such a protocol. */
export function address(uri: string, base: string, protocols = ["http:", "https:"]): URL | undefined {
  const url = URL.canParse(uri, base) ? new URL(uri, base) : undefined;
  return url && protocols.includes(url.protocol) ? url : undefined;
}

/** One segment number of a verified playlist. */
export interface Listed {
  segment: Segment;
  /** Undefined for a gap. */
  verified?: Verified;
  startMs: number;
  durationMs: number;
  /** Absolute, also the init section's; "" for a gap. */
  url: string;
  mapUrl: string;
}

/** Brings together a playlist and what of it was verified. Gaps last from one record's end to the next one's start. */
export function listed(playlist: Playlist, verified: Verified[], base: string): Listed[] {
  const known = new Map(verified.map((v) => [v.segment.number, v]));
  const list = playlist.segments.map((segment): Listed => {
    const v = known.get(segment.number);
    const { startMs, durationMs } = v?.record ?? { startMs: segment.number * SEGMENT_MS, durationMs: SEGMENT_MS };
    if (!v) return { segment, startMs, durationMs, url: "", mapUrl: "" };
    return { segment, verified: v, startMs, durationMs, ...resolved(segment, base) };
  });
  for (let i = 1, gaps = 0; i < list.length; i++) {
    if (!list[i].verified) gaps++;
    else if (gaps > 0) {
      spread(list.slice(Math.max(0, i - gaps - 1), i + 1));
      gaps = 0;
    }
  }
  return list;
}

/** One part of a verified playlist. */
export interface ListedPart extends Part {
  record: SignedRecord;
  /** Absolute, both. */
  url: string;
  mapUrl: string;
}

export function listedPart(part: Part, base: string): ListedPart {
  return { ...part, record: part.record!, ...resolved(part, base) };
}

function resolved({ number, uri, mapUri }: { number: number; uri: string; mapUri: string }, base: string) {
  const absolute = (uri: string) => {
    const url = address(uri, base);
    if (!url) throw new ManifestError("malformed-playlist", `segment ${number}`, "its address is none of HTTP");
    return url.href;
  };
  return { url: absolute(uri), mapUrl: mapUri && absolute(mapUri) };
}

/** No part lasts longer; 0 if there are none. */
export function partTargetMs(parts: ListedPart[]): number {
  return Math.max(0, ...parts.map((p) => p.durationMs));
}

/** Shares the time between the first and the last entry among the gaps between them, as the origin does. */
function spread(run: Listed[]): void {
  const [before, after] = [run[0], run[run.length - 1]];
  if (!before.verified) return; // the window begins with a gap
  const beginMs = before.startMs + before.durationMs;
  const gaps = run.slice(1, -1);
  const at = (k: number) => beginMs + Math.trunc(((after.startMs - beginMs) * k) / gaps.length);
  gaps.forEach((gap, k) => {
    gap.startMs = at(k);
    gap.durationMs = Math.min(Math.max(at(k + 1) - at(k), 0), SEGMENT_MS + 499);
  });
}

/** No segment, rounded, lasts longer. */
export function targetDurationMs(list: Listed[]): number {
  return Math.max(SEGMENT_MS, ...list.map((e) => Math.round(e.durationMs / 1000) * 1000));
}

/** How many parts behind the newest a player is to stay: as many as it needs, and a little for neighbours to bring them. */
const HOLD_BACK_PARTS = 3.6;

/** A media playlist that lists this and nothing else. Reloads wait in the feed for what is about to come. */
export function mediaPlaylist(playlist: Playlist, list: Listed[], parts: ListedPart[]): string {
  const lines = [
    "#EXTM3U",
    "#EXT-X-VERSION:6",
    `#EXT-X-TARGETDURATION:${targetDurationMs(list) / 1000}`,
    `#EXT-X-MEDIA-SEQUENCE:${playlist.mediaSequence}`,
    `#EXT-X-DISCONTINUITY-SEQUENCE:${playlist.discontinuitySequence}`,
    "#EXT-X-INDEPENDENT-SEGMENTS",
  ];
  const targetMs = partTargetMs(parts);
  if (targetMs > 0) {
    lines.push(`#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=${seconds(targetMs * HOLD_BACK_PARTS)}`);
    lines.push(`#EXT-X-PART-INF:PART-TARGET=${seconds(targetMs)}`);
  }
  let map = "";
  /** A segment begins, which has these parts. */
  const begin = (discontinuity: boolean, mapUrl: string, gap: boolean, startMs: number, own: ListedPart[]) => {
    if (discontinuity) lines.push("#EXT-X-DISCONTINUITY");
    if (mapUrl && mapUrl !== map) lines.push(`#EXT-X-MAP:URI="${mapUrl}"`);
    map = mapUrl || map;
    if (gap) lines.push("#EXT-X-GAP");
    lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(startMs).toISOString()}`);
    for (const p of own) {
      lines.push(`#EXT-X-PART:DURATION=${seconds(p.durationMs)},URI="${p.url}"${p.index === 0 ? ",INDEPENDENT=YES" : ""}`);
    }
  };
  for (const { segment, verified, startMs, durationMs, url, mapUrl } of list) {
    const own = parts.filter((p) => p.number === segment.number);
    begin(segment.discontinuity, mapUrl, !verified, startMs, own);
    lines.push(`#EXTINF:${seconds(durationMs)},`, url || "gap");
  }
  const after = list.at(-1)?.segment.number ?? Infinity;
  const open = parts.filter((p) => p.number > after);
  if (open[0]) begin(open[0].discontinuity, open[0].mapUrl, false, open[0].record.startMs, open);
  // Without a tag behind the last segment hls.js takes that one for the next. What comes is not asked for before its record is known.
  if (targetMs > 0) lines.push('#EXT-X-PRELOAD-HINT:TYPE=PART,URI="next"');
  if (playlist.endList) lines.push("#EXT-X-ENDLIST");
  return lines.join("\n") + "\n";
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

/** A multivariant playlist that offers these renditions, whose addresses are absolute, and nothing else. */
export function multivariantPlaylist(variants: Variant[]): string {
  const lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"];
  for (const v of variants) {
    const attributes = [`BANDWIDTH=${v.bandwidth}`];
    for (const name of HINTS) {
      const value = attribute(v.attributes, name) ?? "";
      if (HARMLESS.test(value)) attributes.push(`${name}=${name === "CODECS" ? `"${value}"` : value}`);
    }
    if (HARMLESS.test(v.rendition)) attributes.push(`NAME="${v.rendition}"`);
    lines.push(`#EXT-X-STREAM-INF:${attributes.join()}`, v.uri);
  }
  return lines.join("\n") + "\n";
}
