package bench

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"slipstream/peer/rtc"
	"slipstream/peer/session"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// transferReport compares three ways to move bytes between two ends on this machine: pion as its examples use it, our
// connections, and a seeder that serves a viewer, with every leaf requested, hashed, compared with the signed root and stored.
type transferReport struct {
	Megabytes int    `json:"megabytes"` // in each round
	Bars      []bar  `json:"bars"`
	Bare      series `json:"bare"`
	Conn      series `json:"conn"`
	Session   series `json:"session"`
}

// series is the rounds of one side. Rounds of different sides alternate, so that all see the same machine.
type series struct {
	MBPerSecond     float64   `json:"mbPerSecond"` // median of the rounds
	CPUSecondsPerGB float64   `json:"cpuSecondsPerGB"`
	Rounds          []float64 `json:"rounds"`
	bytes           float64
	cpu             float64
}

func (s *series) add(bytes int64, took time.Duration, cpu float64) {
	s.Rounds = append(s.Rounds, float64(bytes)/1e6/took.Seconds())
	s.bytes += float64(bytes)
	s.cpu += cpu
	sorted := slices.Sorted(slices.Values(s.Rounds))
	s.MBPerSecond = sorted[len(sorted)/2]
	s.CPUSecondsPerGB = s.cpu / (s.bytes / 1e9)
}

// Both loops keep between these many bytes in pion's send buffer.
const (
	transferHigh = 1 << 20
	transferLow  = 256 << 10
)

func benchTransfer(args []string) (any, error) {
	f := flags("transfer")
	rounds := f.Int("rounds", 5, "rounds of each side")
	megabytes := f.Int("megabytes", 128, "moved in each round")
	sessions := f.Bool("sessions", true, "measure a seeder and a viewer as well")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	r := &transferReport{Megabytes: *megabytes}
	bytes := int64(*megabytes) << 20
	for range *rounds {
		for _, side := range []struct {
			series *series
			move   func(int64) (int64, time.Duration, error)
			wanted bool
		}{{&r.Bare, moveBare, true}, {&r.Conn, moveConn, true}, {&r.Session, moveSession, *sessions}} {
			if !side.wanted {
				continue
			}
			cpu := used(os.Getpid()).cpuSeconds
			moved, took, err := side.move(bytes)
			if err != nil {
				return nil, err
			}
			side.series.add(moved, took, used(os.Getpid()).cpuSeconds-cpu)
		}
		fmt.Fprintf(os.Stderr, "bare %.1f  conn %.1f  session %.1f MB/s\n", last(r.Bare.Rounds), last(r.Conn.Rounds), last(r.Session.Rounds))
	}
	r.Bars = []bar{atLeast("our connections, of bare pion", r.Conn.MBPerSecond/r.Bare.MBPerSecond, 0.9)}
	if *sessions {
		r.Bars = append(r.Bars, atLeast("a seeder serving a viewer, of bare pion", r.Session.MBPerSecond/r.Bare.MBPerSecond, 0.9))
	}
	return r, nil
}

func last(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return values[len(values)-1]
}

// pour sends total bytes in messages of a leaf and returns when received has heard of all.
func pour(total int64, send func([]byte) error, buffered func() int, low <-chan struct{}, received *atomic.Int64, arrived <-chan struct{}) (time.Duration, error) {
	message := make([]byte, wire.LeafSize)
	failed := make(chan error, 1)
	began := time.Now()
	go func() {
		for left := total; left > 0; left -= wire.LeafSize {
			for buffered() > transferHigh {
				<-low
			}
			if err := send(message); err != nil {
				failed <- err
				return
			}
		}
	}()
	for received.Load() < total {
		select {
		case err := <-failed:
			return 0, err
		case <-arrived:
		}
	}
	return time.Since(began), nil
}

// bell is a channel that is rung without waiting.
func bell() (ring func(), heard <-chan struct{}) {
	ch := make(chan struct{}, 1)
	return func() {
		select {
		case ch <- struct{}{}:
		default:
		}
	}, ch
}

// moveBare uses pion as its examples do.
func moveBare(total int64) (int64, time.Duration, error) {
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings))
	negotiated, id := true, uint16(0)
	var received atomic.Int64
	ring, arrived := bell()
	ringLow, low := bell()
	var open sync.WaitGroup
	open.Add(2)
	var ends [2]*webrtc.PeerConnection
	var channels [2]*webrtc.DataChannel
	for i := range ends {
		var err error
		if ends[i], err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
			return 0, 0, err
		}
		defer ends[i].GracefulClose()
		if channels[i], err = ends[i].CreateDataChannel("bare", &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id}); err != nil {
			return 0, 0, err
		}
		channels[i].OnOpen(open.Done)
		channels[i].OnMessage(func(m webrtc.DataChannelMessage) {
			received.Add(int64(len(m.Data)))
			ring()
		})
	}
	channels[0].SetBufferedAmountLowThreshold(transferLow)
	channels[0].OnBufferedAmountLow(ringLow)
	offer, err := ends[0].CreateOffer(nil)
	if err == nil {
		err = describe(ends[0], ends[1], offer)
	}
	if err != nil {
		return 0, 0, err
	}
	answer, err := ends[1].CreateAnswer(nil)
	if err == nil {
		err = describe(ends[1], ends[0], answer)
	}
	if err != nil {
		return 0, 0, err
	}
	open.Wait()
	took, err := pour(total, channels[0].Send, func() int { return int(channels[0].BufferedAmount()) }, low, &received, arrived)
	return total, took, err
}

