package swarm

// random is a counter put through mix32 (the construction of SplitMix, Steele, Lea, Flood 2014, in 32 bits): each draw
// adds 0x9e3779b9, the golden ratio, and mixes. Small enough to be written again in any language.
type random struct{ state uint32 }

func (r *random) next() uint32 {
	r.state += 0x9e3779b9
	return mix32(r.state)
}

// below draws from 0 … n−1. The bias is below n/2³², far under what a choice of neighbours could feel.
func (r *random) below(n int) int { return int(uint64(r.next()) * uint64(n) >> 32) }

// mix32 is the finaliser of MurmurHash3 (Appleby, public domain), as in peer/sched.
func mix32(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x85ebca6b
	x ^= x >> 13
	x *= 0xc2b2ae35
	x ^= x >> 16
	return x
}

// hash32 is FNV-1a over a name.
func hash32(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
