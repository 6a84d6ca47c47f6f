// The hash tree over an object's bytes: SHA-256 over leaves of 16 KiB, padded
// with zero hashes to a power of two as in BitTorrent v2 (BEP 52). A leaf list
// is checked against the signed root once; then each leaf is checked alone.

import { concat, equalBytes, fromBase64Url, toBase64Url, type Bytes } from "../bytes";
import { sha256, sha256Now } from "../crypto";
import { ManifestError } from "./errors";
import { place, type SignedRecord } from "./record";

/** The unit in which objects are verified and exchanged, in bytes. */
export const LEAF_SIZE = 16384;
/** The largest object that a record may describe, in bytes. */
export const MAX_OBJECT_SIZE = 64 * 1024 * 1024;
export const MAX_LEAVES = MAX_OBJECT_SIZE / LEAF_SIZE;
export const HASH_SIZE = 32;

/** base64url without padding, 43 characters. */
export const formatHash = toBase64Url;

/** Reads what formatHash writes; undefined for anything else. */
export function parseHash(text: string): Bytes | undefined {
  const hash = fromBase64Url(text);
  return hash?.length === HASH_SIZE ? hash : undefined;
}

/** How many leaves an object of size bytes has. */
export function leafCount(size: number): number {
  return Math.ceil(size / LEAF_SIZE);
}

/** Bytes of leaf index of an object of size bytes; 0 if there is no such leaf. */
export function leafLength(size: number, index: number): number {
  return index < 0 ? 0 : Math.min(LEAF_SIZE, Math.max(0, size - index * LEAF_SIZE));
}

export function leafHashes(data: Bytes): Promise<Bytes[]> {
  const hashes: Promise<Bytes>[] = [];
  for (let at = 0; at < data.length; at += LEAF_SIZE) hashes.push(sha256(data.subarray(at, at + LEAF_SIZE)));
  return Promise.all(hashes);
}

/** The root over leaf hashes; of one leaf it is that leaf's hash, of none the zero hash. */
export function treeRoot(leaves: readonly Uint8Array[]): Bytes {
  if (leaves.length === 0) return new Uint8Array(HASH_SIZE);
  let width = 1;
  while (width < leaves.length) width *= 2;
  const zero = new Uint8Array(HASH_SIZE);
  let layer: Uint8Array[] = Array.from({ length: width }, (_, i) => leaves[i] ?? zero);
  while (layer.length > 1) {
    layer = Array.from({ length: layer.length / 2 }, (_, i) => sha256Now(concat(layer[2 * i], layer[2 * i + 1])));
  }
  return layer[0].slice() as Bytes;
}

/** Splits a leaf list. Whether it is the right one only checkLeaves can tell. */
export function parseLeaves(list: Bytes): Bytes[] {
  const n = list.length / HASH_SIZE;
  if (!Number.isInteger(n) || n === 0 || n > MAX_LEAVES) {
    throw new ManifestError(
      "leaf-list",
      "the leaf list",
      `it has ${list.length} bytes; a leaf list is 1 to ${MAX_LEAVES} hashes of 32 bytes`,
    );
  }
  return Array.from({ length: n }, (_, i) => list.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE));
}

/** Checks a leaf list against the record's root. Before that none of its hashes is to be trusted. */
export function checkLeaves(record: SignedRecord, hashes: readonly Uint8Array[]): void {
  const want = leafCount(record.size);
  if (hashes.length !== want) {
    throw new ManifestError("leaf-list", place(record), `the leaf list has ${hashes.length} hashes where ${want} belong`);
  }
  if (!equalBytes(treeRoot(hashes), record.root)) {
    throw new ManifestError("root", place(record), "the leaf list does not add up to the signed root");
  }
}

/** Checks one leaf against a leaf list that checkLeaves has accepted. */
export async function checkLeaf(
  record: SignedRecord,
  hashes: readonly Uint8Array[],
  index: number,
  data: Bytes,
): Promise<void> {
  const count = leafCount(record.size);
  const bad = (reason: string) => new ManifestError("leaf", place(record), reason, index);
  if (hashes.length !== count) {
    throw new ManifestError("leaf-list", place(record), `the leaf list has ${hashes.length} hashes where ${count} belong`);
  }
  if (!Number.isInteger(index) || index < 0 || index >= count) {
    throw bad(`leaf ${index} does not exist; the last one is ${count - 1}`);
  }
  const want = leafLength(record.size, index);
  if (data.length !== want) throw bad(`leaf ${index} has ${data.length} bytes where ${want} belong`);
  if (!equalBytes(await sha256(data), hashes[index])) {
    throw bad(`leaf ${index} was changed: its bytes do not match the signed tree`);
  }
}

/** Checks a whole object against its record. */
export async function checkObject(record: SignedRecord, data: Bytes): Promise<void> {
  if (data.length !== record.size) {
    throw new ManifestError("size", place(record), `it has ${data.length} bytes where the record says ${record.size}`);
  }
  if (!equalBytes(treeRoot(await leafHashes(data)), record.root)) {
    throw new ManifestError("root", place(record), "its bytes were changed: they do not add up to the signed root");
  }
}