// describe gives a description to both ends, with all candidates in it.
func describe(from, to *webrtc.PeerConnection, d webrtc.SessionDescription) error {
	gathered := webrtc.GatheringCompletePromise(from)
	if err := from.SetLocalDescription(d); err != nil {
		return err
	}
	<-gathered
	return to.SetRemoteDescription(*from.LocalDescription())
}

// moveConn uses our connections.
func moveConn(total int64) (int64, time.Duration, error) {
	var received atomic.Int64
	ring, arrived := bell()
	ringLow, low := bell()
	var open sync.WaitGroup
	open.Add(2)
	var signals [2]chan announce.Signal
	var ends [2]*rtc.Conn
	for i := range ends {
		signals[i] = make(chan announce.Signal, 64)
	}
	for i := range ends {
		engine, err := rtc.New(rtc.Config{})
		if err != nil {
			return 0, 0, err
		}
		defer engine.Close()
		dial := engine.Offer
		if i == 1 {
			dial = engine.Answer
		}
		if ends[i], err = dial(rtc.Handlers{
			OnSignal: func(s announce.Signal) { signals[1-i] <- s },
			OnOpen:   open.Done,
			OnMessage: func(b []byte) {
				received.Add(int64(len(b)))
				ring()
			},
			BufferedLow: transferLow, OnBufferedLow: ringLow,
		}); err != nil {
			return 0, 0, err
		}
		go func() {
			for {
				select {
				case s := <-signals[i]:
					_ = ends[i].Signal(s)
				case <-ends[i].Done():
					return
				}
			}
		}()
	}
	open.Wait()
	took, err := pour(total, ends[0].Send, ends[0].BufferedAmount, low, &received, arrived)
	return total, took, err
}

// moveSession lets a viewer fetch segments from a seeder that holds them, both as they ship.
func moveSession(total int64) (int64, time.Duration, error) {
	const kbps = 100_000 // 25 MB a segment
	s, err := openStage(kbps, 1)
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	segments := (total + int64(s.segmentBytes) - 1) / int64(s.segmentBytes)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var hoarders [2]*hoarder
	for i := range hoarders {
		engine, err := rtc.New(rtc.Config{})
		if err != nil {
			return 0, 0, err
		}
		defer engine.Close()
		h := &hoarder{segments: segments, soon: i == 0, complete: make(chan struct{})}
		if i > 0 {
			h.from = hoarders[0].from
		}
		h.spectator = s.join(engine, client, uint32(i), func(cfg *session.Config) {
			cfg.Audience, cfg.StoreBytes = h, 1<<30
			if i > 0 { // what the CDN sent would not be measured
				cfg.Client = &http.Client{Transport: withoutMedia{client.Transport}}
			}
			cfg.Verified = func(_ wire.Key, _ int, fromCDN bool) {
				if !fromCDN && h.first.IsZero() {
					h.first = time.Now()
				}
			}
		})
		hoarders[i] = h
		defer func() { _ = h.leave() }()
		select {
		case <-h.complete:
		case <-time.After(patience):
			return 0, 0, fmt.Errorf("the %d segments did not arrive within %v: %+v", segments, patience, h.account())
		}
	}
	viewer := hoarders[1]
	sum := viewer.account()
	return sum.P2PBytes, viewer.last.Sub(viewer.first), nil
}

// hoarder wants the first few segments that it sees, and nothing after them.
type hoarder struct {
	*spectator
	segments int64
	soon     bool // from wherever; otherwise there is time enough for neighbours
	from     int64
	complete chan struct{}

	first, last time.Time
}

// DeadlineMs implements session.Audience.
func (h *hoarder) DeadlineMs(nowMs int64, seg session.Segment) int64 {
	switch {
	case h.from == 0 || seg.Number < h.from || seg.Number >= h.from+h.segments:
		return 0
	case h.soon:
		return nowMs
	}
	return nowMs + patience.Milliseconds()
}

// Advance implements session.Audience.
func (h *hoarder) Advance(_ int64, _ string, window []session.Segment) {
	if len(window) == 0 || !h.last.IsZero() {
		return
	}
	if h.from == 0 {
		h.from = window[max(0, int64(len(window))-h.segments)].Number
	}
	whole := int64(0)
	for _, seg := range window {
		if seg.Complete && seg.Number >= h.from && seg.Number < h.from+h.segments {
			whole++
		}
	}
	if whole == h.segments {
		h.last = time.Now()
		close(h.complete)
	}
}

// withoutMedia is a CDN that has playlists and no segments.
type withoutMedia struct{ http.RoundTripper }

func (w withoutMedia) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, ".m4s") {
		return &http.Response{
			StatusCode: http.StatusServiceUnavailable, ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header), Body: http.NoBody, Request: r,
		}, nil
	}
	return w.RoundTripper.RoundTrip(r)
}
