package swarm

import "testing"

// measuring lets everybody of a room tell all its round trips every ten seconds.
func measuring(m *model, fromMs int64, seconds int, rtt func(a, b uint64) int64) (nowMs int64) {
	nowMs = fromMs
	for range seconds {
		nowMs += 1000
		if nowMs%10_000 == 0 {
			for id := uint64(1); m.room[id] != ""; id++ {
				r := Report{Viewer: id, Ready: true, Renditions: []string{"360p"}}
				for _, other := range m.neighboursOf(id) {
					r.Neighbours++
					r.RTTs = append(r.RTTs, RTT{other, rtt(id, other)})
				}
				m.handle(nowMs, r)
			}
		}
		m.handle(nowMs, Tick{})
	}
	return nowMs
}

func TestAViewerWithSlowNeighboursGetsOthers(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 60, 10, nil)
	slow := func(a, b uint64) int64 { // the way between 7 and two fifths of the room is bad: more could be what is usual for it
		if (a == 7 || b == 7) && (a+b)%5 < 2 {
			return 500
		}
		return 40
	}
	count := func() (n int) {
		for _, other := range m.neighboursOf(7) {
			if slow(7, other) > 40 {
				n++
			}
		}
		return n
	}
	before := count()
	if before <= slowStay {
		t.Fatalf("only %d of its neighbours are slow: this test is about more", before)
	}
	measuring(m, 100_000, 480, slow)
	if n, all := count(), len(m.neighboursOf(7)); n > slowStay || all < 8 {
		t.Errorf("%d of %d neighbours are slow, at first %d", n, all, before)
	}
}

func TestWhoIsFarFromAllKeepsItsNeighbours(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 100, 10, nil)
	now := measuring(m, 100_000, 120, func(a, b uint64) int64 { // every tenth is on another continent
		if (a%10 == 0) != (b%10 == 0) {
			return 300
		}
		return 40
	})
	for id := uint64(1); id <= 100; id++ {
		if n := len(m.neighboursOf(id)); n < 8 {
			t.Errorf("%d has %d neighbours", id, n)
		}
	}
	if far := diameterFrom(m.swarm.viewers.Get(10), 100); far > 6 {
		t.Errorf("from one of them the farthest is %d steps away", far)
	}
	introduced := 0
	for range 60 {
		now += 1000
		for _, a := range m.handle(now, Tick{}) {
			if _, ok := a.(Introduce); ok {
				introduced++
			}
		}
	}
	if introduced > 2 {
		t.Errorf("in a minute %d pairs were introduced, though all was settled", introduced)
	}
}

func TestStrangersGiveWayToThoseWithTheSameISP(t *testing.T) {
	// The first sixty meet when hardly anybody has their ISP.
	m := crowd(t, Config{Seed: 3}, 300, 10, func(i int) uint64 { return uint64(1 + i%15) })
	share := func() int {
		near, all := 0, 0
		for p := range m.edges {
			if all++; p[0]%15 == p[1]%15 {
				near++
			}
		}
		return 100 * near / all
	}
	for now := int64(100_000); now < 700_000; now += 1000 {
		m.swarm.Handle(now, Tick{})
	}
	m.edges = map[[2]uint64]bool{}
	strangers := map[uint64]int{}
	for v := range m.swarm.viewers.All() {
		id := v.id
		for _, e := range v.edges {
			m.edges[pair(id, e.to.id)] = true
		}
		strangers[v.isp] += v.strangers()
	}
	for isp, n := range strangers {
		if n < 30 {
			t.Errorf("the twenty viewers of ISP %d know %d strangers, want 30", isp, n)
		}
	}
	if n := share(); n < 70 {
		t.Errorf("%d %% of the neighbours have the same ISP, want 70", n)
	}
}
