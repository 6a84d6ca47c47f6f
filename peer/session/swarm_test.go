package session_test

import (
	"context"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/playback"
	"slipstream/peer/rtc"
	"slipstream/peer/session"
)

// What a viewer of a live channel can rely on. The tests that are t.Parallel play in real time over real WebRTC and a real tracker;
// they run beside each other, after the others, whose time is virtual and which keep the processors busy.

// spectator plays like the Go viewer and checks every byte that it would show
// against what was published.
type spectator struct {
	session *session.Session
	end     context.CancelFunc
	ended   chan error

	play       *playback.Playhead
	bufferedMs int64
	joinedMs   int64
}

func (v *spectator) DeadlineMs(nowMs int64, seg session.Segment) int64 {
	if v.play == nil || seg.StartMs+seg.DurationMs <= v.play.PositionMs() {
		return 0
	}
	return max(v.play.DueMs(nowMs, seg.StartMs), nowMs)
}

func (v *spectator) Advance(nowMs int64, _ string, window []session.Segment) {
	if len(window) == 0 {
		return
	}
	if v.play == nil {
		v.bufferedMs = window[max(len(window)-3, 0)].StartMs
		v.play = playback.New(v.joinedMs, v.bufferedMs)
	}
	for _, seg := range window {
		if seg.Complete && seg.StartMs == v.bufferedMs {
			v.bufferedMs += seg.DurationMs
		}
	}
	v.play.Advance(nowMs, v.bufferedMs)
}

func (v *spectator) Report() session.Experience {
	if v.play == nil {
		return session.Experience{}
	}
	return session.Experience{Stalls: v.play.Stalls(), StallMs: v.play.StallMs()}
}

type observation struct {
	session.Stats
	playing bool
	stalls  int64
	stallMs int64
	latency int64
	aheadMs int64 // media held beyond the playhead
}

func (v *spectator) observe() observation {
	var o observation
	look := func() {
		o.Stats = v.session.Stats()
		if v.play != nil && v.play.State() != playback.Starting {
			o.playing = true
			o.stalls, o.stallMs, o.latency = v.play.Stalls(), v.play.StallMs(), v.play.LatencyMs(time.Now().UnixMilli())
			o.aheadMs = v.bufferedMs - v.play.PositionMs()
		}
	}
	if !v.session.Do(look) {
		look() // it has ended, so its state is ours
	}
	return o
}

var engine = sync.OnceValue(func() *rtc.Engine {
	e, err := rtc.New(rtc.Config{})
	if err != nil {
		panic(err)
	}
	return e
})

func (c *channel) join(t *testing.T, change func(*session.Config)) *spectator {
	t.Helper()
	v := &spectator{ended: make(chan error, 1), joinedMs: time.Now().UnixMilli()}
	cfg := session.Config{
		Playlist: c.url, Channel: c.id, Audience: v, Engine: engine(),
		Renditions: func(offered []manifest.Variant) []manifest.Variant { return offered },
		Seed:       mathrand.Uint32(),
	}
	if change != nil {
		change(&cfg)
	}
	v.session = session.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	v.end = cancel
	go func() { v.ended <- v.session.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-v.ended
		v.ended <- nil
	})
	return v
}

