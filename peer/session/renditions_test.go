package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"slipstream/peer/session"
	"slipstream/peer/wire"
)

// fickle plays one rendition, and from some segment on another.
type fickle struct {
	spectator
	before, plays string
	from          int64
}

func (v *fickle) Plays(name string) bool { return name == v.plays || name == v.before }

func (v *fickle) DeadlineMs(nowMs int64, seg session.Segment) int64 {
	if seg.Rendition == v.plays != (seg.Number >= v.from) {
		return 0
	}
	return v.spectator.DeadlineMs(nowMs, seg)
}

// turn makes it play another rendition from a segment on.
func (v *fickle) turn(to string, from int64) {
	v.session.Do(func() { v.before, v.plays, v.from = v.plays, to, from })
}

// settle ends its interest in the one before.
func (v *fickle) settle() { v.session.Do(func() { v.before = v.plays }) }

func (c *channel) watchBoth(t *testing.T, plays string) *fickle {
	v := &fickle{plays: plays}
	v.joinedMs = time.Now().UnixMilli()
	s := c.watch(t, func(cfg *session.Config) { cfg.Audience = v })
	v.session, v.end, v.ended = s.session, s.end, s.ended
	return v
}

func TestASwitchKeepsConnectionsAndServesOnFromWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		c.addRendition(t, "720p", 700_000)
		a, b := c.watchBoth(t, "360p"), c.watchBoth(t, "360p")
		time.Sleep(time.Second)
		connect(t.Context(), &a.spectator, &b.spectator, "ab")
		time.Sleep(8 * time.Second)
		held := c.segments[c.edge()-1].record
		if c.above.polls.Load() > 0 || c.above.requests.Load() > 0 {
			t.Error("a rendition that nobody plays was asked for")
		}
		a.turn("720p", c.edge()+1)
		time.Sleep(6 * time.Second)
		a.settle()
		low := c.polls.Load()
		c.untilEdge(1500 * time.Millisecond)
		if a.session.Head("720p") < c.edge() || b.session.Head("360p") < c.edge() {
			t.Errorf("segment %d is out, they know %d and %d", c.edge(), a.session.Head("720p"), b.session.Head("360p"))
		}
		if o := a.observe(); o.Neighbours != 1 {
			t.Errorf("after the switch it has %d neighbours", o.Neighbours)
		}
		s := c.intrude(&a.spectator, "stranger", nil)
		s.say(wire.Request{Key: wire.KeyOf(held.Root), Flags: wire.FlagNeedList, Wanted: []wire.Wanted{wire.Want(3, 1)}})
		time.Sleep(time.Second)
		if s.count(wire.TypeLeaf) != 1 {
			t.Errorf("of what it played before the switch it gave %d leaves, want the one", s.count(wire.TypeLeaf))
		}
		// The other one follows, and they share again. Who fetches which stripe is drawn by segment, so it is their sum
		// that says whether what one has fetched comes to the other from him.
		b.turn("720p", c.edge()+1)
		beforeA, beforeB := a.observe(), b.observe()
		time.Sleep(9 * time.Second)
		afterA, afterB := a.observe(), b.observe()
		fetched := afterA.HTTPBytes - beforeA.HTTPBytes + afterB.HTTPBytes - beforeB.HTTPBytes
		played := afterA.HTTPBytes - beforeA.HTTPBytes + afterA.P2PBytes - beforeA.P2PBytes
		if copies := float64(fetched) / float64(played); copies > 1.25 {
			t.Errorf("after the switch of both the CDN sent %.2f copies of what one plays", copies)
		}
		if n := c.polls.Load() - low; n > 12 {
			t.Errorf("the rendition that only one played, and then nobody, was polled %d times", n)
		}
		noStalls(t, []*spectator{&a.spectator, &b.spectator})
	})
}

func TestLargeSegmentsTravelInPiecesOfSeveralLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t, func(c *channel) { c.bytes = 600_000 }) // 37 leaves, 19 pieces
		viewers := c.ring(t, 6)
		deal(viewers)
		time.Sleep(10 * time.Second)
		served, before := c.served.Load(), make([]observation, len(viewers))
		for i, v := range viewers {
			before[i] = v.observe()
		}
		time.Sleep(20 * time.Second)
		if copies := float64(c.served.Load()-served) / 6_000_000; copies > 1.15 {
			t.Errorf("the CDN sent %.2f copies of each segment", copies)
		}
		for i, v := range viewers {
			o := v.observe()
			if wasted := o.P2PBytes + o.HTTPBytes - before[i].P2PBytes - before[i].HTTPBytes - 6_000_000; wasted > 1_200_000 {
				t.Errorf("viewer %d received %d bytes more than there are", i, wasted)
			}
		}
		noStalls(t, viewers)
	})
}
