package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"slipstream/peer/playback"
	"slipstream/peer/session"
)

// reader plays a recording from some place on.
type reader struct {
	spectator
	at    time.Duration
	endMs int64
}

func (v *reader) Recording(startMs, endMs int64) {
	if v.play == nil {
		v.bufferedMs = startMs + v.at.Milliseconds()
		v.play = playback.New(v.joinedMs, v.bufferedMs)
	}
	v.endMs = endMs
	v.play.EndAt(endMs)
}

func (v *reader) Span() (int64, int64) { return v.play.PositionMs(), v.play.PositionMs() + 30_000 }

// Advance plays from the middle of a segment, too.
func (v *reader) Advance(nowMs int64, name string, window []session.Segment) {
	for _, seg := range window {
		if v.play != nil && seg.Complete && seg.StartMs <= v.bufferedMs && seg.StartMs+seg.DurationMs > v.bufferedMs {
			v.bufferedMs = seg.StartMs + seg.DurationMs
		}
	}
	v.spectator.Advance(nowMs, name, window)
}

func (v *reader) seek(to int64) {
	v.session.Do(func() {
		v.play.SeekTo(to)
		v.bufferedMs = to
	})
}

// shown is what the viewer sees.
type shown struct {
	state  playback.State
	atMs   int64
	stalls int64
}

func (v *reader) look() (seen shown) {
	see := func() { seen = shown{v.play.State(), v.play.PositionMs(), v.play.Stalls()} }
	if !v.session.Do(see) {
		see()
	}
	return seen
}

func (c *channel) read(t *testing.T, at time.Duration, storeBytes int64) *reader {
	v := &reader{at: at}
	v.joinedMs = time.Now().UnixMilli()
	s := c.watch(t, func(cfg *session.Config) { cfg.Audience, cfg.StoreBytes = v, storeBytes })
	v.session, v.end, v.ended = s.session, s.end, s.ended
	return v
}

func TestARecordingIsPlayedFromTheBeginningToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		c.over.Store(c.first + 25)
		time.Sleep(24 * time.Hour) // and the delegation has run out
		v := c.read(t, 0, 0)
		time.Sleep(10 * time.Second)
		if v.look().atMs < c.first*segmentMs+9000 || v.look().stalls > 0 {
			t.Errorf("after 10 s it is at %d ms and stalled %d times", v.look().atMs-c.first*segmentMs, v.look().stalls)
		}
		if n := c.requests.Load(); n > 25 {
			t.Errorf("of 25 segments it asked for %d in 10 s", n)
		}
		time.Sleep(50 * time.Second)
		if v.look().state != playback.Ended || v.look().stalls > 0 || c.polls.Load() != 1 {
			t.Errorf("at the end it is %s, stalled %d times, and the playlist was read %d times", v.look().state, v.look().stalls, c.polls.Load())
		}
		if o := v.observe(); o.RejectedLeaves > 0 || o.VerifiedLeaves != 26*leaves {
			t.Errorf("it verified %d leaves, want %d", o.VerifiedLeaves, 26*leaves)
		}
	})
}

func TestSeekingGoesOnAtOnceAndKeepsWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		c.over.Store(c.first + 79)
		time.Sleep(10 * time.Minute)
		v := c.read(t, 20*time.Second, 0)
		time.Sleep(3 * time.Second)
		if p := v.look().atMs - c.first*segmentMs; p < 22_000 || p > 23_100 {
			t.Errorf("started at 20 s it is at %d ms after 3 s", p)
		}
		start := c.first * segmentMs
		v.seek(start + 100_500)
		time.Sleep(2 * time.Second)
		if p := v.look().atMs - start; v.look().state != playback.Playing || p < 101_500 {
			t.Errorf("after a seek to 100.5 s and two more it is %s at %d ms", v.look().state, p)
		}
		asked := c.requests.Load()
		v.seek(start + 24_000)
		time.Sleep(2 * time.Second)
		if p := v.look().atMs - start; v.look().state != playback.Playing || p < 25_800 {
			t.Errorf("back at 24 s it is %s at %d ms", v.look().state, p)
		}
		if n := c.requests.Load() - asked; n > 4 {
			t.Errorf("what was held was asked for again: %d requests", n)
		}
		if v.look().stalls > 0 {
			t.Errorf("seeking counted as %d stalls", v.look().stalls)
		}
	})
}

func TestASmallStoreServesALongRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		c.over.Store(c.first + 79)
		time.Sleep(10 * time.Minute)
		v := c.read(t, 0, 20*segmentBytes)
		time.Sleep(100 * time.Second)
		v.seek(c.first * segmentMs) // all of that was pushed out meanwhile, and is older than what is held
		time.Sleep(60 * time.Second)
		if p := v.look().atMs - c.first*segmentMs; v.look().stalls > 0 || p < 59_000 {
			t.Errorf("it is at %d ms and stalled %d times", p, v.look().stalls)
		}
	})
}

func TestViewersOfARecordingHelpThoseBehindThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		c.over.Store(c.first + 79)
		time.Sleep(10 * time.Minute)
		first := c.read(t, 60*time.Second, 0)
		time.Sleep(20 * time.Second)
		second := c.read(t, 60*time.Second, 0)
		third := c.read(t, 0, 0)
		time.Sleep(100 * time.Millisecond)
		connect(t.Context(), &first.spectator, &second.spectator, "12")
		connect(t.Context(), &first.spectator, &third.spectator, "13")
		connect(t.Context(), &second.spectator, &third.spectator, "23")
		time.Sleep(40 * time.Second)
		for i, v := range []*reader{first, second, third} {
			if v.look().stalls > 0 {
				t.Errorf("viewer %d stalled %d times", i, v.look().stalls)
			}
		}
		if o := second.observe(); o.P2PBytes < 2*o.HTTPBytes {
			t.Errorf("twenty seconds behind another it got %d bytes from it and %d from the CDN", o.P2PBytes, o.HTTPBytes)
		}
		// Nobody has the first minute; what follows it, others have. Leaf lists are another 0.2 %.
		if o := third.observe(); o.HTTPBytes > 60*segmentBytes/2*101/100 {
			t.Errorf("a viewer at another place got %d bytes from the CDN for 40 s and 30 s in hand", o.HTTPBytes)
		}
	})
}

func TestABroadcastThatEndsIsPlayedToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		v := c.read(t, 0, 0)
		time.Sleep(6 * time.Second)
		c.over.Store(c.edge() + 1)
		time.Sleep(5 * time.Second)
		polls := c.polls.Load()
		time.Sleep(10 * time.Second)
		if v.look().state != playback.Ended || v.look().stalls > 0 || c.polls.Load() != polls {
			t.Errorf("%s after the last segment, %d stalls, %d polls", v.look().state, v.look().stalls, c.polls.Load()-polls)
		}
	})
}
