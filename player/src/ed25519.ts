// Ed25519 in JavaScript, for browsers that have none: a file of its own, so that the others
// need not load it.

import * as noble from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import type { Bytes } from "./bytes";

noble.hashes.sha512 = sha512;

/** Under RFC 8032's rules as Go applies them (not the laxer ZIP 215). */
export function verify(publicKey: Bytes, message: Bytes, signature: Bytes): boolean {
  try {
    return noble.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false; // a key that is no point on the curve, for example
  }
}
