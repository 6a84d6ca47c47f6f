package swarm

import (
	"slices"

	"slipstream/tracker/tight"
)

// viewer is one client, seeders included. There are many: the order of the fields leaves no gaps, times are the lower half where
// no more than their age matters, and what most have none of is in the record.
type viewer struct {
	id       uint64
	channel  *channel
	room     *room // nil: a seeder, which serves all rooms of its channel
	seeder   bool
	gone     bool
	noUpload bool
	awkward  bool // behind an address-dependent translator
	ready    bool
	dirty    bool // its stripes may have changed since it was told

	suspended bool // evidence enough: no more neighbours, no duties
	expelled  bool

	joinedMs uint32
	waitMs   int16 // how long the next fruitless search puts off the one after
	missing  uint8 // old edges that the last report did not count
	subnet   uint64
	isp      uint64
	region   uint64
	around   [3]*set // who of its room is in its subnet, with its ISP, in its region; nil where that is not known

	// neighbours (match.go)
	edges       []edge
	searchAtMs  int64
	rematchAtMs int64 // not before then it exchanges a neighbour
	allowanceMs int64 // introductions asked for, as time: see mayAsk
	class       int   // of its uplink, see uplinkClass
	ladder      *ladder
	*record
}

// Key implements tight.Keyed.
func (v *viewer) Key() uint64 { return v.id }

// record is what follows from reports, of a viewer's own and of others. All who have none share one in which nothing is ever
// written: see own.
type record struct {
	fare        fare
	rest        rest
	restraint   restraint
	past        []past // failed pairs, oldest first
	accusations []accusation
}

var nothing record

// own is v's own record, to be written in.
func (v *viewer) own() *record {
	if v.record == &nothing {
		v.record = &record{}
	}
	return v.record
}

// ladder is a list of renditions, sorted. Those who play the same share it, see room.ladder.
type ladder []string

// renditions are those that v plays, of a viewer.
func (v *viewer) renditions() []string {
	if v.ladder == nil {
		return nil
	}
	return *v.ladder
}

// edge is a pair that was introduced, as one of the two sees it. There are a dozen for each viewer, so they are small.
type edge struct {
	to      *viewer
	sinceMs uint32 // the lower half: every 50 days an old edge counts as a new one for a moment
	rttMs   int32  // of a round trip, as one of the two measured it; 0 = unknown
}

// ageMs is for how long the two have been a pair.
func (e edge) ageMs(nowMs int64) int64 { return int64(uint32(nowMs) - e.sinceMs) }

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
			v.missing -= min(v.missing, 1)
			return true
		}
	}
	return false
}

// befriend adds an edge on this side.
func (v *viewer) befriend(w *viewer, nowMs int64) {
	v.edges = tight.Append(v.edges, edge{to: w, sinceMs: uint32(nowMs)})
	v.channel.ends.count(v, w, 1)
}

func (v *viewer) sharesRendition(w *viewer) bool {
	if v.seeder || w.seeder {
		return true
	}
	for _, r := range v.renditions() {
		if slices.Contains(w.renditions(), r) {
			return true
		}
	}
	return false
}
