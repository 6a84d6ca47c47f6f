// A minimal reader of media playlists for viewers: tags that it does not know
// are skipped, and what it cannot read exactly is refused. Nothing that it
// returns is to be believed before a Verifier has accepted it.

import { exceedsBytes, fromBase64Url, MAX_INTEGER } from "../bytes";
import { parseDelegation, type Delegation } from "./delegation";
import { ManifestError } from "./errors";
import { parseRecord, type SignedRecord } from "./record";
import { attribute, parseDateMs, parseInteger, parseSecondsMs } from "./values";

export const MAX_PLAYLIST_BYTES = 1 << 20;
export const MAX_SEGMENTS = 4096;
export const MAX_DELEGATIONS = 8;
/** Bounds each URI in a playlist, in bytes. */
export const MAX_URI = 2048;

const TAG_DELEGATION = "#EXT-X-SLIPSTREAM-DELEGATION";
/** Records by their tags: where they wait for what they belong to, and what they are called. */
const RECORDS: { [tag: string]: ["initRecord" | "record" | "partRecord", string] | undefined } = {
  "#EXT-X-SLIPSTREAM-INIT": ["initRecord", "the init record"],
  "#EXT-X-SLIPSTREAM-RECORD": ["record", "the record"],
  "#EXT-X-SLIPSTREAM-PART": ["partRecord", "the record of a part"],
};
/** Bounds the parts of a segment. */
export const MAX_PARTS = 64;

export interface Segment {
  /** The playlist's media sequence plus the entry's index. */
  number: number;
  uri: string;
  durationMs: number;
  /** EXT-X-PROGRAM-DATE-TIME if the entry has one, otherwise 0. */
  pdtMs: number;
  /** EXT-X-GAP: there is nothing at the URI. */
  gap: boolean;
  discontinuity: boolean;
  /** The EXT-X-MAP in force, "" if none. */
  mapUri: string;
  initRecord?: SignedRecord;
  record?: SignedRecord;
}

/** An EXT-X-PART, with the number of the segment that it is a part of. */
export interface Part extends Segment {
  /** Within its segment, from 0. */
  index: number;
}

export interface Playlist {
  targetDurationMs: number;
  mediaSequence: number;
  /** Only a count of discontinuities; what cannot be read counts as none. */
  discontinuitySequence: number;
  delegations: Delegation[];
  segments: Segment[];
  /** In order; also those of the segment that is not complete yet. */
  parts: Part[];
  /** The server holds a request for what is about to come until it is there. */
  blocks: boolean;
  endList: boolean;
}

/** Throws "malformed-playlist", "malformed-record" or "malformed-delegation". */
export function readPlaylist(text: string): Playlist {
  if (exceedsBytes(text, MAX_PLAYLIST_BYTES)) {
    throw new ManifestError("malformed-playlist", "the playlist", `it has more than ${MAX_PLAYLIST_BYTES} bytes`);
  }
  const reader = new PlaylistReader();
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  for (const line of lines) reader.read(line.endsWith("\r") ? line.slice(0, -1) : line);
  return reader.finish();
}

/** Keeps the tags that wait for the URI line they belong to. */
class PlaylistReader {
  private readonly list: Playlist = {
    targetDurationMs: 0,
    mediaSequence: 0,
    discontinuitySequence: 0,
    delegations: [],
    segments: [],
    parts: [],
    blocks: false,
    endList: false,
  };
  private line = 0;
  private next = emptyEntry();
  private mapUri = "";
  private initRecord: SignedRecord | undefined;

