// Transfer and verification go by leaf, scheduling by piece (wire.ts says how long one
// is); the twin of piece.go.

/** The number of stripes that an object's pieces are dealt into. */
export const STRIPES = 16;

/**
 * Which stripe a piece belongs to. Stripes are contiguous blocks, so that one viewer's
 * duty is one byte range, and rotate with the sequence number, so that over time
 * everybody carries the same.
 */
export function stripe(piece: number, pieces: number, sequence: number): number {
  return (Math.trunc((piece * STRIPES) / pieces) + sequence) % STRIPES;
}

/** A set of pieces, 32 to a word. */
export type PieceSet = Uint32Array;

export function newSet(words: number): PieceSet {
  return new Uint32Array(words);
}

export function setWords(pieces: number): number {
  return (pieces + 31) >> 5;
}

export function inSet(s: PieceSet, i: number): boolean {
  return ((s[i >> 5] >>> (i & 31)) & 1) !== 0;
}

export function add(s: PieceSet, i: number): void {
  s[i >> 5] |= 1 << (i & 31);
}

export function remove(s: PieceSet, i: number): void {
  s[i >> 5] &= ~(1 << (i & 31));
}

/** The first member from i on, -1 if there is none. */
export function next(s: PieceSet, i: number): number {
  for (let w = i >> 5; w < s.length; w++) {
    let word = s[w];
    if (w === i >> 5) word &= -1 << (i & 31);
    if (word !== 0) return (w << 5) + trailingZeros(word);
  }
  return -1;
}

/** How many zeros a number's binary digits end with; x is not 0. */
export function trailingZeros(x: number): number {
  return 31 - Math.clz32(x & -x);
}

/** How many leaves are in a piece's mask. */
export function countBits(mask: number): number {
  let n = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) n++;
  return n;
}
