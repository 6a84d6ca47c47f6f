/**
 * The finaliser of MurmurHash3 (Appleby, public domain): a bijection on 32 bits. It
 * is the only source of "randomness" here; takes and returns an unsigned integer.
 */
export function mix32(x: number): number {
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  x ^= x >>> 16;
  return x >>> 0;
}

/** The number of stripes that an object's leaves are dealt into. */
export const STRIPES = 16;

/**
 * Which stripe a leaf belongs to. Stripes are contiguous blocks, so that one
 * viewer's duty is one byte range, and rotate with the sequence number, so that
 * over time everybody carries the same.
 */
export function stripe(leaf: number, leaves: number, sequence: number): number {
  return (Math.trunc((leaf * STRIPES) / leaves) + sequence) % STRIPES;
}
