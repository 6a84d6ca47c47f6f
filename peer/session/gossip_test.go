package session_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/session"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// ring seats viewers in a circle where each knows the next three on either side.
func (c *channel) ring(t *testing.T, n int) []*spectator {
	t.Helper()
	var viewers []*spectator
	for range n {
		viewers = append(viewers, c.watch(t, nil))
	}
	time.Sleep(time.Second)
	for i := range n {
		for step := 1; step <= 3 && 2*step <= n; step++ {
			if j := (i + step) % n; 2*step < n || i < j {
				connect(t.Context(), viewers[i], viewers[j], fmt.Sprint(i, "-", j))
			}
		}
	}
	return viewers
}

func deal(viewers []*spectator) { dealAmong(len(viewers), viewers) }

// dealAmong gives stripe i to viewer i mod n, if that is one of these.
func dealAmong(n int, viewers []*spectator) {
	for i, v := range viewers {
		mask := uint16(0)
		for stripe := i; stripe < 16; stripe += n {
			mask |= 1 << stripe
		}
		v.session.Deal(announce.Share{Rendition: rendition, Stripes: mask})
	}
}

func TestOneViewerAsksTheCDNAndTheOthersHearOfIt(t *testing.T) {
	for _, c := range []struct {
		name     string
		duties   bool
		viewers  int
		polls    float64 // per segment, at most
		latestMs int64   // after publication
	}{
		{"twenty with duties", true, 20, 1.5, 700},
		{"twenty without a tracker", false, 20, 4.5, 700},
		{"two with duties", true, 2, 1.5, 400},
		{"three without a tracker", false, 3, 1.8, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ch := offline(t)
				viewers := ch.ring(t, c.viewers)
				if c.duties {
					deal(viewers)
				}
				time.Sleep(8 * time.Second) // the phase is found
				const segments = 20
				polls, latest := ch.polls.Load(), int64(0)
				for range segments {
					ch.untilEdge(0)
					published := time.Now()
					for _, v := range viewers {
						for v.session.Head(rendition) < ch.edge() {
							time.Sleep(10 * time.Millisecond)
						}
						latest = max(latest, time.Since(published).Milliseconds())
					}
				}
				each := float64(ch.polls.Load()-polls) / segments
				t.Logf("%.2f polls for each segment, %d ms until the last viewer knows of it", each, latest)
				if each > c.polls {
					t.Errorf("%d viewers asked the CDN %.2f times for each segment, want at most %v", c.viewers, each, c.polls)
				}
				if latest > c.latestMs {
					t.Errorf("the last viewer knew of a segment after %d ms, want at most %d", latest, c.latestMs)
				}
				noStalls(t, viewers)
			})
		})
	}
}

func TestSilentNeighboursHideNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		v := c.watch(t, nil)
		time.Sleep(time.Second)
		for i := range 6 {
			c.intrude(v, fmt.Sprint("silent", i), nil)
		}
		worst := time.Duration(0)
		for range 10 {
			c.untilEdge(0)
			published := time.Now()
			for v.session.Head(rendition) < c.edge() {
				time.Sleep(10 * time.Millisecond)
			}
			worst = max(worst, time.Since(published))
		}
		if worst > segmentMs/2*time.Millisecond+200*time.Millisecond {
			t.Errorf("a segment was known %v after it came out", worst)
		}
		c.untilEdge(450 * time.Millisecond)
		if v.session.Head(rendition) != c.edge() {
			t.Error("a viewer whom nobody tells anything goes on waiting to be told")
		}
		noStalls(t, []*spectator{v})
	})
}

// alone is a viewer that has found the phase and does not ask the CDN itself for a while, and a stranger beside it.
func alone(t *testing.T, hears func(*stranger, wire.Message)) (*channel, *spectator, *stranger) {
	t.Helper()
	c := offline(t)
	v := c.watch(t, nil)
	time.Sleep(5 * time.Second)
	s := c.intrude(v, "stranger", hears)
	c.untilEdge(1200 * time.Millisecond)
	return c, v, s
}

