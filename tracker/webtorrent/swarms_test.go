package webtorrent

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// stage is a tracker with clients on it, called by the numbers of their connections.
type stage struct {
	t      testing.TB
	swarms *Swarms[int]
	nowMs  int64
	out    Outcome[int]
}

func newStage(t testing.TB, l Limits) *stage { return &stage{t: t, swarms: New[int](l, 1)} }

func (s *stage) say(conn int, r Request) (Outcome[int], error) {
	r.Action = Announce
	err := s.swarms.Announce(s.nowMs, conn, &r, &s.out)
	return s.out, err
}

// announce has connection n announce peer n.
func (s *stage) announce(conn int, event Event, offers int) Outcome[int] {
	s.t.Helper()
	out, err := s.say(conn, Request{InfoHash: hash(1), PeerID: id(conn), Event: event, Offers: make([]Offer, offers)})
	if err != nil {
		s.t.Fatalf("peer %d was refused: %v", conn, err)
	}
	return out
}

func hash(n int) (h Hash) { copy(h[:], fmt.Sprintf("swarm %014d", n)); return h }
func id(n int) (i ID)     { copy(i[:], fmt.Sprintf("-WW0200-%012d", n)); return i }

func TestOffersGoToDifferentOthers(t *testing.T) {
	for _, peers := range []int{1, 2, 3, 6, 30, 500} {
		s := newStage(t, Limits{})
		for n := range peers {
			s.announce(n, Started, 0)
		}
		met := map[int]bool{}
		for range 40 * peers {
			out := s.announce(0, Update, 5)
			if want := min(5, peers-1); len(out.OffersTo) != want {
				t.Fatalf("of %d peers, %d were offered to, want %d", peers, len(out.OffersTo), want)
			}
			for i, to := range out.OffersTo {
				if to == 0 || slices.Contains(out.OffersTo[:i], to) {
					t.Fatalf("the offers of 0 went to %v", out.OffersTo)
				}
				met[to] = true
			}
		}
		if len(met) != peers-1 {
			t.Errorf("of %d others only %d ever got an offer", peers-1, len(met))
		}
	}
}

func TestOffersAreSpreadEvenly(t *testing.T) {
	for _, peers := range []int{12, 200} { // of both ways to draw
		s := newStage(t, Limits{})
		for n := range peers {
			s.announce(n, Started, 0)
		}
		const rounds = 20_000
		got := make([]int, peers)
		for range rounds {
			for _, to := range s.announce(0, Update, 5).OffersTo {
				got[to]++
			}
		}
		mean := float64(rounds*5) / float64(peers-1)
		for n := 1; n < peers; n++ {
			if f := float64(got[n]) / mean; f < 0.75 || f > 1.25 {
				t.Errorf("of %d peers, peer %d got %.2f times its share", peers, n, f)
			}
		}
	}
}

func TestASeedersOffersGoToLeechersFirst(t *testing.T) {
	s := newStage(t, Limits{})
	for n := range 50 {
		s.announce(n, Started, 0)
	}
	for n := 3; n < 50; n++ {
		s.announce(n, Completed, 0)
	}
	for range 100 {
		out := s.announce(49, Update, 5)
		to := slices.Sorted(slices.Values(out.OffersTo))
		if !slices.Equal(to[:3], []int{0, 1, 2}) || len(to) != 5 {
			t.Fatalf("a seeder's five offers went to %v, not to the three leechers and two more", to)
		}
	}
	seeders := 0
	for _, to := range s.announce(0, Update, 16).OffersTo {
		if to >= 3 {
			seeders++
		}
	}
	if seeders < 14 {
		t.Errorf("a leecher among 47 seeders met %d of them", seeders)
	}
}

func TestCounts(t *testing.T) {
	s := newStage(t, Limits{})
	steps := []struct {
		what string
		r    Request
		want Counts
	}{
		{"a leecher", Request{PeerID: id(1), Event: Started}, Counts{0, 1, 0}},
		{"a seeder", Request{PeerID: id(2), Event: Started, Seeder: true}, Counts{1, 1, 1}},
		{"again", Request{PeerID: id(2), Event: Started, Seeder: true}, Counts{1, 1, 1}},
		{"an update without left", Request{PeerID: id(2)}, Counts{1, 1, 1}},
		{"the leecher completes", Request{PeerID: id(1), Event: Completed}, Counts{2, 0, 2}},
		{"and says so twice", Request{PeerID: id(1), Event: Completed}, Counts{2, 0, 2}},
		{"one unknown completes", Request{PeerID: id(3), Event: Completed}, Counts{3, 0, 3}},
		{"one stops", Request{PeerID: id(3), Event: Stopped}, Counts{2, 0, 2}},
		{"one stops that never began", Request{PeerID: id(4), Event: Stopped}, Counts{2, 0, 2}},
		{"the others stop", Request{PeerID: id(1), Event: Stopped}, Counts{1, 0, 2}},
		{"the last one stops", Request{PeerID: id(2), Event: Stopped}, Counts{0, 0, 2}},
	}
	for _, step := range steps {
		step.r.InfoHash = hash(1)
		out, err := s.say(7, step.r)
		if err != nil || out.Counts != step.want {
			t.Errorf("%s: %+v, %v; want %+v", step.what, out.Counts, err, step.want)
		}
	}
	if swarms, peers := s.swarms.Len(); swarms != 0 || peers != 0 {
		t.Errorf("%d swarms and %d peers are left of nothing", swarms, peers)
	}
}

