/**
 * The reasons for which something is refused. Shared with the Go package
 * origin/manifest through its test vectors: both languages give the same code
 * for the same input.
 */
export type Code =
  | "malformed-playlist"
  | "malformed-record"
  | "malformed-delegation"
  | "no-record"
  | "signature"
  | "delegation-signature"
  | "delegation-channel"
  | "delegation-expired"
  | "delegation-future"
  | "delegation-range"
  | "delegation-key"
  | "kind"
  | "rendition"
  | "sequence"
  | "timing"
  | "init"
  | "chain"
  | "not-next"
  | "replay"
  | "future"
  | "equivocation"
  | "size"
  | "root"
  | "leaf-list"
  | "leaf";

/** A refusal: message is one sentence, "culprit: reason". */
export class ManifestError extends Error {
  constructor(
    readonly code: Code,
    readonly where: string,
    readonly reason: string,
    /** Index of the culprit for code "leaf", otherwise -1. */
    readonly leaf = -1,
  ) {
    super(`${where}: ${reason}`);
  }
}
