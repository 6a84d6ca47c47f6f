// Bytes, and the few things we do with them. Everything off the wire is read
// through Reader, which never reads past the end and never returns an integer
// that a JavaScript number could not hold exactly.

/** A view on plain (not shared) memory, which is what WebCrypto and sockets take. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** The first integer that a JavaScript number may not tell from its neighbour. */
export const MAX_INTEGER = 2 ** 53;

const utf8 = /* @__PURE__ */ new TextEncoder();

/** The UTF-8 bytes of a string. */
export function utf8Bytes(text: string): Bytes {
  return utf8.encode(text) as Bytes;
}

/** How many bytes a string has in UTF-8, without encoding the plainly short ones. */
export function exceedsBytes(text: string, limit: number): boolean {
  return text.length > limit || (text.length * 3 > limit && utf8.encode(text).length > limit);
}

export function concat(...parts: Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function isZero(b: Uint8Array): boolean {
  return b.every((v) => v === 0);
}

const HEX = /* @__PURE__ */ Array.from({ length: 256 }, (_, v) => (v < 16 ? "0" : "") + v.toString(16));

/** Lower-case hexadecimal digits. */
export function toHex(b: Uint8Array): string {
  let text = "";
  for (let i = 0; i < b.length; i++) text += HEX[b[i]];
  return text;
}

/** Reads what toHex writes; undefined for anything else. */
export function fromHex(text: string): Bytes | undefined {
  if (text.length % 2 !== 0 || /[^0-9a-f]/.test(text)) return undefined;
  const b = new Uint8Array(text.length / 2);
  for (let i = 0; i < b.length; i++) b[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return b;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** By character code; there is no digit beyond 127. */
const DIGITS = /* @__PURE__ */ Int8Array.from({ length: 128 }, (_, code) => ALPHABET.indexOf(String.fromCharCode(code)));

/** base64url without padding (RFC 4648 section 5). */
export function toBase64Url(b: Uint8Array): string {
  let text = "";
  for (let i = 0; i < b.length; i += 3) {
    const left = b.length - i;
    const v = (b[i] << 16) | ((b[i + 1] ?? 0) << 8) | (b[i + 2] ?? 0);
    text += ALPHABET[v >> 18] + ALPHABET[(v >> 12) & 63];
    if (left > 1) text += ALPHABET[(v >> 6) & 63];
    if (left > 2) text += ALPHABET[v & 63];
  }
  return text;
}

/** Reads what toBase64Url writes; undefined for anything else, spare bits that are set included. */
export function fromBase64Url(text: string): Bytes | undefined {
  const spare = text.length % 4;
  if (spare === 1) return undefined;
  const b = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let value = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = DIGITS[text.charCodeAt(i)] ?? -1;
    if (digit < 0) return undefined;
    value = ((value << 6) | digit) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      b[at++] = value >> bits;
    }
  }
  return (value & ((1 << bits) - 1)) === 0 ? b : undefined;
}

/** Reads big-endian fields; after the first failure it reads zeros and keeps the failure. */
export class Reader {
  failure = "";
  private at = 0;

  constructor(private readonly bytes: Bytes) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  fail(reason: string): void {
    this.failure ||= reason;
  }

  /** A view, not a copy. */
  take(n: number): Bytes {
    if (this.left < n) this.fail("it ends too early");
    if (this.failure) return new Uint8Array(n);
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  u8(): number {
    return this.take(1)[0];
  }

  u16(): number {
    return this.integer(2);
  }

  u32(): number {
    return this.integer(4);
  }

  /** Refuses 2^53 and more. */
  u64(name: string): number {
    const v = this.integer(8);
    if (v < MAX_INTEGER) return v;
    this.fail(`its ${name} is 2^53 or more`);
    return 0;
  }

  /** A length byte and that many bytes, one character each; the caller checks the alphabet. */
  name(): string {
    let text = "";
    for (const v of this.take(this.u8())) text += String.fromCharCode(v);
    return text;
  }

  /** The first failure, or that bytes are left over, or "". */
  finish(): string {
    if (this.left > 0) this.fail(`${this.left} bytes follow its end`);
    return this.failure;
  }

  /** Exact below 2^53. */
  private integer(length: number): number {
    let v = 0;
    for (const byte of this.take(length)) v = v * 256 + byte;
    return v;
  }
}

/** Writes big-endian fields into a buffer that grows. */
export class Writer {
  private buffer: Bytes;
  private length = 0;

  /** capacity: how many bytes are to be expected. */
  constructor(capacity = 64) {
    this.buffer = new Uint8Array(capacity);
  }

  u8(v: number): this {
    this.room(1)[this.length++] = v;
    return this;
  }

  u16(v: number): this {
    return this.u8(v >>> 8).u8(v & 0xff);
  }

  u32(v: number): this {
    return this.u16(Math.floor(v / 0x10000)).u16(v & 0xffff);
  }

  u64(v: number): this {
    return this.u32(Math.floor(v / 2 ** 32)).u32(v % 2 ** 32);
  }

  raw(b: Uint8Array): this {
    this.room(b.length).set(b, this.length);
    this.length += b.length;
    return this;
  }

  /** A length byte and the text's bytes. */
  name(text: string): this {
    const b = utf8Bytes(text);
    return this.u8(b.length).raw(b);
  }

  /** What was written; the writer is not to be used any more. */
  bytes(): Bytes {
    return this.buffer.subarray(0, this.length);
  }

  private room(n: number): Uint8Array {
    if (this.length + n > this.buffer.length) {
      const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + n));
      larger.set(this.buffer.subarray(0, this.length));
      this.buffer = larger;
    }
    return this.buffer;
  }
}