  read(line: string): void {
    this.line++;
    if (this.line === 1) {
      if (line !== "#EXTM3U") throw this.refusal("it does not begin with #EXTM3U");
      return;
    }
    if (line === "") return;
    if (!line.startsWith("#")) return this.uri(line);
    const colon = line.indexOf(":");
    const tag = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1);
    if (tag === TAG_DELEGATION) this.delegation(value);
    else if (Object.hasOwn(RECORDS, tag)) this.record(...RECORDS[tag]!, value);
    else this.standard(tag, value);
  }

  finish(): Playlist {
    if (this.line === 0) throw this.refusal("it is empty");
    if (this.list.targetDurationMs === 0) throw this.refusal("it has no EXT-X-TARGETDURATION");
    return this.list;
  }

  private refusal(reason: string): ManifestError {
    const where = this.line > 0 ? `the playlist, line ${this.line}` : "the playlist";
    return new ManifestError("malformed-playlist", where, reason);
  }

  private standard(tag: string, value: string): void {
    const known = <T>(v: T | undefined): T => {
      if (v === undefined) throw this.refusal(`the value of ${tag.slice(1)} is not understood`);
      return v;
    };
    const within = (v: number | undefined, min: number, max: number) =>
      v !== undefined && v >= min && v <= max ? v : undefined;
    switch (tag) {
      case "#EXT-X-STREAM-INF":
        throw this.refusal("this is a multivariant playlist, not a media playlist");
      case "#EXT-X-TARGETDURATION":
        this.list.targetDurationMs = known(within(parseInteger(value), 1, 3600)) * 1000;
        break;
      case "#EXT-X-MEDIA-SEQUENCE":
        if (this.list.segments.length > 0) throw this.refusal("EXT-X-MEDIA-SEQUENCE comes after a segment");
        this.list.mediaSequence = known(within(parseInteger(value), 0, MAX_INTEGER - MAX_SEGMENTS - 1));
        break;
      case "#EXT-X-DISCONTINUITY-SEQUENCE":
        this.list.discontinuitySequence = parseInteger(value) ?? 0;
        break;
      case "#EXTINF":
        this.next.durationMs = known(parseSecondsMs(value.split(",", 1)[0]));
        break;
      case "#EXT-X-PROGRAM-DATE-TIME":
        this.next.pdtMs = known(parseDateMs(value));
        break;
      case "#EXT-X-MAP": {
        const uri = attribute(value, "URI");
        this.mapUri = known(uri && !exceedsBytes(uri, MAX_URI) ? uri : undefined);
        this.next.newMap = true;
        break;
      }
      case "#EXT-X-GAP":
        this.next.gap = true;
        break;
      case "#EXT-X-DISCONTINUITY":
        this.next.discontinuity = true;
        break;
      case "#EXT-X-PART":
        this.part(value);
        break;
      case "#EXT-X-SERVER-CONTROL":
        this.list.blocks = attribute(value, "CAN-BLOCK-RELOAD") === "YES";
        break;
      case "#EXT-X-ENDLIST":
        this.list.endList = true;
    }
  }

  private delegation(value: string): void {
    if (this.list.delegations.length === MAX_DELEGATIONS) {
      throw this.refusal(`it has more than ${MAX_DELEGATIONS} delegations`);
    }
    const where = `the delegation in line ${this.line}`;
    const bytes = fromBase64Url(value);
    if (!bytes) throw new ManifestError("malformed-delegation", where, "it is not base64url");
    this.list.delegations.push(relocate(where, () => parseDelegation(bytes)));
  }

  private record(slot: "initRecord" | "record" | "partRecord", what: string, value: string): void {
    const { next } = this;
    const where = `${what} of segment ${this.number}`;
    if (next[slot]) throw this.refusal(`${where} is there twice`);
    const bytes = fromBase64Url(value);
    if (!bytes) throw new ManifestError("malformed-record", where, "it is not base64url");
    next[slot] = relocate(where, () => parseRecord(bytes));
  }

  /** One that is a byte range of something else, or is missing, has no record and can not be used. */
  private part(value: string): void {
    const { next } = this;
    if (next.parts === MAX_PARTS) throw this.refusal(`a segment has more than ${MAX_PARTS} parts`);
    const uri = attribute(value, "URI");
    const durationMs = parseSecondsMs(attribute(value, "DURATION") ?? "");
    if (!uri || durationMs === undefined || exceedsBytes(uri, MAX_URI)) throw this.refusal("the value of EXT-X-PART is not understood");
    this.list.parts.push({ ...this.collected(uri, durationMs, next.partRecord), pdtMs: 0, index: next.parts++ });
    next.partRecord = undefined;
  }

  /** What the tags so far say of the entry being collected, or of a part of it. */
  private collected(uri: string, durationMs: number, record: SignedRecord | undefined): Segment {
    const { number, next, mapUri } = this;
    const { pdtMs, gap, discontinuity } = next;
    const initRecord = next.initRecord ?? (next.newMap ? undefined : this.initRecord); // a new map must bring its own
    return { number, uri, durationMs, pdtMs, gap, discontinuity, mapUri, initRecord, record };
  }

  /** The number of the entry being collected. */
  private get number(): number {
    return this.list.mediaSequence + this.list.segments.length;
  }

  /** Ends the entry that the tags before it describe. */
  private uri(line: string): void {
    const next = this.next;
    if (next.durationMs === undefined) throw this.refusal("a URI has no EXTINF before it");
    if (exceedsBytes(line, MAX_URI)) throw this.refusal(`a URI has more than ${MAX_URI} bytes`);
    if (this.list.segments.length === MAX_SEGMENTS) throw this.refusal(`it has more than ${MAX_SEGMENTS} segments`);
    const segment = this.collected(line, next.durationMs, next.record);
    this.initRecord = segment.initRecord;
    this.list.segments.push(segment);
    this.next = emptyEntry();
  }
}

interface Entry {
  durationMs?: number;
  pdtMs: number;
  gap: boolean;
  discontinuity: boolean;
  newMap: boolean;
  initRecord?: SignedRecord;
  record?: SignedRecord;
  /** For the next part, and how many there were. */
  partRecord?: SignedRecord;
  parts: number;
}

function emptyEntry(): Entry {
  return { pdtMs: 0, gap: false, discontinuity: false, newMap: false, parts: 0 };
}

/** Names the place in the playlist where bytes that could not be parsed were found. */
function relocate<T>(where: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ManifestError) throw new ManifestError(error.code, where, error.reason, error.leaf);
    throw error;
  }
}
