// SHA-256 and Ed25519, native where the browser offers them and audited
// JavaScript where it does not: WebCrypto exists only in secure contexts, so a
// phone that opens http://192.168.1.5:8080 has none, and Ed25519 came late
// (Chrome 137, Firefox 129, Safari 17). What a browser can do is found out by
// trying with a known answer, not by reading its name.

import * as noble from "@noble/ed25519";
import { sha256 as nobleSha256, sha512 as nobleSha512 } from "@noble/hashes/sha2.js";
import { fromHex, type Bytes } from "./bytes";

/** Below this many bytes the way to WebCrypto and back costs more than hashing. */
const NATIVE_FROM_BYTES = 4096;

// RFC 8032 section 7.1, test 2.
const KNOWN = {
  key: fromHex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")!,
  message: fromHex("72")!,
  signature: fromHex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  )!,
};

function subtle(): SubtleCrypto | undefined {
  return globalThis.crypto?.subtle;
}

/** SHA-256 at once, in JavaScript: for short inputs such as the nodes of a tree. */
export function sha256Now(data: Uint8Array): Bytes {
  return nobleSha256(data) as Bytes;
}

/** SHA-256, off the main thread where that is possible. */
export async function sha256(data: Bytes): Promise<Bytes> {
  const native = data.length >= NATIVE_FROM_BYTES ? subtle() : undefined;
  if (native) {
    try {
      return new Uint8Array(await native.digest("SHA-256", data));
    } catch {
      // fall through: some embedders expose subtle and then refuse it
    }
  }
  return sha256Now(data);
}

export type Ed25519Provider = "native" | "javascript";

let provider: Promise<Ed25519Provider> | undefined;

/** Which implementation verifies signatures here; found out once. */
export function ed25519Provider(): Promise<Ed25519Provider> {
  provider ??= tryNative().then((works) => (works ? "native" : "javascript"));
  return provider;
}

async function tryNative(): Promise<boolean> {
  try {
    const wrong = KNOWN.message.map((b) => b ^ 1);
    return (
      (await verifyNative(KNOWN.key, KNOWN.message, KNOWN.signature)) &&
      !(await verifyNative(KNOWN.key, wrong, KNOWN.signature))
    );
  } catch {
    return false;
  }
}

async function verifyNative(publicKey: Bytes, message: Bytes, signature: Bytes): Promise<boolean> {
  const native = subtle();
  if (!native) throw new Error("WebCrypto is missing");
  const key = await native.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
  return native.verify({ name: "Ed25519" }, key, signature, message);
}

/** In JavaScript, under RFC 8032's rules as Go applies them (not the laxer ZIP 215). */
export function verifyJavaScript(publicKey: Bytes, message: Bytes, signature: Bytes): boolean {
  noble.hashes.sha512 = nobleSha512;
  try {
    return noble.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false; // a key that is no point on the curve, for example
  }
}

/** Whether signature is publicKey's for message. Never throws. */
export async function verifyEd25519(publicKey: Bytes, message: Bytes, signature: Bytes): Promise<boolean> {
  if ((await ed25519Provider()) === "native") {
    try {
      return await verifyNative(publicKey, message, signature);
    } catch {
      return false; // importKey refuses what is no key
    }
  }
  return verifyJavaScript(publicKey, message, signature);
}
