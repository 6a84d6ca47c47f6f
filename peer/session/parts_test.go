package session_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"slipstream/peer/playback"
	"slipstream/peer/session"
)

// close plays parts, as near to the live edge as low-latency players do: three parts behind it.
type closeBy struct{ spectator }

func (*closeBy) PlaysParts() bool { return true }

func (v *closeBy) Advance(nowMs int64, _ string, window []session.Segment) {
	if len(window) == 0 {
		return
	}
	if v.play == nil {
		last := window[len(window)-1]
		v.bufferedMs = last.StartMs + last.DurationMs - 3*partMs
		v.play = playback.New(v.joinedMs, v.bufferedMs)
	}
	for _, seg := range window {
		if end := seg.StartMs + seg.DurationMs; seg.Complete && seg.StartMs <= v.bufferedMs && end > v.bufferedMs {
			v.bufferedMs = end
		}
	}
	v.play.Advance(nowMs, v.bufferedMs)
}

func (c *channel) watchParts(t *testing.T, n int) []*spectator {
	var all []*spectator
	for range n {
		v := &closeBy{}
		v.joinedMs = time.Now().UnixMilli()
		s := c.watch(t, func(cfg *session.Config) { cfg.Audience = v })
		v.session, v.end, v.ended = s.session, s.end, s.ended
		all = append(all, &v.spectator)
	}
	return all
}

func TestPartsTravelBetweenViewersCloseToTheLiveEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t, func(c *channel) { c.parts = recordedParts(t) })
		viewers := c.watchParts(t, 6)
		time.Sleep(time.Second)
		for i := range viewers {
			for j := range i {
				connect(t.Context(), viewers[i], viewers[j], fmt.Sprint(i, "-", j))
			}
		}
		deal(viewers)
		time.Sleep(4 * time.Second)
		served, polls, before := c.served.Load(), c.polls.Load(), make([]observation, len(viewers))
		for i, v := range viewers {
			before[i] = v.observe()
		}
		const seconds = 20
		time.Sleep(seconds * time.Second)
		stream := int64(0)
		for n := c.edge() - seconds/2 + 1; n <= c.edge(); n++ {
			stream += int64(len(c.segments[n].data))
		}
		copies := float64(c.served.Load()-served) / float64(stream)
		t.Logf("%.2f copies of each part came from the CDN", copies)
		if copies > 2 {
			t.Errorf("the CDN sent %.2f copies of each part", copies)
		}
		polls = c.polls.Load() - polls
		t.Logf("%d polls for %d parts", polls, 2*seconds)
		if polls > int64(len(viewers)*2*seconds/2) {
			t.Errorf("%d viewers polled %d times for %d parts: neighbours do not tell of them", len(viewers), polls, 2*seconds)
		}
		for i, v := range viewers {
			o := v.observe()
			if o.stalls > before[i].stalls || o.latency > 2600 {
				t.Errorf("viewer %d stalled %d times and is %d ms behind: %+v", i, o.stalls-before[i].stalls, o.latency, o.Stats)
			}
			if i == 0 {
				t.Logf("%d ms behind, %+v", o.latency, o.Stats)
			}
		}
		// Who plays whole segments finds them with those who played their parts.
		later := c.watch(t, nil)
		time.Sleep(500 * time.Millisecond)
		for i := range viewers {
			connect(t.Context(), viewers[i], later, fmt.Sprint("later", i))
		}
		time.Sleep(10 * time.Second)
		if o := later.observe(); o.P2PBytes < o.HTTPBytes || o.stalls > 0 {
			t.Errorf("a viewer of whole segments got %d bytes from viewers of parts, %d from the CDN, and stalled %d times", o.P2PBytes, o.HTTPBytes, o.stalls)
		}
	})
}

func TestPartsThatDoNotFitAreNotPlayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t, func(c *channel) { c.parts = recordedParts(t) })
		for _, s := range c.segments {
			s.parts[1].record.Signature[3] ^= 1
		}
		viewers := c.watchParts(t, 1)
		time.Sleep(8 * time.Second)
		window := viewers[0].session.Window(rendition)
		for _, seg := range window {
			if seg.Part != 0 {
				t.Fatalf("the window has %+v", seg)
			}
		}
		if o := viewers[0].observe(); o.VerifiedLeaves == 0 || window[len(window)-1].Number < c.edge()-1 {
			t.Errorf("whole segments are not played either: %+v", o.Stats)
		}
	})
}
