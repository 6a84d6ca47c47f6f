// The language of two neighbours on their data channel: thirteen small binary
// messages, the twin of the Go package peer/wire. peer/PROTOCOL.md is the
// specification, peer/wire/testdata/vectors.json its examples. What decode
// accepts it would encode in exactly the same bytes.

import { exceedsBytes, fromHex, Reader, toHex, Writer, type Bytes } from "./bytes";

/** The version of the protocol, carried in HELLO. */
export const WIRE_VERSION = 2;

export const LEAF_SIZE = 16384;
export const MAX_LEAVES = 4096;
/** The largest number of leaves in a piece, which is what is announced and asked for. */
export const MAX_PIECE_LEAVES = 4;
export const MAX_PIECES = MAX_LEAVES / MAX_PIECE_LEAVES;
/** The largest number of pieces in one GAIN, REQUEST, CANCEL, REFUSE or COMING. */
export const MAX_BATCH = 64;
/** The largest message in bytes; it is a full leaf list that sets it. */
export const MAX_MESSAGE = 65536 + 16;
export const HASH_SIZE = 32;
/** The longest leaf list that fits a message; a longer one is fetched over HTTP. */
export const MAX_LIST_LEAVES = Math.floor((MAX_MESSAGE - 11) / HASH_SIZE);
/** The longest signed record in bytes. */
export const MAX_RECORD = 1024;
/** The longest reason in a BYE, in bytes of UTF-8. */
export const MAX_REASON = 200;

/** In HELLO: records of new objects are welcome unasked. */
export const FLAG_TELL_ME = 1;
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

/** The number of leaves in each piece of an object of n leaves; the last piece is what remains. */
export function pieceLeaves(n: number): number {
  return Math.min(Math.max(n >> 4, 1), MAX_PIECE_LEAVES);
}

/** The number of pieces of an object of n leaves. */
export function pieceCount(n: number): number {
  const each = pieceLeaves(n);
  return Math.trunc((n + each - 1) / each);
}

/** The first leaf of a piece and the number of its leaves, which is 0 for a piece that the object does not have. */
export function pieceSpan(piece: number, n: number): { first: number; count: number } {
  const each = pieceLeaves(n);
  const first = piece * each;
  return { first, count: Math.max(Math.min(each, n - first), 0) };
}

/** A piece, and which of its leaves are wanted: bit i stands for the i-th. */
export type Wanted = [piece: number, mask: number];

/** Whether an object of n leaves has that piece, and the piece all of those leaves. */
export function within([piece, mask]: Wanted, n: number): boolean {
  const { count } = pieceSpan(piece, n);
  return count > 0 && mask < 1 << count;
}

export type Message =
  | { type: "HELLO"; version: number; channel: Key; flags: number; instance: Key }
  | { type: "HAVE"; key: Key; leaves: number; bitfield: Bytes }
  | { type: "GAIN"; key: Key; pieces: number[] }
  | { type: "LOST"; key: Key }
  | { type: "LEAVES"; key: Key; hashes: Bytes }
  | { type: "REQUEST"; key: Key; flags: number; wanted: Wanted[] }
  | { type: "LEAF"; key: Key; leaf: number; data: Bytes }
  | { type: "CANCEL"; key: Key; pieces: number[] }
  | { type: "REFUSE"; key: Key; reason: number; pieces: number[] }
  | { type: "BYE"; reason: string }
  | { type: "COMING"; key: Key; pieces: number[] }
  | { type: "ASK"; key: Key }
  | { type: "RECORD"; key: Key; data: Bytes };

const TYPES = [
  "",
  "HELLO",
  "HAVE",
  "GAIN",
  "LOST",
  "LEAVES",
  "REQUEST",
  "LEAF",
  "CANCEL",
  "REFUSE",
  "BYE",
  "COMING",
  "ASK",
  "RECORD",
] as const;

/** Whoever sends such a message is dropped. */
export class WireError extends Error {
  constructor(reason: string) {
    super(`this is not a valid message: ${reason}`);
  }
}

/** The length in bytes of a bitfield for n indices; index 0 is its highest bit (BEP 3). */
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
  const w = new Writer(m.type === "LEAF" || m.type === "RECORD" ? m.data.length + 11 : 64).u8(TYPES.indexOf(m.type));
  const key = (k: Key) => void w.raw(fromHex(k)!);
  const entries = (pieces: number[]) => {
    w.u8(pieces.length);
    for (const piece of pieces) w.u16(piece);
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
    case "COMING":
      key(m.key);
      entries(m.pieces);
      break;
    case "LOST":
    case "ASK":
      key(m.key);
      break;
    case "LEAVES":
      key(m.key);
      w.u16(m.hashes.length / HASH_SIZE).raw(m.hashes);
      break;
    case "REQUEST":
      key(m.key);
      w.u8(m.flags);
      entries(m.wanted.map(([piece, mask]) => piece * 16 + mask));
      break;
    case "LEAF":
      key(m.key);
      w.u16(m.leaf).raw(m.data);
      break;
    case "REFUSE":
      key(m.key);
      w.u8(m.reason);
      entries(m.pieces);
      break;
    case "BYE":
      w.name(m.reason);
      break;
    case "RECORD":
      key(m.key);
      w.u16(m.data.length).raw(m.data);
  }
  return w.bytes();
}