func TestARecordFromANeighbourIsEnoughToFollowTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *channel
		c, v, s := alone(t, func(s *stranger, m wire.Message) {
			if ask, ok := m.(wire.Ask); ok {
				next := c.segments[c.edge()+1].record // before it is in any playlist
				s.say(wire.Record{Key: ask.Key, Data: next.Encode()})
			}
		})
		next := c.segments[c.edge()+1].record
		polls := c.polls.Load()
		s.say(have(next))
		synctest.Wait()
		if v.session.Head(rendition) != next.Sequence || c.polls.Load() != polls {
			t.Fatalf("after the record of segment %d the newest is %d, and there were %d polls", next.Sequence, v.session.Head(rendition), c.polls.Load()-polls)
		}
		s.say(have(next))
		synctest.Wait()
		if n := s.count(wire.TypeAsk); n != 1 {
			t.Errorf("the record was asked for %d times", n)
		}
		time.Sleep(10 * time.Second)
		if o := v.observe(); o.stalls > 0 || v.session.Head(rendition) < c.edge()-1 {
			t.Errorf("afterwards: %+v", o)
		}
	})
}

func TestAFalseRecordCostsItsSenderTheConnection(t *testing.T) {
	change := func(at int) func(b []byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	for name, falsify := range map[string]func(b []byte) []byte{
		"a changed signature": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"a changed size":      change(44),
		"another root":        change(45), // not what was asked for
		"no record at all":    func([]byte) []byte { return []byte("hello") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c *channel
				c, v, s := alone(t, func(s *stranger, m wire.Message) {
					if ask, ok := m.(wire.Ask); ok {
						s.say(wire.Record{Key: ask.Key, Data: falsify(c.segments[c.edge()+1].record.Encode())})
					}
				})
				before := v.session.Head(rendition)
				s.say(have(c.segments[c.edge()+1].record))
				synctest.Wait()
				if !s.dropped() || v.session.Head(rendition) != before {
					t.Errorf("dropped: %t, the newest segment was %d and is %d", s.dropped(), before, v.session.Head(rendition))
				}
				time.Sleep(10 * time.Second)
				noStalls(t, []*spectator{v})
			})
		})
	}
}

func TestARecordOfAnUnknownKeySendsToThePlaylistOnceForEachSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *channel
		serial := byte(0)
		forge := func(n byte) manifest.Record {
			rec := c.segments[c.edge()+1].record
			rec.Root[0], rec.Key[0] = rec.Root[0]^n, rec.Key[0]^1
			return rec
		}
		c, v, s := alone(t, func(s *stranger, m wire.Message) {
			if ask, ok := m.(wire.Ask); ok {
				for n := range serial + 1 {
					if rec := forge(n); wire.KeyOf(rec.Root) == ask.Key {
						s.say(wire.Record{Key: ask.Key, Data: rec.Encode()})
					}
				}
			}
		})
		polls := c.polls.Load()
		for range 7 {
			serial++
			s.say(have(forge(serial)))
		}
		time.Sleep(300 * time.Millisecond)
		if n := c.polls.Load() - polls; n > 1 {
			t.Errorf("seven inventions made it poll %d times", n)
		}
		noStalls(t, []*spectator{v})
	})
}

func TestRecordsThatNobodyAskedForAreWelcomeAsOftenAsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, s := alone(t, nil)
		next := c.segments[c.edge()+1].record
		for i := range 32 + 64 {
			s.say(wire.Record{Key: wire.KeyOf(next.Root), Data: next.Encode()})
			synctest.Wait()
			if v.session.Head(rendition) != next.Sequence {
				t.Fatal("a genuine record was not believed")
			}
			if s.dropped() != (i == 32+64-1) {
				t.Fatalf("after %d records nobody asked for: dropped %t", i+1, s.dropped())
			}
		}
	})
}

