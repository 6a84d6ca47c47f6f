package swarm

import (
	"math/bits"
	"slices"
	"testing"

	"slipstream/tracker/announce"
)

func TestALargeChannelHasSeveralRoomsAndASmallOneHasOne(t *testing.T) {
	s := New(Config{RoomSize: 100})
	handle := func(ev Event) []Action { return slices.Clone(s.Handle(1000, ev)) }
	handle(Join{Room: "channel", Viewer: 10_000, Role: announce.Seeder})
	duties := map[uint64][]announce.Share{}
	seeder := 0
	edges := map[[2]uint64]bool{}
	note := func(actions []Action) {
		for _, a := range actions {
			switch a := a.(type) {
			case Duty:
				duties[a.Viewer] = a.Duties
			case Introduce:
				edges[pair(a.A, a.B)] = true
			}
		}
	}
	for id := uint64(1); id <= 1000; id++ {
		note(handle(Join{Room: "channel", Viewer: id, Role: announce.Viewer, Renditions: []string{"360p"}, ISPKey: 1 + id%4}))
		note(handle(Report{Viewer: id, Ready: true, Neighbours: 8, Renditions: []string{"360p"}}))
		if id == 150 {
			if got := s.Rooms("channel"); !slices.Equal(got, []int{150}) {
				t.Errorf("150 viewers are in rooms of %v, want one", got)
			}
		}
	}
	note(handle(Report{Viewer: 10_000, Ready: true, Neighbours: 48}))
	sizes := s.Rooms("channel")
	for i, n := range sizes {
		if n < 75 || n > 150 {
			t.Errorf("room %d of %v has %d viewers, want 75 to 150", i, sizes, n)
		}
	}
	if viewers, seeders := s.Size("channel"); viewers != 1000 || seeders != 1 {
		t.Errorf("the channel has %d viewers and %d seeders", viewers, seeders)
	}
	// The seeder knows viewers of every room, and may have duties in all.
	met := make([]bool, len(sizes))
	for p := range edges {
		if p[1] == 10_000 {
			if room, ok := s.RoomOf(p[0]); ok {
				met[room] = true
			}
		}
	}
	if slices.Contains(met, false) {
		t.Errorf("the seeder knows viewers of rooms %v", met)
	}
	for _, d := range duties[10_000] {
		seeder += bits.OnesCount16(d.Stripes)
	}
	if seeder < len(sizes) {
		t.Errorf("the seeder has %d stripes of %d rooms", seeder, len(sizes))
	}
	// When most have gone, the rest comes together again.
	for id := uint64(1); id <= 960; id++ {
		note(handle(Leave{Viewer: id}))
	}
	if got := s.Rooms("channel"); len(slices.DeleteFunc(got, func(n int) bool { return n == 0 })) != 1 {
		t.Errorf("40 viewers are in rooms of %v", got)
	}
}

// In every room all stripes have holders while rooms split and come together: the model looks after each event.
func TestEveryRoomHasItsDutiesWhileRoomsComeAndGo(t *testing.T) {
	m := newModel(fatal{t}, Config{RoomSize: 24, Degree: 4, MaxDegree: 6})
	rng := random{7}
	present := []uint64{}
	m.handle(0, Join{Room: "room", Viewer: 1, Role: announce.Seeder})
	m.handle(0, Report{Viewer: 1, Ready: true})
	most := 0
	for step := range 400 {
		now := int64(step) * 1000
		if grows := step < 200; grows && rng.below(5) > 0 || len(present) == 0 {
			id := uint64(step + 2)
			present = append(present, id)
			m.handle(now, Join{Room: "room", Viewer: id, Role: announce.Viewer, Renditions: []string{"360p"}, RegionKey: uint64(1 + rng.below(3))})
			m.handle(now, Report{Viewer: id, Ready: true, Neighbours: 4, Renditions: []string{"360p"}})
		} else {
			i := rng.below(len(present))
			m.handle(now, Leave{Viewer: present[i]})
			present = slices.Delete(present, i, i+1)
		}
		m.handle(now, Tick{})
		most = max(most, len(m.swarm.channels["room"].rooms))
	}
	if most < 4 {
		t.Errorf("there were at most %d rooms; this test is about many", most)
	}
}
