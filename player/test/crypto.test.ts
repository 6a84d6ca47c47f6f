import { afterEach, describe, expect, test, vi } from "vitest";
import { fromHex, toHex, type Bytes } from "../src/bytes";

// RFC 8032 section 7.1, tests 1 to 3, and FIPS 180-4's "abc".
const SIGNED = [
  {
    key: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature:
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    key: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature:
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    key: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature:
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
];

/** The module as a browser with this kind of WebCrypto sees it. */
async function load(webCrypto: unknown): Promise<typeof import("../src/crypto")> {
  vi.resetModules();
  vi.stubGlobal("crypto", webCrypto);
  const c = await import("../src/crypto");
  c.javascriptFrom(() => import("../src/ed25519"));
  return c;
}

const withoutEd25519 = {
  subtle: {
    digest: (name: string, data: Bytes) => realCrypto.subtle.digest(name, data),
    importKey: () => Promise.reject(new DOMException("Unrecognized name", "NotSupportedError")),
  },
};
const believesEverything = {
  subtle: { digest: () => Promise.reject(new Error("no")), importKey: async () => ({}), verify: async () => true },
};
const realCrypto = globalThis.crypto;

afterEach(() => void vi.unstubAllGlobals());

describe.each([
  ["WebCrypto", realCrypto, "native"],
  ["no secure context", undefined, "javascript"],
  ["a browser without Ed25519", withoutEd25519, "javascript"],
  ["a WebCrypto that says yes to everything", believesEverything, "javascript"],
] as const)("with %s", (_, webCrypto, provider) => {
  test("signatures are checked", async () => {
    const c = await load(webCrypto);
    expect(await c.ed25519Provider()).toBe(provider);
    for (const v of SIGNED) {
      const [key, message, signature] = [fromHex(v.key)!, fromHex(v.message)!, fromHex(v.signature)!];
      expect(await c.verifyEd25519(key, message, signature)).toBe(true);
      expect(await c.verifyEd25519(key, new Uint8Array([...message, 0]), signature)).toBe(false);
      const changed = signature.slice();
      changed[63] ^= 0x10;
      expect(await c.verifyEd25519(key, message, changed)).toBe(false);
      expect(await c.verifyEd25519(fromHex("ff".repeat(32))!, message, signature)).toBe(false);
      expect(await c.verifyEd25519(key.slice(1), message, signature)).toBe(false);
      expect(await c.verifyEd25519(key, message, signature.slice(1))).toBe(false);
    }
  });

  test("hashes are right, short and long", async () => {
    const c = await load(webCrypto);
    const abc = new TextEncoder().encode("abc");
    const expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(toHex(await c.sha256(abc))).toBe(expected);
    expect(toHex(c.sha256Now(abc))).toBe(expected);
    const million = new Uint8Array(1_000_000).fill(0x61);
    expect(toHex(await c.sha256(million))).toBe("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  });
});

test("both implementations refuse a signature whose scalar is too large", async () => {
  const c = await load(realCrypto);
  const v = SIGNED[1];
  const signature = fromHex(v.signature)!;
  // s + L verifies under lax rules: the same signature in another spelling.
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  let s = signature.slice(32).reduceRight((sum, b) => sum * 256n + BigInt(b), 0n) + order;
  for (let i = 32; i < 64; i++, s >>= 8n) signature[i] = Number(s & 255n);
  expect(await c.verifyEd25519(fromHex(v.key)!, fromHex(v.message)!, signature)).toBe(false);
  const { verify } = await import("../src/ed25519");
  expect(verify(fromHex(v.key)!, fromHex(v.message)!, signature)).toBe(false);
  expect(verify(fromHex(v.key)!, fromHex(v.message)!, fromHex(v.signature)!)).toBe(true);
});

test("what cannot be checked is an error, not a forgery, and is tried again", async () => {
  const c = await load(undefined);
  let offline = true;
  c.javascriptFrom(() => (offline ? Promise.reject(new TypeError("offline")) : import("../src/ed25519")));
  const [key, message, signature] = [SIGNED[1].key, SIGNED[1].message, SIGNED[1].signature].map((h) => fromHex(h)!);
  await expect(c.verifyEd25519(key, message, signature)).rejects.toThrow("could not be loaded");
  offline = false;
  expect(await c.verifyEd25519(key, message, signature)).toBe(true);
});

test("SHA-256 of every length up to three blocks is WebCrypto's", async () => {
  const c = await load(realCrypto);
  for (let length = 0; length <= 192; length++) {
    const data = Uint8Array.from({ length }, (_, i) => (i * 37 + length) & 255);
    const expected = new Uint8Array(await realCrypto.subtle.digest("SHA-256", data));
    expect(toHex(c.sha256Now(data)), `${length} bytes`).toBe(toHex(expected));
  }
});
