package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/session"
)

// front is a CDN before a channel, which can fail in several ways.
type front struct {
	*httptest.Server
	fails atomic.Value // func(w, r) bool: whether it answered in its own way
	asked atomic.Int64 // for media and media playlists
}

func newFront(t *testing.T, serve http.HandlerFunc) *front {
	t.Helper()
	f := &front{}
	f.recover()
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.asked.Add(1)
		if !f.fails.Load().(func(http.ResponseWriter, *http.Request) bool)(w, r) {
			serve(w, r)
		}
	}))
	t.Cleanup(f.CloseClientConnections)
	return f
}

func (f *front) recover() {
	f.fails.Store(func(http.ResponseWriter, *http.Request) bool { return false })
}

// steered is a channel at two CDNs. The list of both, and the steering manifest, are at neither.
func (c *channel) steered(t *testing.T, order *atomic.Value) (playlist string, a, b *front) {
	t.Helper()
	a, b = newFront(t, c.serve), newFront(t, c.serve)
	list := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live/demo/steering.json" {
			fmt.Fprintf(w, `{"VERSION":1,"TTL":5,"PATHWAY-PRIORITY":[%s]}`, order.Load())
			return
		}
		fmt.Fprintf(w, "#EXTM3U\n#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.channel\",VALUE=\"%s\"\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"steering.json\",PATHWAY-ID=\"a\"\n", c.id)
		for name, cdn := range map[string]*front{"a": a, "b": b} {
			fmt.Fprintf(w, "#EXT-X-STREAM-INF:BANDWIDTH=900000,PATHWAY-ID=%q\n%s/live/demo/360p/index.m3u8\n", name, cdn.URL)
		}
	}))
	t.Cleanup(list.Close)
	return list.URL + "/live/demo/index.m3u8", a, b
}

func noPeers(playlist string) func(*session.Config) {
	return func(cfg *session.Config) {
		cfg.Playlist, cfg.Engine = playlist, nil
		cfg.Client = &http.Client{Transport: &http.Transport{}}
	}
}

func TestViewersGoToTheNextCDNAndBack(t *testing.T) {
	c := offline(t)
	order := &atomic.Value{}
	order.Store(`"a","b"`)
	for _, trouble := range []struct {
		name string
		way  func(w http.ResponseWriter, r *http.Request, edge int64) bool
	}{
		{"broken connections", func(http.ResponseWriter, *http.Request, int64) bool { panic(http.ErrAbortHandler) }},
		{"404 for everything", func(w http.ResponseWriter, r *http.Request, _ int64) bool { http.NotFound(w, r); return true }},
		{"429", func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
			http.Error(w, "", http.StatusTooManyRequests)
			return true
		}},
		{"silence", func(_ http.ResponseWriter, r *http.Request, _ int64) bool { <-r.Context().Done(); return true }},
		{"a trickle", func(w http.ResponseWriter, r *http.Request, _ int64) bool {
			for i := 0; r.Context().Err() == nil; i++ {
				w.Write(make([]byte, 1))
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
			return true
		}},
		{"other bytes", func(w http.ResponseWriter, r *http.Request, _ int64) bool {
			if strings.HasSuffix(r.URL.Path, "index.m3u8") {
				return false
			}
			w.Write(noise(segmentBytes))
			return true
		}},
		{"a playlist that stands still", func(w http.ResponseWriter, r *http.Request, edge int64) bool {
			if !strings.HasSuffix(r.URL.Path, "index.m3u8") {
				return false
			}
			fmt.Fprint(w, c.playlist(edge))
			return true
		}},
	} {
		t.Run(trouble.name, func(t *testing.T) {
			t.Parallel()
			playlist, a, b := c.steered(t, order)
			viewers := []*spectator{c.join(t, noPeers(playlist))}
			within(t, 5*time.Second, "playing", viewers, playing)
			if b.asked.Load() > 0 {
				t.Errorf("%d requests went to the second CDN although nothing was wrong with the first", b.asked.Load())
			}
			edge := c.edge()
			a.fails.Store(func(w http.ResponseWriter, r *http.Request) bool { return trouble.way(w, r, edge) })
			a.CloseClientConnections()
			within(t, 15*time.Second, "at the other CDN", viewers, func(observation) bool { return b.asked.Load() >= 3 })
			a.recover()
			back, there := a.asked.Load(), int64(-1)
			within(t, 20*time.Second, "back", viewers, func(observation) bool {
				if a.asked.Load() > back+1 && there < 0 { // the probe, and one more
					there = b.asked.Load()
				}
				return a.asked.Load() >= back+3 && b.asked.Load() <= there+1
			})
			noStalls(t, viewers)
		})
	}
}

func TestTheSteeringManifestIsFollowed(t *testing.T) {
	t.Parallel()
	c := offline(t)
	order := &atomic.Value{}
	order.Store(`"b","a"`)
	playlist, a, b := c.steered(t, order)
	viewers := []*spectator{c.join(t, noPeers(playlist))}
	within(t, 10*time.Second, "at the CDN that the operator prefers", viewers, func(observation) bool { return b.asked.Load() >= 3 })
	order.Store(`"a","b"`)
	before := a.asked.Load()
	within(t, 20*time.Second, "following the next manifest", viewers, func(observation) bool { return a.asked.Load() >= before+3 })
	noStalls(t, viewers)
}

func TestACDNOfAnotherEncoderIsNotUsed(t *testing.T) {
	t.Parallel()
	c := offline(t)
	other := *offline(t, func(o *channel) { o.bytes = segmentBytes / 2 })
	other.id, other.root, other.signing = c.id, c.root, c.signing
	other.publish(t)
	other.resign(t, other.first+1, func(r *manifest.Record) { r.Variant = 1 }, 0)
	a, b := newFront(t, c.serve), newFront(t, other.serve)
	viewers := []*spectator{c.join(t, func(cfg *session.Config) {
		noPeers(a.URL + "/live/demo/index.m3u8")(cfg)
		cfg.CDNs = []string{b.URL + "/live/demo/index.m3u8"}
	})}
	within(t, 5*time.Second, "playing", viewers, playing)
	a.fails.Store(func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true })
	before := b.asked.Load()
	within(t, 10*time.Second, "asking the other", viewers, func(observation) bool { return b.asked.Load() >= before+2 })
	a.recover()
	before = a.asked.Load()
	within(t, 30*time.Second, "back", viewers, func(observation) bool { return a.asked.Load() >= before+5 })
	if o := viewers[0].observe(); o.RejectedLeaves > 0 {
		t.Errorf("bytes of the other encoder were taken for ours: %+v", o)
	}
}

func TestTheListItselfMayBeAtAnotherCDN(t *testing.T) {
	t.Parallel()
	c := offline(t)
	a, b := newFront(t, c.serve), newFront(t, c.serve)
	a.Close()
	viewers := []*spectator{c.join(t, func(cfg *session.Config) {
		noPeers(a.URL + "/live/demo/index.m3u8")(cfg)
		cfg.CDNs = []string{b.URL + "/live/demo/index.m3u8"}
	})}
	within(t, 5*time.Second, "playing", viewers, playing)
	noStalls(t, viewers)
}
