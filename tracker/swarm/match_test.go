package swarm

import (
	"fmt"
	"testing"

	"slipstream/tracker/announce"
)

// crowd lets n viewers join, everyMs apart, with a tick every second, and settles for a minute.
func crowd(t testing.TB, cfg Config, n int, everyMs int64, isp func(i int) uint64) *model {
	m := newModel(fatal{t}, cfg)
	nowMs, tickMs := int64(0), int64(1000)
	for i := range n {
		for ; tickMs <= nowMs; tickMs += 1000 {
			m.handle(tickMs, Tick{})
		}
		key := uint64(0)
		if isp != nil {
			key = isp(i)
		}
		m.handle(nowMs, Join{Room: "room", Viewer: uint64(i + 1), Role: announce.Viewer, ISPKey: key, Renditions: []string{"360p"}})
		nowMs += everyMs
	}
	for range 60 {
		m.handle(tickMs, Tick{})
		tickMs += 1000
	}
	return m
}

// fatal lets the model judge outside of rapid.
type fatal struct{ testing.TB }

func TestALargeRoomIsARandomGraph(t *testing.T) {
	for _, c := range []struct {
		name    string
		everyMs int64
	}{{"all within two seconds", 5}, {"one every three seconds", 3000}} {
		t.Run(c.name, func(t *testing.T) {
			m := crowd(t, Config{Seed: 7}, 400, c.everyMs, nil)
			r := m.swarm.channels["room"].rooms[0]
			lowest, sum := 99, 0
			for _, v := range r.members.items {
				lowest = min(lowest, len(v.edges))
				sum += len(v.edges)
			}
			if lowest < 4 {
				t.Errorf("somebody has only %d neighbours", lowest)
			}
			if mean := sum / 400; mean < 8 || mean > 10 {
				t.Errorf("the mean degree is %d, want 8 to 10", mean)
			}
			for _, v := range []*viewer{m.swarm.viewers[1], m.swarm.viewers[200], m.swarm.viewers[400]} {
				if d := diameterFrom(v, 400); d > 7 {
					t.Errorf("from viewer %d, the farthest is %d steps away, want at most 7", v.id, d)
				}
			}
		})
	}
}

// diameterFrom is the number of steps to the farthest of n viewers; n if not all are reached.
func diameterFrom(v *viewer, n int) int {
	steps := map[*viewer]int{v: 0}
	queue := []*viewer{v}
	for i := 0; i < len(queue); i++ {
		for _, e := range queue[i].edges {
			if _, ok := steps[e.to]; !ok {
				steps[e.to] = steps[queue[i]] + 1
				queue = append(queue, e.to)
			}
		}
	}
	if len(queue) < n {
		return n
	}
	return steps[queue[n-1]]
}

func TestHalfOfTheNeighboursAreNear(t *testing.T) {
	// Ten ISPs with thirty each: by chance one neighbour in ten would be near.
	m := crowd(t, Config{Seed: 3}, 300, 10, func(i int) uint64 { return uint64(1 + i%10) })
	near, all := 0, 0
	for p := range m.edges {
		all++
		if p[0]%10 == p[1]%10 {
			near++
		}
	}
	if share := 100 * near / all; share < 35 || share > 70 {
		t.Errorf("%d %% of the neighbours have the same ISP, want about half", share)
	}
}

func TestNeighboursPreferTheSameRendition(t *testing.T) {
	m := newModel(fatal{t}, Config{Seed: 3})
	plays := func(id uint64) string { return fmt.Sprint("r", id%8) }
	for id := uint64(1); id <= 400; id++ {
		m.handle(int64(id), Join{Room: "room", Viewer: id, Role: announce.Viewer, Renditions: []string{plays(id)}})
	}
	same := 0
	for p := range m.edges {
		if plays(p[0]) == plays(p[1]) {
			same++
		}
	}
	if share := 100 * same / len(m.edges); share < 35 || share > 70 {
		t.Errorf("%d %% of the neighbours play the same rendition, want about half", share)
	}
}

