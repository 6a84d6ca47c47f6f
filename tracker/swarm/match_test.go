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

func TestInARushNobodyHasFewerThanSix(t *testing.T) {
	s := New(Config{Seed: 3, RoomSize: 300})
	const stay, everyMs = 400, 6 // 2.4 s
	for i := range 3 * stay {
		nowMs := int64(i * everyMs)
		s.Handle(nowMs, Join{Room: "room", Viewer: uint64(i + 1), Role: announce.Viewer, Renditions: []string{"360p"}})
		if i%17 == 0 { // about ten times a second
			s.Handle(nowMs, Tick{Part: i / 17 % 10, Parts: 10})
		}
		if i < stay {
			continue
		}
		leaver := s.viewers.Get(uint64(i - stay + 1))
		for _, v := range []*viewer{leaver, s.viewers.Get(uint64(i + 1))} {
			if len(v.edges) < 6 {
				t.Errorf("%d has %d neighbours when %d comes", v.id, len(v.edges), i+1)
			}
		}
		s.Handle(nowMs, Leave{Viewer: leaver.id})
	}
}

func TestATickInPartsLooksAfterEverybody(t *testing.T) {
	m := newModel(fatal{t}, Config{Seed: 1})
	for id := uint64(1); id <= 40; id++ {
		m.handle(0, Join{Room: "room", Viewer: id, Role: announce.Viewer, Renditions: []string{"360p"}})
	}
	for _, nowMs := range []int64{10_000, 20_000} { // those who found nobody are looked after once more
		for part := range 7 {
			m.handle(nowMs, Tick{Part: part, Parts: 7})
		}
	}
	for id := uint64(1); id <= 40; id++ {
		if n := len(m.neighboursOf(id)); n < 9 {
			t.Errorf("%d has %d neighbours", id, n)
		}
	}
}

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
			if mean := sum / 400; mean < 9 || mean > 11 {
				t.Errorf("the mean degree is %d, want 9 to 11", mean)
			}
			for _, v := range []*viewer{m.swarm.viewers.Get(1), m.swarm.viewers.Get(200), m.swarm.viewers.Get(400)} {
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

func TestMostNeighboursAreNear(t *testing.T) {
	// Ten ISPs with thirty each: by chance one neighbour in ten would be near.
	m := crowd(t, Config{Seed: 3}, 300, 10, func(i int) uint64 { return uint64(1 + i%10) })
	near, all := 0, 0
	for p := range m.edges {
		all++
		if p[0]%10 == p[1]%10 {
			near++
		}
	}
	if share := 100 * near / all; share < 70 || share > 85 {
		t.Errorf("%d %% of the neighbours have the same ISP, want about four in five", share)
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
				Viewer: id, Ready: true, Neighbours: len(m.swarm.viewers.Get(id).edges), Renditions: []string{"360p"}, UplinkBps: 2_000_000 + round*100_000,
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

func TestFewNeighboursAreOfOneSubnet(t *testing.T) {
	for name, c := range map[string]struct {
		n, least int
		subnet   func(id uint64) uint64
		most     int
	}{
		"a third are in one":     {120, 4, func(id uint64) uint64 { return id }, subnetShare},
		"all are in one":         {40, 4, func(uint64) uint64 { return 9 }, 12},
		"a small room":           {9, 8, func(uint64) uint64 { return 9 }, 8},
		"nobody knows of anyone": {40, 4, func(uint64) uint64 { return 0 }, 12},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(fatal{t}, Config{Seed: 2})
			key := func(id uint64) uint64 {
				if name == "a third are in one" && id%3 == 0 {
					return 5000
				}
				return c.subnet(id)
			}
			for id := uint64(1); id <= uint64(c.n); id++ {
				m.handle(int64(id), Join{Room: "room", Viewer: id, Role: announce.Viewer, SubnetKey: key(id), Renditions: []string{"360p"}})
			}
			for s := int64(1); s < 120; s++ {
				m.handle(s*1000, Tick{})
			}
			for id := uint64(1); id <= uint64(c.n); id++ {
				if c.n > 12 && id <= 12 {
					continue // when they came, the room was small
				}
				of := map[uint64]int{}
				for _, other := range m.neighboursOf(id) {
					of[key(other)]++
				}
				for subnet, n := range of {
					if subnet != 0 && n > c.most {
						t.Errorf("%d has %d neighbours in subnet %d", id, n, subnet)
					}
				}
				if n := len(m.neighboursOf(id)); n < c.least && (c.most > subnetShare || key(id) != 5000) {
					t.Errorf("%d has only %d neighbours", id, n)
				}
			}
		})
	}
}

func TestThoseWhoUploadNothingMeetThoseWhoDo(t *testing.T) {
	for _, n := range []int{6, 80} {
		m := newModel(fatal{t}, Config{Seed: 2})
		idle := func(id uint64) bool { return id%3 == 0 }
		for id := uint64(1); id <= uint64(n); id++ {
			m.handle(int64(id), Join{Room: "room", Viewer: id, Role: announce.Viewer, NoUpload: idle(id), Renditions: []string{"360p"}})
		}
		for p := range m.edges {
			if idle(p[0]) && idle(p[1]) {
				t.Errorf("of %d viewers, %v were introduced, and neither passes anything on", n, p)
			}
		}
		for id := uint64(1); id <= uint64(n); id++ {
			if got := len(m.neighboursOf(id)); got < 4 {
				t.Errorf("%d of %d viewers has %d neighbours", id, n, got)
			}
		}
	}
}

func TestTwoBehindAwkwardTranslatorsAreNotIntroduced(t *testing.T) {
	m := newModel(fatal{t}, Config{Seed: 2})
	nat := func(id uint64) announce.NAT {
		if id%4 == 0 {
			return announce.AddressDependent
		}
		return announce.EndpointIndependent
	}
	for id := uint64(1); id <= 60; id++ {
		m.handle(int64(id), Join{Room: "room", Viewer: id, Role: announce.Viewer, NAT: nat(id), Renditions: []string{"360p"}})
	}
	for p := range m.edges {
		if p[0]%4 == 0 && p[1]%4 == 0 {
			t.Errorf("%v were introduced and cannot connect", p)
		}
	}
}

func TestAPairThatCannotConnectIsNotTriedAgainWhereThereAreOthers(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 60, 10, nil)
	other := m.neighboursOf(1)[0]
	m.handle(100_000, Report{Viewer: 1, Neighbours: 7, Renditions: []string{"360p"}, Dropped: []Drop{{other, announce.Unreachable}}})
	for now := int64(101_000); now < 4_000_000; now += 1000 {
		m.handle(now, Tick{})
		if now%50_000 == 0 { // it always needs somebody
			if edges := m.neighboursOf(1); len(edges) > 0 {
				m.handle(now, Report{Viewer: 1, Renditions: []string{"360p"}, Dropped: []Drop{{edges[0], announce.Full}}})
			}
		}
		if m.edges[pair(1, other)] {
			t.Fatalf("after %d s they were introduced again", now/1000-100)
		}
	}
}

func TestNobodySeesAWholeRoomInAMinute(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 300, 10, nil)
	met := map[uint64]bool{}
	for now := int64(100_000); now < 160_000; now += 500 {
		r := Report{Viewer: 7, Ready: true, Renditions: []string{"360p"}}
		for _, id := range m.neighboursOf(7) {
			met[id] = true
			r.Dropped = append(r.Dropped, Drop{id, announce.Stalled})
		}
		r.Dropped = r.Dropped[:min(len(r.Dropped), announce.MaxDropped)]
		m.handle(now, r)
		m.handle(now, Tick{})
	}
	// 36 at once and 30 a minute on its own account; others may still ask for it.
	if n := len(met); n < 30 || n > 90 {
		t.Errorf("one that drops everybody met %d of 299 in a minute", n)
	}
}
