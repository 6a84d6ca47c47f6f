package swarm

import (
	"slices"
	"testing"

	"slipstream/tracker/announce"
)

// A room that moves from one tracker to another, one viewer after the other, keeps every pair, and nobody is told anything.
func TestARoomThatMovesKeepsItsPairs(t *testing.T) {
	from, to := New(Config{Seed: 1}), New(Config{Seed: 2})
	const viewers = 200
	join := func(id uint64) Join {
		return Join{Room: "c", Viewer: id, Role: announce.Viewer, Renditions: []string{"360p"}, SubnetKey: id}
	}
	var nowMs int64
	for id := uint64(1); id <= viewers; id++ {
		nowMs += 20
		from.Handle(nowMs, join(id))
		from.Handle(nowMs, Report{Viewer: id, Ready: true, Renditions: []string{"360p"}})
	}
	for range 30 {
		nowMs += 1000
		from.Handle(nowMs, Tick{})
	}
	neighbours := func(s *Swarm, id uint64) (ids []uint64) {
		for _, e := range s.viewers.Get(id).edges {
			ids = append(ids, e.to.id)
		}
		slices.Sort(ids)
		return ids
	}
	before := map[uint64][]uint64{}
	for id := uint64(1); id <= viewers; id++ {
		before[id] = neighbours(from, id)
	}
	quiet := func(actions []Action) {
		for _, a := range actions {
			if _, duty := a.(Duty); !duty {
				t.Fatalf("while the room moved: %T %+v", a, a)
			}
		}
	}
	for id := uint64(1); id <= viewers; id++ {
		nowMs += 10
		quiet(from.Handle(nowMs, Leave{Viewer: id, Moved: true}))
		ev := join(id)
		ev.Neighbours = before[id]
		quiet(to.Handle(nowMs, ev))
		if id%100 == 0 {
			quiet(from.Handle(nowMs, Tick{}))
			quiet(to.Handle(nowMs, Tick{}))
		}
	}
	for id := uint64(1); id <= viewers; id++ {
		if after := neighbours(to, id); !slices.Equal(after, before[id]) {
			t.Errorf("viewer %d had %v and has %v", id, before[id], after)
		}
	}
	if viewers, _ := from.Size("c"); viewers != 0 {
		t.Errorf("%d viewers are left behind", viewers)
	}
}