// within waits until all of the viewers are in a state.
func within(t *testing.T, limit time.Duration, what string, viewers []*spectator, is func(observation) bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for i := 0; i < len(viewers); {
		o := viewers[i].observe()
		switch {
		case is(o):
			i++
		case time.Now().After(deadline):
			t.Fatalf("viewer %d is not %s after %v: %+v", i, what, limit, o)
		default:
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func playing(o observation) bool { return o.playing }
func joined(o observation) bool  { return o.playing && o.Neighbours > 0 }

func noStalls(t *testing.T, viewers []*spectator) {
	t.Helper()
	for i, v := range viewers {
		if o := v.observe(); o.stalls > 0 {
			t.Errorf("viewer %d stalled %d times, %d ms: %+v", i, o.stalls, o.stallMs, o.Stats)
		}
	}
}

func (c *channel) audience(t *testing.T, n int) []*spectator {
	t.Helper()
	var viewers []*spectator
	for range n {
		viewers = append(viewers, c.join(t, nil))
	}
	within(t, 10*time.Second, "playing with neighbours", viewers, joined)
	return viewers
}

func TestViewersCarryTheChannelForEachOther(t *testing.T) {
	t.Parallel()
	c := newChannel(t)
	viewers := c.audience(t, 5)
	before := make([]observation, len(viewers))
	for i, v := range viewers {
		before[i] = v.observe()
	}
	served := c.served.Load()
	time.Sleep(10 * time.Second) // five segments of real time
	copies := float64(c.served.Load()-served) / (5 * segmentBytes)
	var http, p2p int64 // of all: one whose uplink was seen to be fast may have most of the duties
	for i, v := range viewers {
		o := v.observe()
		fromNeighbours := o.P2PBytes - before[i].P2PBytes
		http += o.HTTPBytes - before[i].HTTPBytes
		p2p += fromNeighbours
		if fromNeighbours == 0 {
			t.Errorf("viewer %d got nothing from neighbours", i)
		}
		if o.RejectedLeaves != 0 || o.VerifiedLeaves == before[i].VerifiedLeaves {
			t.Errorf("viewer %d verified %d leaves and rejected %d", i, o.VerifiedLeaves, o.RejectedLeaves)
		}
	}
	if p2p < http {
		t.Errorf("%d bytes came from the CDN and %d from neighbours", http, p2p)
	}
	if copies > 2.5 {
		t.Errorf("the CDN sent %.2f copies of each segment", copies)
	}
	noStalls(t, viewers)
}

func TestAViewerAlonePlaysFromTheCDN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		alone := []*spectator{c.watch(t, nil)}
		within(t, 5*time.Second, "playing", alone, playing)
		time.Sleep(60 * time.Second)
		noStalls(t, alone)
		if o := alone[0].observe(); o.P2PBytes != 0 || o.HTTPBytes == 0 {
			t.Errorf("a viewer alone got %d bytes from peers and %d from the CDN", o.P2PBytes, o.HTTPBytes)
		}
	})
}

func TestWithoutATrackerThoseWhoPlayGoOnAndANewcomerPlaysFromTheCDN(t *testing.T) {
	t.Parallel()
	c := newChannel(t)
	viewers := c.audience(t, 3)
	c.stopTracker()
	newcomer := c.join(t, nil)
	within(t, 5*time.Second, "playing", []*spectator{newcomer}, playing)
	before := viewers[0].observe()
	time.Sleep(6 * time.Second)
	noStalls(t, append(viewers, newcomer))
	after := viewers[0].observe()
	if after.P2PBytes == before.P2PBytes || after.Neighbours == 0 {
		t.Errorf("without a tracker the swarm stood still: %+v", after.Stats)
	}
	if o := newcomer.observe(); o.HTTPBytes == 0 {
		t.Errorf("the newcomer played from nowhere: %+v", o.Stats)
	}
	c.startTracker(t)
	within(t, 15*time.Second, "in the swarm again", []*spectator{newcomer}, joined)
	time.Sleep(2 * time.Second) // the new tracker introduces old friends to each other
	for i, v := range append(viewers, newcomer) {
		if o := v.observe(); o.Neighbours > 3 {
			t.Errorf("of three others, viewer %d has %d as neighbours", i, o.Neighbours)
		}
	}
}

func TestWhenANeighbourVanishesNobodyStalls(t *testing.T) {
	t.Parallel()
	c := newChannel(t)
	viewers := c.audience(t, 4)
	viewers[0].end() // in the middle of whatever it was doing
	time.Sleep(8 * time.Second)
	noStalls(t, viewers[1:])
}

func TestWhenTheCDNFailsForAMomentNobodyStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		viewers := c.ring(t, 3)
		deal(viewers)
		// Who has just begun has nothing in hand yet, with plain HLS as with us.
		within(t, 10*time.Second, "three seconds ahead", viewers, func(o observation) bool { return o.aheadMs >= 3000 })
		c.broken.Store(true)
		time.Sleep(1500 * time.Millisecond)
		c.broken.Store(false)
		time.Sleep(10 * time.Second)
		noStalls(t, viewers)
	})
}

func TestACDNThatKnowsNoRangesWillDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		c.noRanges.Store(true)
		viewers := c.ring(t, 2)
		deal(viewers)
		time.Sleep(20 * time.Second)
		noStalls(t, viewers)
		for i, v := range viewers {
			if o := v.observe(); o.RejectedLeaves != 0 || o.P2PBytes == 0 {
				t.Errorf("viewer %d: %+v", i, o.Stats)
			}
		}
	})
}

