package swarm

import (
	"testing"

	"slipstream/tracker/announce"
)

// judgeCensus holds the counts, which are kept as pairs come and go, to a count of all there are.
func (m *model) judgeCensus() {
	want := map[string]Census{}
	for v := range m.swarm.viewers.All() {
		n := want[v.channel.name]
		for _, e := range v.edges {
			n.Pairs++
			if v.isp != 0 && e.to.isp != 0 && !v.seeder && !e.to.seeder {
				n.Placed++
				if v.isp == e.to.isp {
					n.Local++
				}
			}
		}
		want[v.channel.name] = n
	}
	for name, w := range want {
		if n := m.swarm.Census(name); 2*n.Pairs != w.Pairs || 2*n.Placed != w.Placed || 2*n.Local != w.Local {
			m.t.Fatalf("the census of %s is %+v, there are twice %+v", name, n, w)
		}
	}
}

func TestTheCensusTellsCopiesAndISPs(t *testing.T) {
	s := New(Config{Copies: 2})
	for id := range uint64(40) {
		s.Handle(0, Join{Room: "room", Viewer: id + 1, Role: announce.Viewer, Renditions: []string{"360p"}, ISPKey: 1 + id%2})
		s.Handle(0, Report{Viewer: id + 1, Ready: true, Renditions: []string{"360p"}})
	}
	s.Handle(0, Join{Room: "room", Viewer: 99, Role: announce.Seeder, ISPKey: 1})
	n := s.Census("room")
	if n.Rooms != 1 || n.Players != 40 || n.Holders != 80 {
		t.Errorf("got %+v; want a room whose 40 players have two copies", n)
	}
	if n.Local == 0 || n.Local >= n.Placed || n.Placed >= n.Pairs {
		t.Errorf("got %+v; want pairs within an ISP, pairs across, and a seeder's, which count as neither", n)
	}
	if none := s.Census("another"); none != (Census{}) {
		t.Errorf("a channel without anybody has %+v", none)
	}
}
