package sched

// mix32 is the finaliser of MurmurHash3 (Appleby, public domain): a bijection on
// 32 bits in which every input bit flips every output bit with probability near
// one half. It is the only source of "randomness" here: what looks random is a
// function of (seed, object, stripe), so that every run can be repeated.
func mix32(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x85ebca6b
	x ^= x >> 13
	x *= 0xc2b2ae35
	x ^= x >> 16
	return x
}
