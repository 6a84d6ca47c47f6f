// The language of two neighbours on their data channel: ten small binary
// messages, the twin of the Go package peer/wire. peer/PROTOCOL.md is the
// specification, peer/wire/testdata/vectors.json its examples. What decode
// accepts it would encode in exactly the same bytes.

import { exceedsBytes, toHex, Writer, type Bytes } from "./bytes";

/** The version of the protocol, carried in HELLO. */
export const WIRE_VERSION = 1;

export const LEAF_SIZE = 16384;
export const MAX_LEAVES = 4096;
/** The largest number of leaf indices in one GAIN, REQUEST, CANCEL or REFUSE. */
export const MAX_BATCH = 64;
/** The largest message in bytes; it is a full leaf list that sets it. */
export const MAX_MESSAGE = 65536 + 16;
export const HASH_SIZE = 32;
/** The longest leaf list that fits a message; a longer one is fetched over HTTP. */
export const MAX_LIST_LEAVES = Math.floor((MAX_MESSAGE - 11) / HASH_SIZE);
/** The longest reason in a BYE, in bytes of UTF-8. */
export const MAX_REASON = 200;

/** How long after the data channel opened a neighbour's HELLO may take. */
export const HELLO_TIMEOUT_MS = 5000;
/** How many objects one neighbour's announcements are remembered for. */
export const MAX_ANNOUNCED = 256;

/** In REQUEST: send the leaf list before the first leaf. */
export const FLAG_NEED_LIST = 1;

/** The reasons of REFUSE. */
export const BUSY = 1;
export const NOT_HELD = 2;
export const CANCELLED = 3;

/** Names an object between neighbours: the first 8 bytes of its root in hexadecimal. A name, never a proof. */
export type Key = string;

export function keyOf(root: Uint8Array): Key {
  return toHex(root.subarray(0, 8));
}

export type Message =
  | { type: "HELLO"; version: number; channel: Key; flags: number; instance: Key }
  | { type: "HAVE"; key: Key; leaves: number; bitfield: Bytes }
  | { type: "GAIN"; key: Key; leaves: number[] }
  | { type: "LOST"; key: Key }
  | { type: "LEAVES"; key: Key; hashes: Bytes }
  | { type: "REQUEST"; key: Key; flags: number; leaves: number[] }
  | { type: "LEAF"; key: Key; leaf: number; data: Bytes }
  | { type: "CANCEL"; key: Key; leaves: number[] }
  | { type: "REFUSE"; key: Key; reason: number; leaves: number[] }
  | { type: "BYE"; reason: string };

const TYPES = ["", "HELLO", "HAVE", "GAIN", "LOST", "LEAVES", "REQUEST", "LEAF", "CANCEL", "REFUSE", "BYE"] as const;

/** Whoever sends such a message is dropped. */
export class WireError extends Error {
  constructor(reason: string) {
    super(`this is not a valid message: ${reason}`);
    this.name = "WireError";
  }
}

/** The length in bytes of a bitfield for n leaves; leaf 0 is its highest bit (BEP 3). */
export function bitfieldLength(n: number): number {
  return (n + 7) >> 3;
}

export function hasBit(bits: Uint8Array, i: number): boolean {
  return (bits[i >> 3] & (0x80 >> (i & 7))) !== 0;
}

export function setBit(bits: Uint8Array, i: number): void {
  bits[i >> 3] |= 0x80 >> (i & 7);
}

export function encode(m: Message): Bytes {
  const w = new Writer(m.type === "LEAF" ? m.data.length + 11 : 64).u8(TYPES.indexOf(m.type));
  const key = (k: Key) => {
    for (let i = 0; i < 16; i += 2) w.u8(parseInt(k.slice(i, i + 2), 16));
  };
  const indices = (leaves: number[]) => {
    w.u8(leaves.length);
    for (const leaf of leaves) w.u16(leaf);
  };
  switch (m.type) {
    case "HELLO":
      w.u8(m.version);
      key(m.channel);
      w.u8(m.flags);
      key(m.instance);
      break;
    case "HAVE":
      key(m.key);
      w.u16(m.leaves).raw(m.bitfield);
      break;
    case "GAIN":
    case "CANCEL":
      key(m.key);
      indices(m.leaves);
      break;
    case "LOST":
      key(m.key);
      break;
    case "LEAVES":
      key(m.key);
      w.u16(m.hashes.length / HASH_SIZE).raw(m.hashes);
      break;
    case "REQUEST":
      key(m.key);
      w.u8(m.flags);
      indices(m.leaves);
      break;
    case "LEAF":
      key(m.key);
      w.u16(m.leaf).raw(m.data);
      break;
    case "REFUSE":
      key(m.key);
      w.u8(m.reason);
      indices(m.leaves);
      break;
    case "BYE":
      w.name(m.reason);
  }
  return w.bytes();
}

/** Reads one message, which must fill the bytes exactly. Large parts are views, not copies. Throws a WireError. */
export function decode(bytes: Bytes): Message {
  if (bytes.length === 0) throw new WireError("it is empty");
  if (bytes.length > MAX_MESSAGE) throw new WireError(`it has ${bytes.length} bytes, allowed are ${MAX_MESSAGE}`);
  const d = new Decoder(bytes);
  const message = d.message();
  d.finish();
  return message;
}

