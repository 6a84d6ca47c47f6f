package swarm

import "math/bits"

// A viewer's place among those who could hold a duty is weighted rendezvous hashing: the key is −ln(h)/w of a hash h in
// (0, 1] and a weight w, and the smallest keys win. Each viewer is then as likely as its weight to come first, and
// nobody's key depends on who else is there (Efraimidis, Spirakis 2006; Thaler, Ravishankar 1998). Everything is in
// integers, so every machine ranks alike.

// logBits is the precision of logarithms.
const logBits = 16

// score is the key of a hash and a weight of at least 1. Any base of the logarithm gives the same order.
func score(hash uint32, weight uint64) uint64 {
	return (32<<logBits - log2(uint64(hash)+1)) << 24 / weight
}

// log2 is the binary logarithm of x ≥ 1 with logBits binary places, rounded down: the integer part is the position of
// the highest bit, and each squaring of the mantissa brings out one more bit.
func log2(x uint64) uint64 {
	whole := uint64(bits.Len64(x) - 1)
	m := x << (63 - whole) >> 32 // in [2^31, 2^32)
	out := whole
	for range logBits {
		m = m * m >> 31 // in [2^31, 2^33)
		out <<= 1
		if m >= 1<<32 {
			m >>= 1
			out |= 1
		}
	}
	return out
}

// rankOf is the hash of one of a viewer's chances to hold a duty for a rendition. Ids are drawn by the tracker, so
// nobody chooses his rank; another rendition and another chance draw anew.
func rankOf(channel, rendition string, viewer uint64, chance int) uint32 {
	h := mix32(hash32(channel) ^ uint32(viewer))
	h = mix32(h + uint32(viewer>>32))
	return mix32(h ^ hash32(rendition) + uint32(chance)*0x9e3779b9)
}
