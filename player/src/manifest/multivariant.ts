// What a viewer needs of a multivariant playlist. It is not signed: the channel
// id in it is only a claim, to be compared with the id that the page was given
// or, on first use, trusted and pinned.

import { exceedsBytes } from "../bytes";
import { ManifestError } from "./errors";
import { MAX_PLAYLIST_BYTES, MAX_URI } from "./playlist";
import { attribute, parseInteger } from "./values";

export const MAX_VARIANTS = 128;

export interface Variant {
  uri: string;
  /** NAME, or the folder that holds the media playlist. */
  rendition: string;
  /** Peak bits/s. */
  bandwidth: number;
  /** PATHWAY-ID: the CDN that the URI leads to; "" if it has no name. */
  pathway: string;
  /** All of its EXT-X-STREAM-INF, as it stands there. */
  attributes: string;
}

export interface Multivariant {
  /** Its id as text; undefined if it names none. */
  channel?: string;
  /** ws(s) URL or absolute path; "": no peer-to-peer. */
  tracker: string;
  /** URL or absolute path that issues join tokens; "": no peer-to-peer. */
  token: string;
  variants: Variant[];
  /** Content Steering (RFC 8216bis, section 4.4.6.6): where the steering manifest is, and the pathway to begin with; "" if there is none. */
  steering: string;
  pathway: string;
}

export function isMultivariant(text: string): boolean {
  return text.includes("\n#EXT-X-STREAM-INF:");
}

/** Throws code "malformed-playlist". */
export function readMultivariant(text: string): Multivariant {
  let line = 1;
  const bad = (reason: string) =>
    new ManifestError("malformed-playlist", `the multivariant playlist, line ${line}`, reason);
  if (exceedsBytes(text, MAX_PLAYLIST_BYTES)) throw bad(`it has more than ${MAX_PLAYLIST_BYTES} bytes`);
  const list: Multivariant = { tracker: "", token: "", variants: [], steering: "", pathway: "" };
  let next: Variant | undefined;
  for (const raw of text.split("\n")) {
    const content = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line === 1 && content !== "#EXTM3U") throw bad("it does not begin with #EXTM3U");
    const colon = content.indexOf(":");
    const tag = colon < 0 ? content : content.slice(0, colon);
    const value = colon < 0 ? "" : content.slice(colon + 1);
    if (tag === "#EXT-X-SESSION-DATA") {
      if (!sessionData(list, value)) throw bad("a hash or channel id is 43 characters of base64url without padding");
    } else if (tag === "#EXT-X-CONTENT-STEERING") {
      list.steering = attribute(value, "SERVER-URI") ?? "";
      list.pathway = attribute(value, "PATHWAY-ID") ?? "";
    } else if (tag === "#EXT-X-STREAM-INF") {
      const bandwidth = parseInteger(attribute(value, "BANDWIDTH") ?? "");
      if (bandwidth === undefined || next || list.variants.length === MAX_VARIANTS || !resolutionOk(value)) {
        throw bad(`EXT-X-STREAM-INF is not understood, or there are more than ${MAX_VARIANTS}`);
      }
      const rendition = attribute(value, "NAME") ?? "";
      next = { uri: "", bandwidth, attributes: value, rendition, pathway: attribute(value, "PATHWAY-ID") ?? "" };
    } else if (next && content !== "" && !content.startsWith("#")) {
      if (exceedsBytes(content, MAX_URI)) throw bad(`a URI has more than ${MAX_URI} bytes`);
      list.variants.push({ ...next, uri: content, rendition: next.rendition || folderOf(content) });
      next = undefined;
    }
    line++;
  }
  line = 1;
  if (list.variants.length === 0) throw bad("it offers no rendition");
  return list;
}

function sessionData(list: Multivariant, attributes: string): boolean {
  const value = attribute(attributes, "VALUE") ?? "";
  switch (attribute(attributes, "DATA-ID")) {
    case "slipstream.channel":
      list.channel = value;
      return isHash(value);
    case "slipstream.tracker":
      list.tracker = value;
      break;
    case "slipstream.token":
      list.token = value;
  }
  return true;
}

/** Whether text is 32 bytes in base64url, in their one spelling. The page need not read it for more. */
export function isHash(text: string): boolean {
  return /^[\w-]{42}[AEIMQUYcgkosw048]$/.test(text);
}

function resolutionOk(attributes: string): boolean {
  const resolution = attribute(attributes, "RESOLUTION");
  if (resolution === undefined) return true;
  const x = resolution.indexOf("x");
  const width = parseInteger(x < 0 ? resolution : resolution.slice(0, x));
  const height = parseInteger(x < 0 ? "" : resolution.slice(x + 1));
  return width !== undefined && height !== undefined && width <= 1 << 16 && height <= 1 << 16;
}

/** "360p" for "…/360p/index.m3u8?…". */
export function folderOf(uri: string): string {
  const parts = uri.split("?", 1)[0].split("/");
  return parts.length < 2 ? "" : parts[parts.length - 2];
}
