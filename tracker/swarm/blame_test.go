package swarm

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slipstream/tracker/announce"
)

// apartRoom is a room in which everybody is in a subnet of his own, with a minute to settle.
func apartRoom(t rapid.TB, cfg Config, n int) *model {
	return apartRoomOf(t, cfg, n, func(uint64) uint64 { return 0 })
}

func apartRoomOf(t rapid.TB, cfg Config, n int, isp func(id uint64) uint64) *model {
	m := newModel(t, cfg)
	for id := uint64(1); id <= uint64(n); id++ {
		m.handle(int64(id), Join{Room: "room", Viewer: id, Role: announce.Viewer, SubnetKey: id, ISPKey: isp(id), Renditions: []string{"360p"}})
	}
	for s := int64(1); s <= 60; s++ {
		m.handle(s*1000, Tick{})
	}
	return m
}

func (m *model) accuse(nowMs int64, by uint64, whom ...uint64) {
	r := readyReport(int(by-1), nil)
	r.Neighbours = len(m.swarm.viewers.Get(by).edges)
	for _, id := range whom {
		r.Dropped = append(r.Dropped, Drop{id, announce.BadLeaf})
	}
	m.handle(nowMs, r)
}

func (m *model) neighboursOf(id uint64) (out []uint64) {
	for _, e := range m.swarm.viewers.Get(id).edges {
		out = append(out, e.to.id)
	}
	return out
}

func TestWhoSendsBadLeavesIsShutOutAndThenExpelled(t *testing.T) {
	m := apartRoom(t, Config{Seed: 5}, 40)
	bad := m.swarm.viewers.Get(20)
	m.handle(90_000, readyReport(19, nil))
	now, witnesses := int64(100_000), 0
	for len(bad.edges) > 0 && !m.expels[20] {
		m.accuse(now, m.neighboursOf(20)[0], 20)
		witnesses++
		now += 1000
		if bad.suspended && m.holds(20) > 0 {
			t.Fatal("it is shut out and still has duties")
		}
	}
	if !m.expels[20] || witnesses > 12 {
		t.Fatalf("expelled: %v, after %d witnesses", m.expels[20], witnesses)
	}
	left := len(bad.edges)
	for ; now < 400_000; now += 1000 {
		m.handle(now, Tick{})
	}
	if len(bad.edges) > left {
		t.Errorf("it was given %d more neighbours", len(bad.edges)-left)
	}
}

// The promise to honest viewers: with fewer than Accusers independent liars among a viewer's neighbours nothing happens
// to it, whatever they say, how often they say it, and however often they come back.
func TestTooFewLiarsHarmNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := apartRoom(t, Config{Seed: rapid.Uint32().Draw(t, "seed")}, rapid.IntRange(4, 40).Draw(t, "honest"))
		honest := len(m.room)
		next, now := uint64(1000), int64(100_000)
		var liars []uint64
		for range rapid.IntRange(1, 60).Draw(t, "moves") {
			now += rapid.Int64Range(0, 60_000).Draw(t, "pause")
			m.handle(now, Tick{})
			if len(liars) < 4 {
				next++
				liars = append(liars, next)
				m.handle(now, Join{Room: "room", Viewer: next, Role: announce.Viewer, SubnetKey: 5000 + next%2, Renditions: []string{"360p"}})
				continue
			}
			i := rapid.IntRange(0, len(liars)-1).Draw(t, "liar")
			if rapid.IntRange(0, 4).Draw(t, "leaves") == 0 {
				m.handle(now, Leave{Viewer: liars[i]})
				liars = append(liars[:i], liars[i+1:]...)
				continue
			}
			m.accuse(now, liars[i], m.neighboursOf(liars[i])...)
		}
		for id := uint64(1); id <= uint64(honest); id++ {
			if v := m.swarm.viewers.Get(id); v.suspended || m.expels[id] {
				t.Fatalf("two liars of one network each shut %d out: %v", id, v.accusations)
			}
		}
	})
}

// Sybils: two for every honest viewer, who accuse each honest one that they meet, from the first moment on and for an hour; the
// honest ones have nothing to say. Of sixteen networks they do next to no harm, whether they speak of whomever they meet or save
// their words for the same few; of a network each they are most of the room by any measure, and are held to the bound on a room.
func TestSybilsTwoToOneHarmFew(t *testing.T) {
	const honest, sybils = 100, 200
	for name, c := range map[string]struct {
		networks         uint64
		victims          uint64 // whom they speak of, the first so many
		expelled, silent int    // at most: whose visit ends; who is suspended
	}{
		"of sixteen networks":             {16, honest, 0, 3},
		"of sixteen networks, in concert": {16, 6, 6, 6},
		"of a network each, for an hour":  {sybils, honest, 18, honest},
	} {
		t.Run(name, func(t *testing.T) {
			m := apartRoom(t, Config{Seed: 3}, honest)
			isHonest := func(id uint64) bool { return id <= honest }
			for n := range uint64(sybils) {
				m.handle(61_000+int64(n)*10, Join{
					Room: "room", Viewer: honest + 1 + n, Role: announce.Viewer, SubnetKey: 1_000 + n%c.networks, Renditions: []string{"360p"},
				})
			}
			for nowMs := int64(64_000); nowMs < 3_600_000; nowMs += 5_000 {
				for id := uint64(honest + 1); id <= honest+sybils; id++ {
					var known []uint64
					for _, other := range m.neighboursOf(id) {
						if other <= c.victims && !m.expels[other] {
							known = append(known, other)
						}
					}
					if len(known) > 0 {
						m.accuse(nowMs, id, known...)
					}
				}
				m.handle(nowMs, Tick{})
			}
			expelled, silent, alone := 0, 0, 0
			for id := uint64(1); isHonest(id); id++ {
				v := m.swarm.viewers.Get(id)
				if m.expels[id] {
					expelled++
				} else if v.suspended {
					silent++
				}
				if !slices.ContainsFunc(m.neighboursOf(id), isHonest) {
					alone++
				}
			}
			t.Logf("of %d honest viewers %d are expelled, %d suspended, %d without an honest neighbour", honest, expelled, silent, alone)
			if expelled > c.expelled || silent > c.silent || alone > expelled+silent {
				t.Errorf("%d are expelled, %d suspended and %d without an honest neighbour", expelled, silent, alone)
			}
		})
	}
}