/** Reads one message, which must fill the bytes exactly. Large parts are views, not copies. Throws a WireError. */
export function decode(bytes: Bytes): Message {
  const d = new Decoder(bytes);
  const message = d.message();
  d.finish();
  return message;
}

/** Reads the messages of a bundle, which is what one message of the data channel carries, one after the other as decode does. */
export function* unbundle(bytes: Bytes): Generator<Message> {
  do {
    const d = new Decoder(bytes);
    yield d.message();
    bytes = d.take(d.left);
  } while (bytes.length > 0);
}

class Decoder extends Reader {
  private readonly type: string;

  constructor(bytes: Bytes) {
    super(bytes);
    this.type = TYPES[this.u8()] ?? "";
    this.demand(this.type !== "" && bytes.length <= MAX_MESSAGE);
  }

  /** Which rule a message breaks, nobody in a browser would read: Go's twin says it. */
  override fail(): never {
    throw new WireError(`sent a malformed ${this.type || "message"}`);
  }

  message(): Message {
    const type = this.type as Message["type"];
    switch (type) {
      case "HELLO":
        return this.hello();
      case "HAVE":
        return this.have();
      case "GAIN":
      case "CANCEL":
      case "COMING":
        return { type, key: this.key(), pieces: this.pieces() };
      case "LOST":
      case "ASK":
        return { type, key: this.key() };
      case "LEAVES":
        return this.leafList();
      case "REQUEST":
        return { type: "REQUEST", key: this.key(), flags: this.u8(), wanted: this.wanted() };
      case "LEAF":
        return this.leaf();
      case "REFUSE":
        return this.refuse();
      case "BYE":
        return this.bye();
      case "RECORD":
        return this.record();
    }
  }

  private hello(): Message {
    const version = this.u8();
    this.demand(version === WIRE_VERSION);
    return { type: "HELLO", version, channel: this.key(), flags: this.u8(), instance: this.key() };
  }

  private have(): Message {
    const key = this.key();
    const leaves = this.u16();
    this.demand(leaves > 0 && leaves <= MAX_LEAVES);
    const pieces = pieceCount(leaves);
    const bitfield = this.take(bitfieldLength(pieces));
    const spare = bitfield.length * 8 - pieces;
    this.demand((bitfield[bitfield.length - 1] & ((1 << spare) - 1)) === 0); // no bit beyond the last piece
    return { type: "HAVE", key, leaves, bitfield };
  }

  private leafList(): Message {
    const key = this.key();
    const count = this.u16();
    this.demand(count > 0 && count <= MAX_LIST_LEAVES);
    return { type: "LEAVES", key, hashes: this.take(count * HASH_SIZE) };
  }

  private leaf(): Message {
    const key = this.key();
    const leaf = this.u16();
    const data = this.take(this.left);
    this.demand(leaf < MAX_LEAVES && data.length > 0 && data.length <= LEAF_SIZE);
    return { type: "LEAF", key, leaf, data };
  }

  private refuse(): Message {
    const key = this.key();
    const reason = this.u8();
    this.demand(reason >= BUSY && reason <= CANCELLED);
    return { type: "REFUSE", key, reason, pieces: this.pieces() };
  }

  private bye(): Message {
    const words = this.take(this.u8());
    this.demand(words.length <= MAX_REASON);
    try {
      return { type: "BYE", reason: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(words) };
    } catch {
      return this.fail(); // not UTF-8
    }
  }

  private key(): Key {
    return toHex(this.take(8));
  }

  private entries(): number[] {
    const count = this.u8();
    this.demand(count > 0 && count <= MAX_BATCH);
    return Array.from({ length: count }, () => this.u16());
  }

  private pieces(): number[] {
    return this.entries().map((piece) => this.piece(piece));
  }

  private wanted(): Wanted[] {
    return this.entries().map((entry) => {
      const piece = this.piece(entry >> 4);
      const mask = entry & 15;
      this.demand(mask > 0);
      return [piece, mask];
    });
  }

  private piece(piece: number): number {
    this.demand(piece < MAX_PIECES);
    return piece;
  }

  private record(): Message {
    const key = this.key();
    const length = this.u16();
    this.demand(length > 0 && length <= MAX_RECORD);
    return { type: "RECORD", key, data: this.take(length) };
  }

  private demand(fits: boolean): void {
    if (!fits) this.fail();
  }
}

/** Shortens a sentence to what fits a BYE. */
export function byeReason(text: string): string {
  while (exceedsBytes(text, MAX_REASON)) text = text.slice(0, Math.min(text.length - 1, MAX_REASON));
  return text;
}
