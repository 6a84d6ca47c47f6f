// Records: what the channel's owner signs about one object. The encoding is
// described in the package comment of origin/manifest (doc.go).

import { concat, isZero, Reader, toHex, utf8Bytes, Writer, type Bytes } from "../bytes";
import { sha256, sha256Now, verifyEd25519 } from "../crypto";
import { ManifestError } from "./errors";

export const KIND_INIT = 0;
export const KIND_SEGMENT = 1;
export const KIND_PART = 2;

const VERSION = 1;
const SIGNATURE_SIZE = 64;
const RECORD_DOMAIN = utf8Bytes("slipstream/record/v1\0");
const CHANNEL_DOMAIN = utf8Bytes("slipstream/channel/v1\0");
const MAX_OBJECT_SIZE = 64 * 1024 * 1024;

/** The fields of a record without its signature. */
export interface RecordBody {
  kind: number;
  /** When this run of the origin began, ms since the Unix epoch. */
  session: number;
  /** Tells apart encoders that are not byte-identical. */
  variant: number;
  /** 1 to 32 of a-z 0-9 - _ */
  rendition: string;
  /** Segment number; for an init section the first segment it was signed for. */
  sequence: number;
  part: number;
  /** Start of the media, ms since the Unix epoch. */
  startMs: number;
  durationMs: number;
  /** Bytes, 1 to 64 MiB. */
  size: number;
  /** Tree root of the bytes. */
  root: Bytes;
  /** Tree root of the init section needed; zero for an init section itself. */
  init: Bytes;
  /** Hash of the segment record before this one; zero for the first and for init sections. */
  previous: Bytes;
  createdMs: number;
  /** First 8 bytes of the SHA-256 of the signing public key, in hexadecimal. */
  key: string;
}

export interface SignedRecord extends Readonly<RecordBody> {
  readonly signature: Bytes;
  /** The bytes it was read from, which are also what it encodes to. */
  readonly encoded: Bytes;
  /** That its key was appointed for; known once the signature was checked. */
  region?: string;
}

/** The id of the channel that a root public key owns. */
export function channelId(rootPublicKey: Uint8Array): Bytes {
  return sha256Now(concat(CHANNEL_DOMAIN, rootPublicKey));
}

/** The id under which records name a public signing key. */
export function keyId(publicKey: Uint8Array): string {
  return toHex(sha256Now(publicKey).subarray(0, 8));
}

const hashes = new WeakMap<SignedRecord, Bytes>();

/** Identifies a record, its signature included; the next record names it as previous. */
export function recordHash(record: SignedRecord): Bytes {
  const hash = hashes.get(record) ?? sha256Now(record.encoded);
  hashes.set(record, hash); // it is asked for again: an init section's record serves all segments of a playlist
  return hash;
}

/** Hashes a record off this thread if that is possible, for whoever asks later. */
export async function hashAhead(record: SignedRecord): Promise<void> {
  if (!hashes.has(record)) hashes.set(record, await sha256(record.encoded, 0));
}

/** Names the object that a record describes, for sentences. */
export function place(record: Readonly<RecordBody>): string {
  const segment = segmentPlace(record.sequence, record.rendition);
  if (record.kind === KIND_INIT) return `the init section of "${record.rendition}"`;
  return record.kind === KIND_PART ? `part ${record.part} of ${segment}` : segment;
}

export function segmentPlace(number: number, rendition: string): string {
  return `segment ${number} of "${rendition}"`;
}

/** Whether text is min to max characters of a-z, 0-9, - and _. */
export function isName(text: string, min: number, max: number): boolean {
  return text.length >= min && text.length <= max && !/[^a-z0-9_-]/.test(text);
}

/** Reads a record and checks its form, not its signature. Throws code "malformed-record". */
export function parseRecord(bytes: Bytes): SignedRecord {
  const r = new Reader(bytes);
  const version = r.u8();
  if (!r.failure && version !== VERSION) r.fail(`its version is ${version}, this program knows version ${VERSION}`);
  const record = {
    kind: r.u8(),
    session: r.u64("session"),
    variant: r.u32(),
    rendition: r.name(),
    sequence: r.u64("sequence"),
    part: r.u16(),
    startMs: r.u64("start"),
    durationMs: r.u32(),
    size: r.u32(),
    root: r.take(32),
    init: r.take(32),
    previous: r.take(32),
    createdMs: r.u64("creation time"),
    key: toHex(r.take(8)),
    signature: r.take(SIGNATURE_SIZE),
    encoded: bytes,
  };
  const reason = r.finish() || violation(record);
  if (reason) throw new ManifestError("malformed-record", "the record", `it is malformed: ${reason}`);
  return record;
}

/** What rule of its kind a record breaks, or "". */
function violation(r: RecordBody): string {
  if (r.kind > KIND_PART) return `its kind is ${r.kind}`;
  if (!isName(r.rendition, 1, 32)) return "its rendition is not 1 to 32 of a-z, 0-9, - and _";
  if (r.size < 1 || r.size > MAX_OBJECT_SIZE) return `its size is ${r.size} bytes; 1 to ${MAX_OBJECT_SIZE} are allowed`;
  if (r.kind !== KIND_PART && r.part !== 0) return "its part number does not fit its kind";
  if ((r.durationMs === 0) !== (r.kind === KIND_INIT)) return "its duration does not fit its kind";
  if (isZero(r.root)) return "it has no root";
  if (isZero(r.init) !== (r.kind === KIND_INIT)) return "its init section does not fit its kind";
  if (r.kind === KIND_INIT && !isZero(r.previous)) return "an init section has no record before it";
  return "";
}

/** The bytes that come before the signature, and that it covers. */
export function encodeBody(r: Readonly<RecordBody>): Bytes {
  return new Writer()
    .u8(VERSION)
    .u8(r.kind)
    .u64(r.session)
    .u32(r.variant)
    .name(r.rendition)
    .u64(r.sequence)
    .u16(r.part)
    .u64(r.startMs)
    .u32(r.durationMs)
    .u32(r.size)
    .raw(r.root)
    .raw(r.init)
    .raw(r.previous)
    .u64(r.createdMs)
    .raw(Uint8Array.from(r.key.match(/../g) ?? [], (h) => parseInt(h, 16)))
    .bytes();
}

/** What the signature of a record signs: the channel id is implied, not transmitted. */
export function signedBytes(channel: Uint8Array, body: Uint8Array): Bytes {
  return concat(RECORD_DOMAIN, channel, body);
}

/** Whether the record's signature is that of publicKey for channel. */
export function signedBy(record: SignedRecord, channel: Uint8Array, publicKey: Bytes): Promise<boolean> {
  const body = record.encoded.subarray(0, record.encoded.length - SIGNATURE_SIZE);
  return verifyEd25519(publicKey, signedBytes(channel, body), record.signature);
}
