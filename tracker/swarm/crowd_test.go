package swarm

import (
	"testing"

	"slipstream/tracker/announce"
)

// judgeCrowds holds that everybody is counted once, and what is told of one's neighbours to the census of all.
func (m *model) judgeCrowds() {
	near := map[string]Census{}
	viewers := map[string]int{}
	for v := range m.swarm.viewers.All() {
		id := v.id
		if v.seeder {
			continue
		}
		n := near[v.channel.name]
		same, other, unplaced := m.swarm.Near(id)
		if same+other+unplaced != len(v.edges) {
			m.t.Fatalf("viewer %d has %d neighbours, told are %d, %d and %d", id, len(v.edges), same, other, unplaced)
		}
		n.Local += same
		n.Placed += same + other
		near[v.channel.name] = n
		viewers[v.channel.name]++
	}
	for name, n := range near {
		if all := m.swarm.Census(name); 2*all.Local != n.Local || 2*all.Placed != n.Placed {
			m.t.Fatalf("the census of %s is %+v, its viewers' is twice %+v", name, all, n)
		}
		counted := 0
		for _, crowd := range m.swarm.Crowds(name) {
			counted += crowd.All()
		}
		if counted != viewers[name] {
			m.t.Fatalf("%d of the %d viewers of %s are counted", counted, viewers[name], name)
		}
	}
}

func TestViewersAreCountedByISPAndState(t *testing.T) {
	s := New(Config{})
	join := func(id, isp uint64, noUpload bool) {
		s.Handle(0, Join{Room: "room", Viewer: id, Role: announce.Viewer, Renditions: []string{"360p"}, ISPKey: isp, NoUpload: noUpload})
	}
	join(1, 3215, false)
	join(2, 3215, false)
	join(3, 3215, true)
	join(4, 0, false)
	s.Handle(0, Join{Room: "room", Viewer: 9, Role: announce.Seeder, ISPKey: 3215})
	s.Handle(0, Join{Room: "another", Viewer: 10, Role: announce.Viewer, ISPKey: 3215})
	s.Handle(0, Report{Viewer: 1, Ready: true, Renditions: []string{"360p"}, Neighbours: 3})
	s.layOff(s.viewers.Get(4))
	got := s.Crowds("room")
	if want := (Crowd{Waiting: 1, Sharing: 1, Taking: 1}); got[3215] != want {
		t.Errorf("of AS3215: %v, want %v", got[3215], want)
	}
	if want := (Crowd{Resting: 1}); got[0] != want || len(got) != 2 {
		t.Errorf("of an unknown ISP: %v in %v, want %v", got[0], got, want)
	}
	if same, other, unplaced := s.Near(1); same != 2 || other != 0 || unplaced != 1 { // the seeder
		t.Errorf("viewer 1 has %d, %d, %d neighbours", same, other, unplaced)
	}
	if same, other, unplaced := s.Near(77); same+other+unplaced != 0 || len(s.Crowds("nowhere")) != 0 {
		t.Error("nobody has neighbours, or nowhere is a crowd")
	}
}
