package swarm

import (
	"fmt"
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
	r.Neighbours = len(m.swarm.viewers[by].edges)
	for _, id := range whom {
		r.Dropped = append(r.Dropped, Drop{id, announce.BadLeaf})
	}
	m.handle(nowMs, r)
}

func (m *model) neighboursOf(id uint64) (out []uint64) {
	for _, e := range m.swarm.viewers[id].edges {
		out = append(out, e.to.id)
	}
	return out
}

func TestWhoSendsBadLeavesIsShutOutAndThenExpelled(t *testing.T) {
	m := apartRoom(t, Config{Seed: 5}, 40)
	bad := m.swarm.viewers[20]
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
			if v := m.swarm.viewers[id]; v.suspended || m.expels[id] {
				t.Fatalf("two liars of one network each shut %d out: %v", id, v.accusations)
			}
		}
	})
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
				v := m.swarm.viewers[id]
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
		accused += len(m.swarm.viewers[id].accusations)
	}
	if accused != maxAccused {
		t.Errorf("one accuser counts against %d in an hour, want %d", accused, maxAccused)
	}
	for id := uint64(2); id <= 12; id++ {
		m.accuse(101_000, id, 1)
	}
	if !m.swarm.viewers[1].suspended {
		t.Fatal("the liar was not shut out")
	}
	for id := uint64(2); id <= 12; id++ {
		if held := m.swarm.viewers[id].accusations; len(held) > 0 {
			t.Errorf("what the liar said still counts against %d: %v", id, held)
		}
	}
}