func TestAnswersReachWhomTheyAreFor(t *testing.T) {
	s := newStage(t, Limits{})
	s.announce(1, Started, 0)
	answer := Request{InfoHash: hash(1), PeerID: id(2), ToPeerID: id(1), Answer: []byte("{}")}
	if out, err := s.say(2, answer); err != nil || !out.Answered || out.AnswerTo != 1 {
		t.Errorf("the answer went to %v (%v), %v", out.AnswerTo, out.Answered, err)
	}
	answer.ToPeerID = id(9)
	if out, err := s.say(2, answer); err != nil || out.Answered {
		t.Errorf("an answer to nobody went to %v, %v", out.AnswerTo, err)
	}
	answer.ToPeerID, answer.InfoHash = id(1), hash(2)
	if out, err := s.say(2, answer); err != nil || out.Answered {
		t.Errorf("an answer reached another swarm: %v, %v", out.AnswerTo, err)
	}
}

func TestAPeerBelongsToItsConnection(t *testing.T) {
	s := newStage(t, Limits{})
	s.announce(1, Started, 0)
	for _, event := range []Event{Started, Update, Stopped} {
		if _, err := s.say(2, Request{InfoHash: hash(1), PeerID: id(1), Event: event}); !errors.Is(err, errPeerIDTaken) {
			t.Errorf("another connection's event %d was taken for the peer: %v", event, err)
		}
	}
	s.swarms.Leave(2, hash(1), id(1))
	if s.swarms.Scrape(hash(1)).Incomplete != 1 {
		t.Error("another connection's end took the peer along")
	}
	s.swarms.Leave(1, hash(1), id(1))
	if _, err := s.say(2, Request{InfoHash: hash(1), PeerID: id(1)}); err != nil {
		t.Errorf("the peer's new connection was refused: %v", err)
	}
}

func TestWhoSaysNothingIsForgotten(t *testing.T) {
	s := newStage(t, Limits{ExpiryMs: 1000})
	for n := range 100 {
		s.nowMs = int64(10 * n)
		s.announce(n, Event(n%2)*Completed, 0) // leechers and seeders in turn
	}
	s.nowMs = 1500 // who spoke at 500 or before is due
	s.swarms.Expire(s.nowMs)
	if c := s.swarms.Scrape(hash(1)); c.Complete+c.Incomplete != 49 {
		t.Errorf("%+v are left, want 49", c)
	}
	s.swarms.Each(func(conn int, _ ID, seeder bool) {
		if conn <= 50 || seeder != (conn%2 == 1) {
			t.Errorf("peer %d (a seeder: %v) is left", conn, seeder)
		}
	})
	s.nowMs = 9999
	s.swarms.Expire(s.nowMs)
	if swarms, peers := s.swarms.Len(); swarms+peers != 0 {
		t.Errorf("%d swarms and %d peers outlive their time", swarms, peers)
	}
}

func TestPlacesAreBounded(t *testing.T) {
	s := newStage(t, Limits{Swarms: 2, SwarmPeers: 3})
	for n := range 3 {
		s.announce(n, Started, 0)
	}
	if _, err := s.say(3, Request{InfoHash: hash(1), PeerID: id(3)}); !errors.Is(err, errSwarmFull) {
		t.Errorf("a fourth peer where three may be: %v", err)
	}
	if _, err := s.say(0, Request{InfoHash: hash(1), PeerID: id(0)}); err != nil {
		t.Errorf("one of the three was refused: %v", err)
	}
	if _, err := s.say(3, Request{InfoHash: hash(2), PeerID: id(3)}); err != nil {
		t.Errorf("a second swarm where two may be: %v", err)
	}
	if _, err := s.say(3, Request{InfoHash: hash(3), PeerID: id(3)}); !errors.Is(err, errTrackerFull) {
		t.Errorf("a third swarm where two may be: %v", err)
	}
	if _, err := s.say(3, Request{InfoHash: hash(4), PeerID: id(3), Event: Stopped}); err != nil {
		t.Errorf("stopping what was never there needs no place: %v", err)
	}
}