func TestEverybodyGetsASeederWhileSeedersHaveRoom(t *testing.T) {
	m := newModel(fatal{t}, Config{Seed: 3})
	for id := uint64(1); id <= 2; id++ {
		m.handle(0, Join{Room: "room", Viewer: id, Role: announce.Seeder})
	}
	for id := uint64(3); id <= 42; id++ {
		m.handle(int64(id), Join{Room: "room", Viewer: id, Role: announce.Viewer, Renditions: []string{"360p"}})
		if !m.edges[pair(1, id)] && !m.edges[pair(2, id)] {
			t.Errorf("viewer %d knows no seeder", id)
		}
	}
}

func TestWhoLosesNeighboursGetsOthersWithinASecond(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 60, 10, nil)
	for id := uint64(1); id <= 30; id++ {
		m.handle(100_000, Leave{Viewer: id})
	}
	m.handle(101_000, Tick{})
	for _, v := range m.swarm.channels["room"].rooms[0].members.items {
		if len(v.edges) < 8 {
			t.Errorf("viewer %d was left with %d neighbours", v.id, len(v.edges))
		}
	}
}

func TestASteadyRoomIsQuiet(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 100, 10, nil)
	for round := range int64(5) {
		for id := uint64(1); id <= 100; id++ {
			got := m.handle(100_000+round*5000, Report{
				Viewer: id, Ready: true, Neighbours: len(m.swarm.viewers[id].edges), Renditions: []string{"360p"}, UplinkBps: 2_000_000 + round*100_000,
			})
			if round > 0 && len(got) > 0 {
				t.Fatalf("round %d, viewer %d: nothing happened, but %v", round, id, got)
			}
		}
		m.handle(100_000+round*5000, Tick{})
	}
}

func TestDutiesMoveLittleWhenAViewerLeaves(t *testing.T) {
	m := crowd(t, Config{Seed: 9}, 200, 10, nil)
	for id := uint64(1); id <= 200; id++ {
		m.handle(100_000, Report{Viewer: id, Ready: true, Neighbours: 8, Renditions: []string{"360p"}})
	}
	told, holders := 0, 0
	for id := uint64(1); id <= 100; id++ {
		if len(m.duties[id]) > 0 {
			holders++
		}
		for _, a := range m.handle(101_000, Leave{Viewer: id}) {
			if _, ok := a.(Duty); ok {
				told++
			}
		}
	}
	if holders == 0 || told > holders*announce.Stripes {
		t.Errorf("%d holders left, %d duties were sent", holders, told)
	}
	if told > 100*3 {
		t.Errorf("%d duties were sent for 100 leavers, most of whom held nothing", told)
	}
}

func BenchmarkFlashCrowd(b *testing.B) {
	for b.Loop() {
		s := New(Config{Seed: 1})
		for id := uint64(1); id <= 5000; id++ {
			s.Handle(int64(id), Join{Room: "room", Viewer: id, Role: announce.Viewer, SubnetKey: id % 300, Renditions: []string{"360p"}})
			s.Handle(int64(id)+1, Report{Viewer: id, Ready: true, Neighbours: 1, Renditions: []string{"360p"}})
		}
	}
}

func BenchmarkSteadyReport(b *testing.B) {
	s := New(Config{Seed: 1})
	plays := []string{"360p"}
	for id := uint64(1); id <= 5000; id++ {
		s.Handle(int64(id), Join{Room: "room", Viewer: id, Role: announce.Viewer, Renditions: plays})
		s.Handle(int64(id), Report{Viewer: id, Ready: true, Neighbours: 8, Renditions: plays})
	}
	for b.Loop() {
		s.Handle(10_000, Report{Viewer: 77, Ready: true, Neighbours: 12, Renditions: plays})
	}
}
