// SHA-256 and Ed25519, native where the browser offers them and audited
// JavaScript where it does not: WebCrypto exists only in secure contexts, so a
// phone that opens http://192.168.1.5:8080 has none, and Ed25519 came late
// (Chrome 137, Firefox 129, Safari 17). What a browser can do is found out by
// trying with a known answer, not by reading its name.

import { fromHex, toHex, type Bytes } from "./bytes";
import { sha256Now } from "./sha256";

export { sha256Now };

type Verify = (publicKey: Bytes, message: Bytes, signature: Bytes) => boolean;

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

/** SHA-256, off this thread where that is possible. */
export async function sha256(data: Bytes, nativeFrom = NATIVE_FROM_BYTES): Promise<Bytes> {
  const native = data.length >= nativeFrom ? subtle() : undefined;
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
  const id = toHex(publicKey);
  if (lastKey?.id !== id) {
    lastKey = { id, key: native.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]) };
  }
  return native.verify({ name: "Ed25519" }, await lastKey.key, signature, message);
}

/** One key signs all records of a day. */
let lastKey: { id: string; key: Promise<CryptoKey> } | undefined;

let load: (() => Promise<{ verify: Verify }>) | undefined;
let loaded: Promise<Verify> | undefined;

/** Says where the JavaScript implementation (ed25519.ts) comes from, should it be needed. */
export function javascriptFrom(source: () => Promise<{ verify: Verify }>): void {
  load = source;
}

async function inJavaScript(): Promise<Verify> {
  if (!load) throw new Error("There is nothing here to check signatures with.");
  loaded ??= load().then((module) => module.verify);
  try {
    return await loaded;
  } catch {
    loaded = undefined;
    throw new Error("The part of the player that checks signatures could not be loaded.");
  }
}

/** Whether signature is publicKey's for message. Throws only if it cannot be told. */
export async function verifyEd25519(publicKey: Bytes, message: Bytes, signature: Bytes): Promise<boolean> {
  if ((await ed25519Provider()) === "javascript") return (await inJavaScript())(publicKey, message, signature);
  try {
    return await verifyNative(publicKey, message, signature);
  } catch {
    return false; // importKey refuses what is no key
  }
}