// TestAnyHistory compares with a model that could not be simpler.
func TestAnyHistory(t *testing.T) {
	type member struct{ hash, id int }
	type state struct {
		conn    int
		seeder  bool
		heardMs int64
	}
	rapid.Check(t, func(t *rapid.T) {
		s := &stage{swarms: New[int](Limits{SwarmPeers: 6, ExpiryMs: 50}, rapid.Uint64().Draw(t, "seed"))}
		model := map[member]state{}
		inSwarm := func(h int) (n int) {
			for m := range model {
				if m.hash == h {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m := member{rapid.IntRange(1, 3).Draw(t, "swarm"), rapid.IntRange(1, 9).Draw(t, "peer")}
			conn := rapid.IntRange(1, 4).Draw(t, "conn")
			s.nowMs += rapid.Int64Range(0, 10).Draw(t, "ms")
			old, known := model[m]
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				s.swarms.Leave(conn, hash(m.hash), id(m.id))
				if known && old.conn == conn {
					delete(model, m)
				}
			case 1:
				s.swarms.Expire(s.nowMs)
				for m, p := range model {
					if s.nowMs-p.heardMs >= 50 {
						delete(model, m)
					}
				}
			default:
				r := Request{InfoHash: hash(m.hash), PeerID: id(m.id), Event: Event(rapid.IntRange(0, 4).Draw(t, "event")),
					Seeder: rapid.Bool().Draw(t, "seeder"), Offers: make([]Offer, rapid.IntRange(0, 8).Draw(t, "offers"))}
				out, err := s.say(conn, r)
				foreign, full := known && old.conn != conn, !known && r.Event != Stopped && inSwarm(m.hash) >= 6
				if (err != nil) != (foreign || full) {
					t.Fatalf("%+v: %v", r, err)
				}
				if err != nil {
					continue
				}
				if r.Event == Stopped {
					delete(model, m)
				} else {
					model[m] = state{conn, known && old.seeder || r.Seeder || r.Event == Completed, s.nowMs}
				}
				want := min(len(r.Offers), inSwarm(m.hash)-1)
				if r.Event == Stopped {
					want = 0
				}
				if len(out.OffersTo) != want {
					t.Fatalf("%d offers were passed on, want %d", len(out.OffersTo), want)
				}
			}
			peers := 0
			s.swarms.Each(func(conn int, _ ID, _ bool) { peers++ })
			for h := 1; h <= 3; h++ {
				var want Counts
				for m, p := range model {
					if m.hash == h && p.seeder {
						want.Complete++
					} else if m.hash == h {
						want.Incomplete++
					}
				}
				if got := s.swarms.Scrape(hash(h)); got.Complete != want.Complete || got.Incomplete != want.Incomplete {
					t.Fatalf("swarm %d has %+v, want %+v", h, got, want)
				}
			}
			if _, n := s.swarms.Len(); n != len(model) || peers != n {
				t.Fatalf("%d peers counted, %d seen, %d there", n, peers, len(model))
			}
		}
	})
}

func TestVisits(t *testing.T) {
	l := VisitLimits{Swarms: 2, MessageRate: 10, MessageBurst: 5}
	var v Visit
	for n := range 5 {
		if err := v.Hear(1000, &l); err != nil {
			t.Fatalf("message %d of five at once: %v", n, err)
		}
	}
	if err := v.Hear(1000, &l); !errors.Is(err, errRate) {
		t.Errorf("a sixth at once: %v", err)
	}
	if err := v.Hear(1300, &l); err != nil {
		t.Errorf("0.3 s later: %v", err)
	}
	enter := func(swarm, peer int, e Event) error {
		return v.Enter(&Request{InfoHash: hash(swarm), PeerID: id(peer), Event: e}, &l)
	}
	if enter(1, 1, Started) != nil || enter(1, 1, Update) != nil || enter(1, 2, Started) != nil {
		t.Error("two peers of one connection were too many")
	}
	if err := enter(2, 1, Started); !errors.Is(err, errManySwarms) {
		t.Errorf("a third: %v", err)
	}
	if err := enter(2, 1, Stopped); err != nil {
		t.Errorf("who stops needs no place: %v", err)
	}
	v.Exit(&Request{InfoHash: hash(1), PeerID: id(1)})
	if err := enter(2, 1, Started); err != nil {
		t.Errorf("after one has stopped: %v", err)
	}
	if want := []Membership{{hash(1), id(2)}, {hash(2), id(1)}}; !slices.Equal(v.Memberships(), want) {
		t.Errorf("%v, want %v", v.Memberships(), want)
	}
}
