import { bound } from "./bound";
import type { Bytes } from "./bytes";
import { bitfieldLength, MAX_ANNOUNCED, pieceCount, setBit, type Key } from "./wire";

/** What a neighbour announced of objects whose records we have not seen yet: they reach viewers at different moments. */
export class Announced {
  /** By key, oldest first. */
  private readonly held = new Map<Key, { leaves: number; bits: Bytes }>();

  have(key: Key, leaves: number, bits: Bytes): void {
    this.held.set(key, { leaves, bits: bits.slice() });
    bound(this.held, MAX_ANNOUNCED);
  }

  gain(key: Key, pieces: number[]): void {
    const known = this.held.get(key);
    for (const piece of pieces) if (known && piece < pieceCount(known.leaves)) setBit(known.bits, piece);
  }

  has(key: Key): boolean {
    return this.held.has(key);
  }

  forget(key: Key): void {
    this.held.delete(key);
  }

  /** The pieces held of an object that is now known to have so many, if any were announced truthfully. */
  take(key: Key, leaves: number): Bytes | undefined {
    const known = this.held.get(key);
    this.held.delete(key);
    return known?.leaves === leaves && known.bits.length === bitfieldLength(pieceCount(leaves)) ? known.bits : undefined;
  }
}
