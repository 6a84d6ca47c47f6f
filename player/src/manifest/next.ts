// Where the next segment will be, from where a playlist says that its last segments
// are; the twin of NextURI in origin/manifest/next.go.

import { exceedsBytes } from "../bytes";
import { MAX_URI, type Segment } from "./playlist";

/** How many segments of a playlist have to agree on what URIs look like, if it has as many. */
const PATTERN_SEGMENTS = 8;

/**
 * The URI of segment number: every listed URI must be the same but for the segment's number, which it contains in one
 * place. Undefined where that is not so, or where there are fewer than two segments to go by.
 */
export function nextUri(listed: readonly Segment[], number: number): string | undefined {
  const last = listed.filter((s) => !s.gap).slice(-PATTERN_SEGMENTS);
  const newest = last.at(-1);
  if (last.length < 2 || !newest) return undefined;
  const digits = String(newest.number);
  for (let at = newest.uri.indexOf(digits); at >= 0; at = newest.uri.indexOf(digits, at + 1)) {
    const before = newest.uri.slice(0, at);
    const after = newest.uri.slice(at + digits.length);
    if (!last.every((s) => s.uri === before + String(s.number) + after)) continue;
    const uri = before + String(number) + after;
    return exceedsBytes(uri, MAX_URI) ? undefined : uri;
  }
  return undefined;
}
