package session_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"slipstream/peer/rtc"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// Strangers who speak the protocol to a viewer in memory, one rule at a time. What they do over real WebRTC is in
// hostile_test.go.

func TestWhatNoHonestNeighbourSaysEndsTheConnection(t *testing.T) {
	head := func(c *channel, v *spectator) wire.Key {
		return wire.KeyOf(c.segments[v.session.Head(rendition)].record.Root)
	}
	for name, say := range map[string]func(key wire.Key) wire.Message{
		"a request for a piece that the object does not have": func(key wire.Key) wire.Message {
			return wire.Request{Key: key, Wanted: []wire.Wanted{wire.Want(0, 1), wire.Want(leaves, 1)}}
		},
		"a request for a leaf that the piece does not have": func(key wire.Key) wire.Message {
			return wire.Request{Key: key, Wanted: []wire.Wanted{wire.Want(0, 3)}}
		},
		"a HAVE of another size": func(key wire.Key) wire.Message {
			return wire.Have{Key: key, Leaves: leaves + 1, Bitfield: wire.NewBitfield(leaves + 1)}
		},
		"a false leaf list": func(key wire.Key) wire.Message {
			return wire.Leaves{Key: key, Hashes: make([]byte, leaves*wire.HashSize)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, v, s := alone(t, nil)
				c.untilEdge(100 * time.Millisecond) // it has just heard of a segment, and has no list yet
				for v.session.Head(rendition) < c.edge() {
					time.Sleep(10 * time.Millisecond)
				}
				s.say(say(head(c, v)))
				synctest.Wait()
				if !s.dropped() {
					t.Error("it was tolerated")
				}
				time.Sleep(8 * time.Second)
				noStalls(t, []*spectator{v})
			})
		})
	}
}

func TestALeafListIsGivenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, s := alone(t, nil)
		key := wire.KeyOf(c.segments[c.edge()-2].record.Root)
		for i := range 10 {
			s.say(wire.Request{Key: key, Flags: wire.FlagNeedList, Wanted: []wire.Wanted{wire.Want(i, 1)}})
			time.Sleep(100 * time.Millisecond)
		}
		if s.count(wire.TypeLeaves) != 1 || s.count(wire.TypeLeaf) != 10 {
			t.Errorf("it gave %d lists and %d leaves, want 1 and 10", s.count(wire.TypeLeaves), s.count(wire.TypeLeaf))
		}
	})
}

func TestNoMoreIsUploadedThanTheTrackerAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, s := alone(t, nil)
		key := wire.KeyOf(c.segments[c.edge()-2].record.Root)
		given := func() int {
			before := s.count(wire.TypeLeaf)
			for i := range 10 {
				s.say(wire.Request{Key: key, Wanted: []wire.Wanted{wire.Want(i, 1)}})
				time.Sleep(100 * time.Millisecond)
			}
			return s.count(wire.TypeLeaf) - before
		}
		v.session.Hear(announce.Cap{UploadBps: 32768 * 8}) // two leaves a second, and as many at once
		if n := given(); n < 2 || n > 4 {
			t.Errorf("in a second it gave %d leaves, two a second are allowed", n)
		}
		v.session.Hear(announce.Cap{})
		if n := given(); n < 10 { // and perhaps one that was asked for before
			t.Errorf("with no cap any more it gave %d leaves of 10", n)
		}
	})
}

func TestWhatNeverComesDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		viewers := c.ring(t, 3)
		deal(viewers)
		var liars []*stranger
		for i, v := range viewers {
			for k := range 3 {
				liars = append(liars, c.intrude(v, fmt.Sprint("liar", i, k), func(s *stranger, m wire.Message) {
					if ask, ok := m.(wire.Ask); ok {
						for _, p := range c.segments {
							if wire.KeyOf(p.record.Root) == ask.Key {
								s.say(wire.Record{Key: ask.Key, Data: p.record.Encode()})
							}
						}
					}
				}))
			}
		}
		all := make([]uint16, leaves)
		for i := range all {
			all[i] = uint16(i)
		}
		for range 40 {
			for _, s := range liars {
				next := c.segments[c.edge()].record
				s.say(have(next))
				s.say(wire.Coming{Key: wire.KeyOf(next.Root), Pieces: all})
			}
			time.Sleep(500 * time.Millisecond)
		}
		noStalls(t, viewers)
		for i, v := range viewers {
			if o := v.observe(); o.RejectedLeaves > 0 || v.session.Head(rendition) < c.edge()-1 {
				t.Errorf("viewer %d is at segment %d of %d: %+v", i, v.session.Head(rendition), c.edge(), o.Stats)
			}
		}
	})
}

// deaf is a neighbour whose send buffer is full.
type deaf struct{ stranger }

func (*deaf) Send([]byte) error { return rtc.ErrBufferFull }

func TestWhoDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, _ := alone(t, nil)
		d := &deaf{}
		adopted := v.session.Adopt(announce.PeerID(7), d)
		adopted.Receive(wire.Hello{Version: wire.Version, Channel: wire.Key(c.id[:8])}.Append(nil))
		time.Sleep(5 * time.Second)
		if !d.dropped() {
			t.Error("it is still there")
		}
		noStalls(t, []*spectator{v})
	})
}

func TestTheLeafListComesBeforeWhatWasAskedForInAdvance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v, s := alone(t, nil)
		v.session.Deal(announce.Share{Rendition: rendition, Stripes: 0xffff})
		for next := c.edge() + 1; v.session.Head(rendition) < next; { // it asks the CDN for all of the next segment as soon as it knows of it
			time.Sleep(5 * time.Millisecond)
		}
		key := wire.KeyOf(c.segments[v.session.Head(rendition)].record.Root)
		s.say(wire.Request{Key: key, Flags: wire.FlagNeedList, Wanted: []wire.Wanted{wire.Want(0, 1), wire.Want(5, 1)}})
		time.Sleep(2 * time.Second)
		listed := false
		for _, m := range s.heard() {
			switch m := m.(type) {
			case wire.Leaves:
				listed = listed || m.Key == key
			case wire.Leaf:
				if m.Key == key && !listed {
					t.Fatalf("leaf %d came before the list", m.Leaf)
				}
			}
		}
		if s.count(wire.TypeLeaf) != 2 {
			t.Errorf("of two leaves that were on their way it gave %d", s.count(wire.TypeLeaf))
		}
	})
}