class Decoder {
  private at = 1;
  private readonly name: string;

  constructor(private readonly bytes: Bytes) {
    this.name = TYPES[bytes[0]] ?? "";
    if (!this.name) throw new WireError(`0x${toHex(bytes.subarray(0, 1))} is not a message type`);
  }

  message(): Message {
    switch (this.name as Message["type"]) {
      case "HELLO":
        return this.hello();
      case "HAVE":
        return this.have();
      case "GAIN":
        return { type: "GAIN", key: this.key(), leaves: this.indices() };
      case "LOST":
        return { type: "LOST", key: this.key() };
      case "LEAVES":
        return this.leafList();
      case "REQUEST":
        return { type: "REQUEST", key: this.key(), flags: this.u8(), leaves: this.indices() };
      case "LEAF":
        return this.leaf();
      case "CANCEL":
        return { type: "CANCEL", key: this.key(), leaves: this.indices() };
      case "REFUSE":
        return this.refuse();
      case "BYE":
        return this.bye();
    }
  }

  finish(): void {
    const left = this.bytes.length - this.at;
    if (left !== 0) throw this.invalid(`has ${left} bytes too many`);
  }

  private hello(): Message {
    const version = this.u8();
    if (version !== WIRE_VERSION) {
      throw this.invalid(`is of version ${version}, this program speaks version ${WIRE_VERSION}`);
    }
    return { type: "HELLO", version, channel: this.key(), flags: this.u8(), instance: this.key() };
  }

  private have(): Message {
    const key = this.key();
    const leaves = this.u16();
    if (leaves === 0 || leaves > MAX_LEAVES) {
      throw this.invalid(`speaks of an object of ${leaves} leaves, allowed are 1 to ${MAX_LEAVES}`);
    }
    const bitfield = this.take(bitfieldLength(leaves));
    const spare = bitfield.length * 8 - leaves;
    if ((bitfield[bitfield.length - 1] & ((1 << spare) - 1)) !== 0) {
      throw this.invalid(`sets a bit of its bitfield beyond leaf ${leaves - 1}, the last`);
    }
    return { type: "HAVE", key, leaves, bitfield };
  }

  private leafList(): Message {
    const key = this.key();
    const count = this.u16();
    if (count === 0 || count > MAX_LIST_LEAVES) {
      throw this.invalid(`carries ${count} hashes, allowed are 1 to ${MAX_LIST_LEAVES}`);
    }
    return { type: "LEAVES", key, hashes: this.take(count * HASH_SIZE) };
  }

  private leaf(): Message {
    const key = this.key();
    const leaf = this.u16();
    const data = this.take(this.bytes.length - this.at);
    if (leaf >= MAX_LEAVES) throw this.invalid(`has index ${leaf}, the highest allowed is ${MAX_LEAVES - 1}`);
    if (data.length === 0 || data.length > LEAF_SIZE) {
      throw this.invalid(`carries ${data.length} bytes, allowed are 1 to ${LEAF_SIZE}`);
    }
    return { type: "LEAF", key, leaf, data };
  }

  private refuse(): Message {
    const key = this.key();
    const reason = this.u8();
    if (reason < BUSY || reason > CANCELLED) throw this.invalid(`gives the unknown reason ${reason}`);
    return { type: "REFUSE", key, reason, leaves: this.indices() };
  }

  private bye(): Message {
    const words = this.take(this.u8());
    if (words.length > MAX_REASON) {
      throw this.invalid(`has a reason of ${words.length} bytes, allowed are ${MAX_REASON}`);
    }
    try {
      return { type: "BYE", reason: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(words) };
    } catch {
      throw this.invalid("has a reason that is not UTF-8");
    }
  }

  private take(n: number): Bytes {
    const missing = n - (this.bytes.length - this.at);
    if (missing > 0) throw this.invalid(`ends early: ${missing} bytes are missing`);
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  private u8(): number {
    return this.take(1)[0];
  }

  private u16(): number {
    const b = this.take(2);
    return (b[0] << 8) | b[1];
  }

  private key(): Key {
    return toHex(this.take(8));
  }

  private indices(): number[] {
    const count = this.u8();
    if (count === 0 || count > MAX_BATCH) throw this.invalid(`names ${count} leaves, allowed are 1 to ${MAX_BATCH}`);
    const b = this.take(2 * count);
    return Array.from({ length: count }, (_, i) => {
      const leaf = (b[2 * i] << 8) | b[2 * i + 1];
      if (leaf >= MAX_LEAVES) throw this.invalid(`names leaf ${leaf}, the highest allowed is ${MAX_LEAVES - 1}`);
      return leaf;
    });
  }

  private invalid(reason: string): WireError {
    return new WireError(`${this.name} ${reason}`);
  }
}

/** Shortens a sentence to what fits a BYE. */
export function byeReason(text: string): string {
  while (exceedsBytes(text, MAX_REASON)) text = text.slice(0, Math.min(text.length - 1, MAX_REASON));
  return text;
}
