package bench

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"slipstream/origin/cmaf"
	"slipstream/origin/keys"
	"slipstream/origin/manifest"
	"slipstream/origin/server"
	"slipstream/origin/store"
	"slipstream/origin/timeline"
	trackerserver "slipstream/tracker/server"
)

const (
	channelName = "stage"
	rendition   = "360p"
	backlog     = 10 // segments that are there when the stage opens
	segmentMs   = timeline.SegmentMs
)

// stage is a live channel whose segments are pseudo-random bytes: the origin's own keys, store and server and the
// tracker, without an encoder. Whoever knows the seed knows every byte that will ever be published.
type stage struct {
	seed         uint64
	segmentBytes int
	secret       []byte // of tokens
	url          string // of the multivariant playlist
	id           manifest.Hash

	store   *store.Store
	dir     string
	http    *httptest.Server
	tracker *trackerserver.Server
	stop    chan struct{}
	done    sync.WaitGroup
}

// openStage starts to publish at that many kilobits a second.
func openStage(kbps int, seed uint64) (*stage, error) { return openStageWith(kbps, seed, "") }

// openStageWith names viewers a tracker elsewhere; "" is one of the stage's own.
func openStageWith(kbps int, seed uint64, trackerURL string) (_ *stage, err error) {
	s := &stage{seed: seed, segmentBytes: kbps * segmentMs / 8, stop: make(chan struct{})}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "slipstream-stage-"); err != nil {
		return nil, err
	}
	now := time.Now().UnixMilli()
	if s.secret, err = keys.Token(s.dir); err != nil {
		return nil, err
	}
	owner, err := keys.Open(s.dir, channelName, now)
	if err != nil {
		return nil, err
	}
	s.id = owner.ID()
	s.store, err = store.Open(store.Config{
		Dir: keys.ChannelDir(s.dir, channelName), Channel: s.id, SessionMs: now, Renditions: []string{rendition}, Signer: owner,
	}, now)
	if err != nil {
		return nil, err
	}
	mounts := map[string]http.Handler{}
	if trackerURL == "" {
		if s.tracker, err = trackerserver.New(trackerserver.Config{Secret: s.secret}); err != nil {
			return nil, err
		}
		trackerURL = "/tracker"
		mounts[trackerURL] = s.tracker
	}
	web, err := server.New(server.Config{
		TokenSecret: s.secret, Now: func() int64 { return time.Now().UnixMilli() },
		Mounts: mounts,
		Channels: []server.Channel{{
			Name: channelName, ID: s.id, Store: s.store, FloorBps: map[string]int64{rendition: int64(kbps) * 1000}, Tracker: trackerURL,
			Publisher: func() server.Publisher { return server.Publisher{Connected: true, SinceMs: now, Source: "stage"} },
		}},
	})
	if err != nil {
		return nil, err
	}
	next := now/segmentMs - backlog
	for ; next < now/segmentMs; next++ {
		if err := s.publish(next); err != nil {
			return nil, err
		}
	}
	s.http = httptest.NewServer(web)
	s.url = fmt.Sprintf("%s/live/%s/index.m3u8", s.http.URL, channelName)
	s.done.Go(func() { s.publishOn(next) })
	return s, nil
}

// publishOn publishes each segment when its last moment is over.
func (s *stage) publishOn(next int64) {
	for ; ; next++ {
		select {
		case <-s.stop:
			return
		case <-time.After(time.Until(time.UnixMilli((next + 1) * segmentMs))):
		}
		if err := s.publish(next); err != nil {
			panic(err) // without a stream there is nothing to measure
		}
	}
}

func (s *stage) publish(number int64) error {
	return s.store.Publish(cmaf.Segment{
		Rendition: rendition, Number: number, StartMs: number * segmentMs, DurationMs: segmentMs,
		Data: s.content(number), Init: []byte("an init section, of which nobody looks at the inside"),
		Codecs: "avc1.4d401e", Width: 640, Height: 360, FrameRate: 25,
	}, time.Now().UnixMilli())
}

// content is what the segment of that number consists of.
func (s *stage) content(number int64) []byte { return content(s.seed, number, s.segmentBytes) }

// content is cheap: every leaf is the same noise behind its own number and the segment's.
func content(seed uint64, number int64, size int) []byte {
	random := rand.NewPCG(seed, 0)
	noise := make([]byte, manifest.LeafSize)
	for i := 0; i < len(noise); i += 8 {
		binary.BigEndian.PutUint64(noise[i:], random.Uint64())
	}
	b := make([]byte, 0, size)
	for leaf := uint64(0); len(b) < size; leaf++ {
		binary.BigEndian.PutUint64(noise, uint64(number))
		binary.BigEndian.PutUint64(noise[8:], leaf)
		b = append(b, noise[:min(len(noise), size-len(b))]...)
	}
	return b
}

func (s *stage) close() {
	close(s.stop)
	s.done.Wait()
	if s.tracker != nil {
		s.tracker.Close()
	}
	if s.http != nil {
		s.http.CloseClientConnections()
		s.http.Close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// bill is what the origin was asked for so far, as its own statistics tell it. Media are bytes of segments.
type bill struct {
	MediaBytes       int64 `json:"mediaBytes"`
	MediaRequests    int64 `json:"mediaRequests"`
	ListRequests     int64 `json:"listRequests"`
	PlaylistRequests int64 `json:"playlistRequests"`
	PlaylistBytes    int64 `json:"playlistBytes"`
}

func (s *stage) bill() bill {
	answer := httptest.NewRecorder()
	s.http.Config.Handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/stats.json", nil))
	var report struct {
		Channels []struct {
			HTTP map[string]struct{ Requests, Bytes int64 }
		}
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &report); err != nil || len(report.Channels) != 1 {
		panic(fmt.Sprintf("the origin's statistics are not understood: %v", err)) // a mistake in the measurement itself
	}
	sent := report.Channels[0].HTTP
	return bill{
		MediaBytes: sent["segment"].Bytes, MediaRequests: sent["segment"].Requests, ListRequests: sent["leaves"].Requests,
		PlaylistRequests: sent["playlist"].Requests, PlaylistBytes: sent["playlist"].Bytes,
	}
}

func (b bill) minus(o bill) bill {
	return bill{
		b.MediaBytes - o.MediaBytes, b.MediaRequests - o.MediaRequests, b.ListRequests - o.ListRequests,
		b.PlaylistRequests - o.PlaylistRequests, b.PlaylistBytes - o.PlaylistBytes,
	}
}
