// Where the next segment will be, from where a playlist says that its last segments
// are; the twin of NextURI in origin/manifest/next.go.

import { exceedsBytes } from "../bytes";
import { MAX_URI, type Part, type Segment } from "./playlist";

/** How many URIs of a playlist have to agree on what URIs look like, if it has as many. */
const PATTERN_URIS = 8;

/**
 * The URI of segment number: every listed URI must be the same but for the segment's number, which it contains in one
 * place. Undefined where that is not so, or where there are fewer than two segments to go by.
 */
export function nextUri(listed: readonly Segment[], number: number): string | undefined {
  const last = listed.filter((s) => !s.gap).map((s): Named => [s.uri, s.number]);
  return last.length < 2 ? undefined : bounded(last, [number]);
}

/** The same for a part: its URI contains the segment's number, and somewhere behind it its own. Those listed must be of two segments. */
export function nextPartUri(listed: readonly Part[], number: number, index: number): string | undefined {
  const last = listed.slice(-PATTERN_URIS);
  if (last[0]?.number === last.at(-1)?.number) return undefined;
  return bounded(last.map((p) => [p.uri, p.number, p.index]), [number, index]);
}

/** A URI, or the end of one, and the numbers in it, in order. */
type Named = [uri: string, ...numbers: number[]];

function bounded(list: Named[], numbers: number[]): string | undefined {
  const uri = follow(list.slice(-PATTERN_URIS).reverse(), numbers);
  return uri === undefined || exceedsBytes(uri, MAX_URI) ? undefined : uri;
}

/** Puts other numbers in the place of those that the URIs differ by. */
function follow(list: Named[], [number, ...others]: number[]): string | undefined {
  const [first, digits] = list[0];
  if (number === undefined) return list.every(([uri]) => uri === first) ? first : undefined;
  for (let at = first.indexOf(`${digits}`); at >= 0; at = first.indexOf(`${digits}`, at + 1)) {
    const before = first.slice(0, at);
    if (!list.every(([uri, n]) => uri.startsWith(before + n))) continue;
    const end = follow(list.map(([uri, n, ...rest]) => [uri.slice(at + `${n}`.length), ...rest]), others);
    if (end !== undefined) return before + number + end;
  }
  return undefined;
}
