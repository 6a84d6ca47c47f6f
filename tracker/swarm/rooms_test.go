package swarm

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slipstream/tracker/announce"
)

// zipf draws from 0 … n−1, the i-th 1/(i+1) times as often as the first.
func zipf(draw *random, n int) int {
	const first = 10_000
	sum := 0
	for i := range n {
		sum += first / (i + 1)
	}
	at := draw.below(sum)
	for i := range n {
		if at -= first / (i + 1); at < 0 {
			return i
		}
	}
	return n - 1
}

// provinces lets viewers come whose ISPs have Zipf's shares, three in each region.
func provinces(t testing.TB, cfg Config, viewers, isps int) *Swarm {
	s, draw := New(cfg), random{cfg.Seed}
	for id := uint64(1); id <= uint64(viewers); id++ {
		isp := zipf(&draw, isps)
		s.Handle(int64(id), Join{
			Room: "channel", Viewer: id, Role: announce.Viewer, Renditions: []string{"360p"},
			ISPKey: uint64(isp + 1), RegionKey: uint64(isp/3 + 1), SubnetKey: uint64(1000 + draw.below(viewers)),
		})
	}
	for now := int64(viewers); now < int64(viewers)+30_000; now += 1000 {
		s.Handle(now, Tick{})
	}
	return s
}

func TestRoomsGatherISPs(t *testing.T) {
	s := provinces(t, Config{Seed: 5, RoomSize: 200}, 3000, 40)
	sizes := s.Rooms("channel")
	if len(sizes) < 10 || slices.Min(sizes) < 60 || slices.Max(sizes) > 300 {
		t.Errorf("3000 viewers are in rooms of %v", sizes)
	}
	// A viewer's own room holds most of those whom it shall meet.
	here, all, near, edges := 0, 0, 0, 0
	of := map[uint64]int{}
	for v := range s.viewers.All() {
		of[v.isp]++
	}
	for v := range s.viewers.All() {
		here += min(v.around[inISP].len(), 100)
		all += min(of[v.isp], 100)
		for _, e := range v.edges {
			edges++
			if e.to.isp == v.isp {
				near++
			}
		}
	}
	if share := 100 * here / all; share < 85 {
		t.Errorf("%d %% of those with a viewer's ISP (of up to 100) are in its room, want 85", share)
	}
	if share := 100 * near / edges; share < 65 {
		t.Errorf("%d %% of the neighbours have the same ISP, want 65", share)
	}
}

func TestASplitCutsNoConnectionAndFewPairsApart(t *testing.T) {
	for name, isps := range map[string]int{"forty ISPs": 40, "one ISP": 1} {
		t.Run(name, func(t *testing.T) {
			s := provinces(t, Config{Seed: 5, RoomSize: 200}, 300, isps)
			if n := len(s.Rooms("channel")); n != 1 {
				t.Fatalf("there are %d rooms already", n)
			}
			var edges [][2]uint64
			for v := range s.viewers.All() {
				id := v.id
				for _, e := range v.edges {
					if id < e.to.id {
						edges = append(edges, pair(id, e.to.id))
					}
				}
			}
			actions := s.Handle(60_000, Join{Room: "channel", Viewer: 301, Role: announce.Viewer, Renditions: []string{"360p"}, ISPKey: 1, RegionKey: 1})
			if n := len(s.Rooms("channel")); n != 2 {
				t.Fatalf("there are %d rooms, want two", n)
			}
			parted := 0
			for _, a := range actions {
				if _, ok := a.(Part); ok {
					parted++
				}
			}
			if parted > s.cfg.MaxDegree { // to make room for the newcomer
				t.Errorf("%d pairs were parted", parted)
			}
			apart := 0
			for _, p := range edges {
				if s.viewers.Get(p[0]).room != s.viewers.Get(p[1]).room {
					apart++
				}
			}
			if share := 100 * apart / len(edges); isps > 1 && share > 33 { // half, if chance decided
				t.Errorf("%d %% of the pairs are in different rooms from now on, want at most a third", share)
			}
		})
	}
}

// Whatever came before, when nothing happens any more everybody finds neighbours and no room is in pieces, but for those who may
// not meet. Degrees, subnets and symmetry are the model's matter.
func TestItSettlesAfterAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Config{Seed: rapid.Uint32().Draw(t, "seed"), Degree: 6, MaxDegree: 8, RoomSize: 24})
		nowMs, next := int64(1_700_000_000_000), uint64(0)
		for range rapid.IntRange(1, 150).Draw(t, "events") {
			nowMs += rapid.Int64Range(0, 5_000).Draw(t, "pause")
			s.Handle(nowMs, drawEvent(t, &next))
		}
		var waiting map[*viewer]int // how many ticks in a row each was nearly alone and could have met somebody
		for range 60 {
			nowMs += maxSearchMs
			s.Handle(nowMs, Tick{})
			before := waiting
			waiting = map[*viewer]int{}
			for v := range s.viewers.All() {
				if s.leftOut(v) {
					waiting[v] = before[v] + 1
				}
			}
		}
		for v, ticks := range waiting {
			if ticks > 5 {
				t.Fatalf("%d knows %d others, wants %d, and meets nobody", v.id, len(v.edges), s.wanted(v))
			}
		}
		for _, c := range s.channels {
			for _, r := range c.rooms {
				checkConnected(t, s, r)
			}
		}
	})
}

// leftOut tells whether v has fewer than half as many neighbours as it wants and somebody would have room for it.
func (s *Swarm) leftOut(v *viewer) bool {
	return v.room != nil && !v.suspended && 2*len(v.edges) < s.wanted(v) &&
		slices.ContainsFunc(v.room.members.items, func(w *viewer) bool { return s.suits(v, w) })
}

func checkConnected(t *rapid.T, s *Swarm, r *room) {
	var fit []*viewer
	for _, v := range r.members.items {
		if len(v.edges) > 0 {
			fit = append(fit, v)
		}
	}
	if len(fit) == 0 {
		return
	}
	reached := map[*viewer]bool{fit[0]: true}
	queue := []*viewer{fit[0]}
	for i := 0; i < len(queue); i++ {
		for _, e := range queue[i].edges {
			if !reached[e.to] {
				reached[e.to] = true
				queue = append(queue, e.to)
			}
		}
	}
	for _, v := range fit {
		for w := range reached {
			if !reached[v] && w.room == r && !w.noUpload && s.compatible(v, w) {
				t.Fatalf("in a room of %d, %d is not connected with %d others, and could meet %d", r.members.len(), v.id, len(reached)-1, w.id)
			}
		}
	}
}