func TestWhoPollsTellsTheRecordToThoseWhoWantItUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, flags := range []uint8{0, wire.FlagTellMe} {
			c := offline(t)
			v := c.watch(t, nil)
			time.Sleep(5 * time.Second)
			s := c.intrudeWith(v, "stranger", flags, nil)
			time.Sleep(6 * time.Second)
			if told := s.count(wire.TypeRecord) > 0; told != (flags != 0) {
				t.Errorf("with flags %d, records were told unasked: %t", flags, told)
			}
		}
	})
}

func TestQuestionsAreAnsweredOnceAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, s := alone(t, nil)
		head := c.segments[v.session.Head(rendition)].record
		for range 5 {
			s.say(wire.Ask{Key: wire.KeyOf(head.Root)})
		}
		s.say(wire.Ask{Key: wire.Key{1}})
		synctest.Wait()
		answers := 0
		for _, m := range s.heard() {
			if rec, ok := m.(wire.Record); ok {
				answers++
				if got, err := manifest.ParseRecord(rec.Data); err != nil || got != head {
					t.Errorf("the answer is another record: %v", err)
				}
			}
		}
		if answers != 1 || s.count(wire.TypeLost) != 1 {
			t.Errorf("five equal questions got %d answers, one for something unknown got %d", answers, s.count(wire.TypeLost))
		}
		for i := range 200 { // boasts of what nobody has
			s.say(wire.Have{Key: wire.Key{2, byte(i)}, Leaves: 1, Bitfield: wire.NewBitfield(1)})
		}
		time.Sleep(2 * time.Second)
		if n := s.count(wire.TypeAsk); n > 8 {
			t.Errorf("it put %d questions to somebody who answers none", n)
		}
	})
}

func TestWhoDoesNotAnswerIsNotTheOnlyOneAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *channel
		c, v, s := alone(t, nil)
		helper := c.intrude(v, "helper", func(s *stranger, m wire.Message) {
			if ask, ok := m.(wire.Ask); ok {
				s.say(wire.Record{Key: ask.Key, Data: c.segments[c.edge()+1].record.Encode()})
			}
		})
		next := c.segments[c.edge()+1].record
		s.say(have(next))
		synctest.Wait()
		helper.say(have(next))
		time.Sleep(500 * time.Millisecond)
		if v.session.Head(rendition) != next.Sequence {
			t.Errorf("the newest segment is %d, want %d", v.session.Head(rendition), next.Sequence)
		}
	})
}

func TestWhatOnlyAPlaylistCanTellIsReadThere(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, c *channel, from int64){
		"a gap": func(t *testing.T, c *channel, from int64) { c.resign(t, from, nil, from) },
		"a new init section": func(t *testing.T, c *channel, from int64) {
			c.laterInit = from
			c.resign(t, from, func(r *manifest.Record) { r.Init = c.second.Root }, 0)
		},
		"tokens in URIs": func(_ *testing.T, c *channel, _ int64) { c.tokens = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := offline(t)
				change := c.edge() + 5
				prepare(t, c, change)
				viewers := c.ring(t, 3)
				deal(viewers)
				time.Sleep(20 * time.Second)
				for i, v := range viewers {
					window := v.session.Window(rendition)
					if newest := window[len(window)-1].Number; newest < c.edge()-1 {
						t.Errorf("viewer %d is at segment %d, the origin at %d", i, newest, c.edge())
					}
					for k, seg := range window {
						if seg.Number != window[0].Number+int64(k) || seg.Gap != (name == "a gap" && seg.Number == change) {
							t.Errorf("viewer %d sees %+v as entry %d", i, seg, k)
						}
					}
				}
				if name != "a gap" {
					noStalls(t, viewers)
				}
			})
		})
	}
}

func TestWithoutUploadNothingIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		v := c.watch(t, func(cfg *session.Config) { cfg.NoUpload = true })
		time.Sleep(5 * time.Second)
		s := c.intrude(v, "stranger", nil)
		time.Sleep(6 * time.Second)
		if n := s.count(wire.TypeHave); n > 0 {
			t.Errorf("it announced %d objects", n)
		}
	})
}
