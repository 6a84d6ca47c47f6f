package swarm

import (
	"slices"
	"strings"

	"slipstream/tracker/announce"
)

// room is one channel's viewers and what is dealt among them.
type room struct {
	name    string
	rng     random
	members set
	seeders set
	open    set // members that accept another neighbour
	subnets map[uint64]*set
	deals   []*deal // one per rendition that somebody plays, sorted by rendition
	degrees int     // sum of the viewers' degrees, without the seeders'
}

// viewer is one member of a room, seeders included.
type viewer struct {
	id     uint64
	room   *room
	seeder bool
	gone   bool
	subnet uint64

	edges      []edge
	missing    int    // old edges that the last report did not count
	past       []past // failed pairs, oldest first
	accusers   []uint64
	barred     bool  // evidence enough: no more neighbours, no duties
	waitMs     int64 // how long the next fruitless search puts off the one after
	searchAtMs int64

	renditions []string // sorted
	ready      bool
	class      int              // of its uplink, see uplinkClass
	rank       uint32           // fixed
	score      uint64           // rank by weight, as seated
	shares     []announce.Share // its stripes, sorted by rendition
	told       []announce.Share // as it knows them
	dirty      bool             // shares may differ from told
}

// edge is a pair that was introduced, as one of the two sees it.
type edge struct {
	to      *viewer
	sinceMs int64
}

func newRoom(name string, seed uint32) *room {
	return &room{name: name, rng: random{mix32(seed) ^ hash32(name)}, subnets: map[uint64]*set{}}
}

func (r *room) add(v *viewer) {
	r.members.add(v)
	if v.seeder {
		r.seeders.add(v)
	}
	if v.subnet != 0 {
		if r.subnets[v.subnet] == nil {
			r.subnets[v.subnet] = &set{}
		}
		r.subnets[v.subnet].add(v)
	}
}

func (r *room) remove(v *viewer) {
	r.members.remove(v)
	r.seeders.remove(v)
	r.open.remove(v)
	if near := r.subnets[v.subnet]; near != nil {
		near.remove(v)
		if near.len() == 0 {
			delete(r.subnets, v.subnet)
		}
	}
}

// deal finds a rendition's deal, nil if nobody plays it.
func (r *room) deal(rendition string) *deal {
	if i, ok := r.dealAt(rendition); ok {
		return r.deals[i]
	}
	return nil
}

func (r *room) dealAt(rendition string) (int, bool) {
	return slices.BinarySearchFunc(r.deals, rendition, func(d *deal, name string) int { return strings.Compare(d.rendition, name) })
}

// counts is 1 for whom the room's mean degree is about.
func (v *viewer) counts() int {
	if v.seeder {
		return 0
	}
	return 1
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
			v.missing = max(0, v.missing-1)
			return true
		}
	}
	return false
}

// set holds viewers in an order that depends on nothing but the calls, with all operations in constant time.
type set struct {
	items []*viewer
	at    map[uint64]int
}

func (s *set) len() int { return len(s.items) }

func (s *set) add(v *viewer) {
	if _, ok := s.at[v.id]; ok {
		return
	}
	if s.at == nil {
		s.at = map[uint64]int{}
	}
	s.at[v.id] = len(s.items)
	s.items = append(s.items, v)
}

// remove moves the last one into the place that becomes free.
func (s *set) remove(v *viewer) {
	i, ok := s.at[v.id]
	if !ok {
		return
	}
	delete(s.at, v.id)
	last := len(s.items) - 1
	if i != last {
		s.items[i] = s.items[last]
		s.at[s.items[i].id] = i
	}
	s.items[last] = nil
	s.items = s.items[:last]
}
