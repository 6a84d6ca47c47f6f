package session_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/session"
)

// front is a CDN before a channel, which can fail in several ways.
type front struct {
	serve http.HandlerFunc
	fails atomic.Pointer[http.HandlerFunc] // nil: it does not
	asked atomic.Int64                     // for media and media playlists
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	if fails := f.fails.Load(); fails != nil {
		(*fails)(w, r)
		return
	}
	f.serve(w, r)
}

func (f *front) fail(way http.HandlerFunc) { f.fails.Store(&way) }
func (f *front) recover()                  { f.fails.Store(nil) }

// internet is servers in memory, by name. An answer is under way while its handler writes; a handler that panics breaks the connection.
type internet map[string]http.Handler

func (servers internet) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(cdnRTT)
	body, write := io.Pipe()
	a := &answer{header: http.Header{}, body: write, begins: make(chan int, 1)}
	hangUp := context.AfterFunc(r.Context(), func() { write.CloseWithError(context.Cause(r.Context())) })
	go func() {
		defer hangUp()
		defer func() {
			if recover() != nil {
				write.CloseWithError(io.ErrUnexpectedEOF)
				close(a.begins)
			}
		}()
		servers[r.URL.Host].ServeHTTP(a, r)
		a.WriteHeader(http.StatusOK)
		write.Close()
	}()
	select {
	case status, well := <-a.begins:
		if !well {
			return nil, io.ErrUnexpectedEOF
		}
		return &http.Response{StatusCode: status, Header: a.header, Body: body, Request: r, ContentLength: -1}, nil
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
}

// answer is the server's side of one.
type answer struct {
	header http.Header
	body   *io.PipeWriter
	begun  bool
	begins chan int // with this status
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if !a.begun {
		a.begun = true
		a.begins <- status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// steered is a channel at two CDNs, and a viewer of it. The list of both, and the steering manifest, are at neither.
func (c *channel) steered(t *testing.T, order *atomic.Value) (viewer *spectator, a, b *front) {
	t.Helper()
	a, b = &front{serve: c.serve}, &front{serve: c.serve}
	list := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live/demo/steering.json" {
			fmt.Fprintf(w, `{"VERSION":1,"TTL":5,"PATHWAY-PRIORITY":[%s]}`, order.Load())
			return
		}
		fmt.Fprintf(w, "#EXTM3U\n#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.channel\",VALUE=\"%s\"\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"steering.json\",PATHWAY-ID=\"a\"\n", c.id)
		for _, name := range []string{"a", "b"} {
			fmt.Fprintf(w, "#EXT-X-STREAM-INF:BANDWIDTH=900000,PATHWAY-ID=%q\nhttp://%s.test/live/demo/360p/index.m3u8\n", name, name)
		}
	})
	viewer = c.watch(t, func(cfg *session.Config) {
		cfg.Playlist = "http://list.test/live/demo/index.m3u8"
		cfg.Client = &http.Client{Transport: internet{"list.test": list, "a.test": a, "b.test": b}}
	})
	return viewer, a, b
}

func TestViewersGoToTheNextCDNAndBack(t *testing.T) {
	order := &atomic.Value{}
	order.Store(`"a","b"`)
	for _, trouble := range []struct {
		name string
		way  func(c *channel, edge int64) http.HandlerFunc
	}{
		{"broken connections", func(*channel, int64) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}},
		{"404 for everything", func(*channel, int64) http.HandlerFunc { return http.NotFound }},
		{"429", func(*channel, int64) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusTooManyRequests) }
		}},
		{"silence", func(*channel, int64) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		}},
		{"a trickle", func(*channel, int64) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					w.Write(make([]byte, 1))
					time.Sleep(20 * time.Millisecond)
				}
			}
		}},
		{"other bytes", func(c *channel, _ int64) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "index.m3u8") {
					c.serve(w, r)
					return
				}
				w.Write(noise(segmentBytes))
			}
		}},
		{"a playlist that stands still", func(c *channel, edge int64) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "index.m3u8") {
					c.serve(w, r)
					return
				}
				fmt.Fprint(w, c.playlist(edge))
			}
		}},
	} {
		t.Run(trouble.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := offline(t)
				v, a, b := c.steered(t, order)
				viewers := []*spectator{v}
				within(t, 10*time.Second, "three seconds ahead", viewers, func(o observation) bool { return o.aheadMs >= 3000 })
				if b.asked.Load() > 0 {
					t.Errorf("%d requests went to the second CDN although nothing was wrong with the first", b.asked.Load())
				}
				a.fail(trouble.way(c, c.edge()))
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
		})
	}
}

func TestTheSteeringManifestIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		order := &atomic.Value{}
		order.Store(`"b","a"`)
		v, a, b := c.steered(t, order)
		viewers := []*spectator{v}
		within(t, 10*time.Second, "at the CDN that the operator prefers", viewers, func(observation) bool { return b.asked.Load() >= 3 })
		order.Store(`"a","b"`)
		before := a.asked.Load()
		within(t, 20*time.Second, "following the next manifest", viewers, func(observation) bool { return a.asked.Load() >= before+3 })
		noStalls(t, viewers)
	})
}

func TestACDNOfAnotherEncoderIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := offline(t)
		other := *offline(t, func(o *channel) { o.bytes = segmentBytes / 2 })
		other.id, other.root, other.signing = c.id, c.root, c.signing
		other.publish(t)
		other.resign(t, other.first+1, func(r *manifest.Record) { r.Variant = 1 }, 0)
		a, b := &front{serve: c.serve}, &front{serve: other.serve}
		viewers := []*spectator{c.watch(t, func(cfg *session.Config) {
			cfg.Playlist, cfg.CDNs = "http://a.test/live/demo/index.m3u8", []string{"http://b.test/live/demo/index.m3u8"}
			cfg.Client = &http.Client{Transport: internet{"a.test": a, "b.test": b}}
		})}
		within(t, 5*time.Second, "playing", viewers, playing)
		a.fail(http.NotFound)
		before := b.asked.Load()
		within(t, 10*time.Second, "asking the other", viewers, func(observation) bool { return b.asked.Load() >= before+2 })
		a.recover()
		before = a.asked.Load()
		within(t, 30*time.Second, "back", viewers, func(observation) bool { return a.asked.Load() >= before+5 })
		if o := viewers[0].observe(); o.RejectedLeaves > 0 {
			t.Errorf("bytes of the other encoder were taken for ours: %+v", o)
		}
	})
}

// Over real connections, to a port where nobody listens any more.
func TestTheListItselfMayBeAtAnotherCDN(t *testing.T) {
	t.Parallel()
	c := offline(t)
	gone, there := httptest.NewServer(nil), httptest.NewServer(http.HandlerFunc(c.serve))
	gone.Close()
	t.Cleanup(there.Close)
	viewers := []*spectator{c.join(t, func(cfg *session.Config) {
		cfg.Playlist, cfg.CDNs = gone.URL+"/live/demo/index.m3u8", []string{there.URL + "/live/demo/index.m3u8"}
		cfg.Engine, cfg.Client = nil, &http.Client{Transport: &http.Transport{}}
	})}
	within(t, 5*time.Second, "playing", viewers, playing)
	noStalls(t, viewers)
}
