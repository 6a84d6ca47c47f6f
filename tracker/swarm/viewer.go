package swarm

import (
	"slices"

	"slipstream/tracker/announce"
)

// viewer is one client, seeders included.
type viewer struct {
	id       uint64
	channel  *channel
	room     *room // nil: a seeder, which serves all rooms of its channel
	seeder   bool
	gone     bool
	noUpload bool
	joinedMs int64
	nat      announce.NAT
	subnet   uint64
	isp      uint64
	region   uint64
	around   [3]*set // who of its room is in its subnet, with its ISP, in its region; nil where that is not known

	// neighbours (match.go)
	edges       []edge
	missing     int    // old edges that the last report did not count
	past        []past // failed pairs, oldest first
	waitMs      int64  // how long the next fruitless search puts off the one after
	searchAtMs  int64
	rematchAtMs int64 // not before then it exchanges a neighbour
	allowanceMs int64 // introductions asked for, as time: see mayAsk
	accusations []accusation
	suspended   bool // evidence enough: no more neighbours, no duties
	expelled    bool
	renditions  []string // sorted
	ready       bool
	class       int              // of its uplink, see uplinkClass
	told        []announce.Share // its stripes as it knows them
	dirty       bool             // they may have changed since
	fare        fare
	rest        rest
	restraint   restraint
}

// edge is a pair that was introduced, as one of the two sees it.
type edge struct {
	to      *viewer
	sinceMs int64
	rttMs   int64 // of a round trip, as one of the two measured it; 0 = unknown
}

func (v *viewer) knows(w *viewer) bool {
	if len(w.edges) < len(v.edges) {
		v, w = w, v
	}
	for _, e := range v.edges {
		if e.to == w {
			return true
		}
	}
	return false
}

// forget removes the edge to w on this side.
func (v *viewer) forget(w *viewer) bool {
	for i, e := range v.edges {
		if e.to == w {
			v.edges = slices.Delete(v.edges, i, i+1)
			v.channel.ends.count(v, w, -1)
			v.missing = max(0, v.missing-1)
			return true
		}
	}
	return false
}

// befriend adds an edge on this side.
func (v *viewer) befriend(w *viewer, nowMs int64) {
	v.edges = append(v.edges, edge{to: w, sinceMs: nowMs})
	v.channel.ends.count(v, w, 1)
}

func (v *viewer) sharesRendition(w *viewer) bool {
	if v.seeder || w.seeder {
		return true
	}
	for _, r := range v.renditions {
		if slices.Contains(w.renditions, r) {
			return true
		}
	}
	return false
}
