package cluster

import (
	"slipstream/tracker/server"
)

// place is a shard of a channel: as many viewers as one node shall have in its rooms. A channel has one shard until it has
// more viewers than that.
type place struct {
	channel string
	shard   int
}

const (
	// shardSize is how many viewers of a channel there are for each of its shards when it gets twice as many shards.
	// Two rooms' worth: those of different shards do not know each other.
	shardSize = 2_000
	// sparse is how many there are when it gets half as many.
	sparse    = 500
	maxShards = 256
)

// owner is the node in whose rooms a place is: the highest ranked of those there are (Thaler and Ravishankar, "Using
// name-based mappings to increase hit rates", 1998). A node that comes or goes moves only what it owns.
func owner(nodes []server.NodeID, p place) server.NodeID {
	return highest(nodes, mix(hash(p.channel)+uint64(p.shard)))
}

func highest(nodes []server.NodeID, key uint64) (best server.NodeID) {
	var most uint64
	for _, n := range nodes {
		// A tie, of which there is one in 2^64, goes to the larger id.
		if rank := mix(key ^ uint64(n)); best == 0 || rank > most || rank == most && n > best {
			best, most = n, rank
		}
	}
	return best
}

// shards is how many a channel with so many viewers has, if it had some before.
func shards(before, viewers int) int {
	n := max(before, 1)
	for n < maxShards && viewers > n*shardSize {
		n *= 2
	}
	for n > 1 && viewers < n*sparse {
		n /= 2
	}
	return n
}

// shardOf is where a newcomer goes: those of an ISP together, in a quarter of the shards where there are many.
func shardOf(shards int, isp uint64, conn server.ConnID) int {
	n := uint64(shards)
	if isp == 0 {
		return int(uint64(conn) % n)
	}
	return int((mix(isp)%n + uint64(conn)%max(n/4, 1)) % n)
}

// hash is FNV-1a (64 bits), which all nodes must agree on.
func hash(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// mix is the finalizer of MurmurHash3.
func mix(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