func TestANetworkHasOneVoice(t *testing.T) {
	m := newModel(t, Config{Seed: 5})
	for id := uint64(1); id <= 11; id++ { // 1 to 5 are of one network
		m.handle(int64(id), Join{Room: "room", Viewer: id, Role: announce.Viewer, SubnetKey: 100 + max(id, 5), Renditions: []string{"360p"}})
	}
	m.accuse(1000, 1, 6, 7)
	m.accuse(2000, 2, 6, 8)
	m.handle(2500, Leave{Viewer: 1})
	m.handle(2600, Join{Room: "room", Viewer: 12, Role: announce.Viewer, SubnetKey: 105, Renditions: []string{"360p"}})
	m.accuse(3000, 12, 6, 9, 10, 11)
	for id, want := range map[uint64]int{6: 1, 7: 1, 8: 1, 9: 1, 10: 0, 11: 0} {
		if got := len(m.swarm.viewers.Get(id).accusations); got != want {
			t.Errorf("%d is accused %d times, want %d", id, got, want)
		}
	}
	m.accuse(3_700_000, 3, 10)
	if got := len(m.swarm.viewers.Get(10).accusations); got != 1 {
		t.Errorf("an hour later the network is not heard: %d", got)
	}
}

func TestASeederIsNotJudged(t *testing.T) {
	m := apartRoom(t, Config{Seed: 5}, 20)
	m.handle(61_000, Join{Room: "room", Viewer: 99, Role: announce.Seeder})
	m.handle(62_000, Tick{})
	for i, id := range m.neighboursOf(99) {
		m.accuse(70_000+int64(i), id, 99)
	}
	if v := m.swarm.viewers.Get(99); v.suspended || m.expels[99] || len(v.edges) > 0 {
		t.Errorf("it is suspended: %v, expelled: %v, and has %d neighbours of those who want none of it", v.suspended, m.expels[99], len(v.edges))
	}
}

// Three of ten lie about everybody they meet, all from networks of their own, and send bad leaves besides; the others
// tell the truth. Nearly all liars must go, and nearly all honest ones stay, also where the liars are all with one ISP, which has as
// many honest viewers.
func TestARoomWithThirtyPercentLiarsIsJust(t *testing.T) {
	const n = 200
	for seed := range uint32(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := apartRoomOf(t, Config{Seed: seed}, n, func(id uint64) uint64 {
				switch {
				case seed%2 == 0:
					return 0
				case id%10 < 6:
					return 1
				}
				return 2 + id%3
			})
			bad := func(id uint64) bool { return id%10 < 3 }
			for round := range int64(60) {
				now := 100_000 + round*5_000
				for id := uint64(1); id <= n; id++ {
					if m.expels[id] {
						if m.room[id] != "" {
							m.handle(now, Leave{Viewer: id})
						}
						continue
					}
					var accused []uint64
					for _, other := range m.neighboursOf(id) {
						if bad(id) || bad(other) {
							accused = append(accused, other)
						}
					}
					// Liars and polluters show themselves one leaf at a time.
					if len(accused) > 0 {
						m.accuse(now, id, accused[0])
					}
				}
				m.handle(now, Tick{})
			}
			gone, harmed := 0, 0
			for id := uint64(1); id <= n; id++ {
				v := m.swarm.viewers.Get(id)
				out := v == nil || v.suspended || m.expels[id]
				switch {
				case out && bad(id):
					gone++
				case out:
					harmed++
				}
			}
			if gone < 50 || harmed > 4 {
				t.Errorf("%d of 60 liars were shut out, and %d of 140 honest viewers", gone, harmed)
			}
			t.Logf("%d of 60 liars were shut out, %d of 140 honest viewers", gone, harmed)
		})
	}
}

func TestALiarCountsAgainstFewAndNotAtAllWhenFoundOut(t *testing.T) {
	m := apartRoom(t, Config{Seed: 5}, 12)
	m.accuse(100_000, 1, 2, 3, 4, 5, 6, 7)
	accused := 0
	for id := uint64(2); id <= 12; id++ {
		accused += len(m.swarm.viewers.Get(id).accusations)
	}
	if accused != maxAccused {
		t.Errorf("one accuser counts against %d in an hour, want %d", accused, maxAccused)
	}
	for id := uint64(2); id <= 12; id++ {
		m.accuse(101_000, id, 1)
	}
	if !m.swarm.viewers.Get(1).suspended {
		t.Fatal("the liar was not shut out")
	}
	for id := uint64(2); id <= 12; id++ {
		if held := m.swarm.viewers.Get(id).accusations; len(held) > 0 {
			t.Errorf("what the liar said still counts against %d: %v", id, held)
		}
	}
}
