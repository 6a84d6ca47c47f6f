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