func TestASegmentThatVanishedIsNotAskedForAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		c.missing.Store(c.edge() - 1) // the second that a viewer plays
		v := c.watch(t, nil)
		time.Sleep(12 * time.Second)
		if n := c.missed.Load(); n == 0 || n > 14 { // twice a second would be 24
			t.Errorf("it was asked for %d times in 12 s", n)
		}
		if o := v.observe(); o.VerifiedLeaves < 4*leaves {
			t.Errorf("other segments were held up: %+v", o.Stats)
		}
	})
}

func TestNeighboursThatPlayAnotherRenditionCauseNoPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		viewers := c.ring(t, 2)
		deal(viewers)
		// What an attacker boasts of is unknown to those who have not polled since, like
		// every segment of a rendition that they do not follow.
		c.attack(t.Context(), viewers, attacks["says nothing"])
		before := c.polls.Load()
		time.Sleep(20 * time.Second)
		if polls := c.polls.Load() - before; polls > 2*10*3 {
			t.Errorf("two viewers polled %d times in ten segments", polls)
		}
		noStalls(t, viewers)
	})
}

func TestAChangedPlaylistIsRefusedAndNothingOfItIsPlayed(t *testing.T) {
	for _, change := range []struct{ name, says string }{
		{"record", "signature"}, {"yesterday's", "replay"},
	} {
		t.Run(change.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := offline(t)
				c.edit.Store(func(text string) string {
					if change.name == "yesterday's" {
						return c.playlist(c.first + 3) // see below: it was signed long ago
					}
					return flipRecord(text)
				})
				if change.name == "yesterday's" {
					c.age(t, 24*time.Hour)
				}
				v := c.watch(t, nil)
				within(t, 5*time.Second, "told why", []*spectator{v}, func(o observation) bool {
					return strings.Contains(o.Refused, change.says)
				})
				if o := v.observe(); o.playing || o.VerifiedLeaves > 0 {
					t.Errorf("it played all the same: %+v", o)
				}
			})
		})
	}
}

// flipRecord changes one character in the middle of the first segment's record.
func flipRecord(text string) string {
	at := strings.Index(text, manifest.TagRecord) + len(manifest.TagRecord) + 60
	c := byte('A')
	if text[at] == 'A' {
		c = 'B'
	}
	return text[:at] + string(c) + text[at+1:]
}

// age makes every record one that was signed that long ago.
func (c *channel) age(t *testing.T, by time.Duration) {
	t.Helper()
	previous := manifest.Hash{}
	for n := c.first; n < c.first+history+future; n++ {
		s := c.segments[n]
		s.record.CreatedMs -= by.Milliseconds()
		s.record.Previous = previous
		s.record = c.sign(t, s.record, s.data)
		previous = s.record.Hash()
		c.segments[n] = s
	}
}

func TestAPlaylistOfAnotherChannelIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		v := c.watch(t, func(cfg *session.Config) { cfg.Channel[0]++ })
		select {
		case err := <-v.ended:
			v.ended <- nil
			if err == nil || !strings.Contains(err.Error(), "belongs to channel") {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("it joined")
		}
	})
}

func TestACorruptCDNIsNoSourceAndNeighboursHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		good := c.ring(t, 2)
		deal(good)
		bad := c.watch(t, func(cfg *session.Config) { cfg.Client = corrupting(cfg.Client) })
		time.Sleep(time.Second)
		for i, v := range good {
			connect(t.Context(), bad, v, fmt.Sprint("good", i))
		}
		within(t, 20*time.Second, "playing from neighbours", []*spectator{bad}, playing)
		o := bad.observe()
		if o.RejectedLeaves == 0 || o.P2PBytes == 0 {
			t.Errorf("behind a corrupt CDN: %+v", o.Stats)
		}
		noStalls(t, good)
		for _, v := range good {
			if o := v.observe(); o.RejectedLeaves != 0 {
				t.Errorf("what the CDN corrupted was passed on: %+v", o.Stats)
			}
		}
	})
}

// corrupting is a client whose CDN flips a bit in everything but playlists.
func corrupting(client *http.Client) *http.Client {
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := client.Transport.RoundTrip(r)
		if err == nil && strings.HasSuffix(r.URL.Path, ".m4s") {
			resp.Body = flipped{resp.Body}
		}
		return resp, err
	})}
}

type flipped struct{ io.ReadCloser }

func (f flipped) Read(b []byte) (int, error) {
	n, err := f.ReadCloser.Read(b)
	if n > 0 {
		b[n/2] ^= 1
	}
	return n, err
}
