import { bound } from "./bound";
import type { Bytes } from "./bytes";
import { bitfieldLength, MAX_ANNOUNCED, pieceCount, setBit, type Key } from "./wire";

/** More than an object has pieces nobody needs to say. */
const MAX_COMING = 1024;

interface Heard {
  leaves: number;
  bits: Bytes;
  /** Pieces that are said to be on their way there. */
  coming: number[];
}

/** What a neighbour announced of objects whose records we have not seen yet: they reach viewers at different moments. */
export class Announced {
  /** By key, oldest first. */
  private readonly held = new Map<Key, Heard>();

  have(key: Key, leaves: number, bits: Bytes): void {
    this.held.set(key, { leaves, bits: bits.slice(), coming: [] });
    bound(this.held, MAX_ANNOUNCED);
  }

  gain(key: Key, pieces: number[]): void {
    const known = this.held.get(key);
    for (const piece of pieces) if (known && piece < pieceCount(known.leaves)) setBit(known.bits, piece);
  }

  coming(key: Key, pieces: number[]): void {
    const coming = this.held.get(key)?.coming;
    if (coming && coming.length < MAX_COMING) coming.push(...pieces);
  }

  has(key: Key): boolean {
    return this.held.has(key);
  }

  forget(key: Key): void {
    this.held.delete(key);
  }

  /** What was announced of an object that is now known to have so many leaves, if it was announced truthfully. */
  take(key: Key, leaves: number): Heard | undefined {
    const known = this.held.get(key);
    this.held.delete(key);
    return known?.leaves === leaves && known.bits.length === bitfieldLength(pieceCount(leaves)) ? known : undefined;
  }
}
