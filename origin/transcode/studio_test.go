package transcode_test

import (
	"bytes"
	"context"
	"log/slog"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slipstream/origin/cmaf"
	"slipstream/origin/ingest"
	"slipstream/origin/logtest"
	"slipstream/origin/transcode"
)

// A studio is everything from the RTMP door to the segments, with real ffmpegs.
type studio struct {
	t       *testing.T
	address string
	log     *logtest.Buffer

	mu       sync.Mutex
	segments map[string][]cmaf.Segment // by rendition
	delays   []int64                   // of each, how long after its end it was there, in ms
	last     int64
	changed  chan struct{}
}

func openStudio(t *testing.T) *studio { return openStudioFor(t, func(*transcode.Config) {}) }

// openStudioFor changes the configuration of its sessions.
func openStudioFor(t *testing.T, change func(*transcode.Config)) *studio {
	t.Helper()
	if err := transcode.Check(); err != nil {
		t.Skip(err)
	}
	s := &studio{t: t, log: &logtest.Buffer{}, segments: make(map[string][]cmaf.Segment), changed: make(chan struct{}, 1)}
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	server, err := ingest.Listen(ingest.Config{
		Address:   "127.0.0.1:0",
		Authorize: ingest.StreamKeys("live", map[string]string{"demo": "secret"}),
		Logger:    logger,
		Start: func(ctx context.Context, p ingest.Publication) (ingest.Session, error) {
			s.mu.Lock()
			after := s.last
			s.mu.Unlock()
			cfg := transcode.Config{
				Channel: p.Channel, Audio: p.Audio, FirstPTS: p.FirstPTS, ArrivedMs: p.ArrivedMs,
				Ladder: transcode.DemonstrationLadder(), After: after, OnSegment: s.take, Logger: logger,
			}
			change(&cfg)
			if cfg.PassThrough {
				cfg.ArrivedMs -= cfg.ArrivedMs % 2000
			}
			return transcode.Start(ctx, cfg)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.address = server.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the log:\n%s", s.log)
		}
	})
	return s
}

func (s *studio) take(channel string, segment cmaf.Segment) {
	now := time.Now().UnixMilli()
	s.mu.Lock()
	s.segments[segment.Rendition] = append(s.segments[segment.Rendition], segment)
	s.delays = append(s.delays, now-segment.StartMs-segment.DurationMs)
	s.last = max(s.last, segment.Number)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// of is what a rendition has so far.
func (s *studio) of(rendition string) []cmaf.Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]cmaf.Segment(nil), s.segments[rendition]...)
}

// wait waits until both renditions have n segments.
func (s *studio) wait(n int) {
	s.t.Helper()
	s.waitFor(n, "360p", "180p")
}

func (s *studio) waitFor(n int, renditions ...string) {
	s.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		have := make(map[string]int)
		ready := 0
		for _, name := range renditions {
			if have[name] = len(s.of(name)); have[name] >= n {
				ready++
			}
		}
		if ready == len(renditions) {
			return
		}
		select {
		case <-s.changed:
		case <-timeout:
			s.t.Fatalf("after 30 s there are %v segments instead of %d", have, n)
		}
	}
}

// waitLog waits until the log has a text, n times.
func (s *studio) waitLog(text string, n int) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); strings.Count(s.log.String(), text) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the log does not say %q %d times", text, n)
		}
	}
}

// transcoders are the process ids of the ffmpegs that were started, in order.
func (s *studio) transcoders() []string {
	var pids []string
	for _, m := range regexp.MustCompile(`"ffmpeg was started" .*pid=(\d+)`).FindAllStringSubmatch(s.log.String(), -1) {
		pids = append(pids, m[1])
	}
	return pids
}

const (
	testPicture = "-re -f lavfi -i testsrc2=size=640x360:rate=30"
	testTone    = "-re -f lavfi -i sine=frequency=440:sample_rate=44100"
	encoders    = "-c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p -c:a aac"
)

// publish pushes with a stream key until stop is called, which has ffmpeg say good-bye.
func (s *studio) publish(key, args string) (stop func() (stderr string, err error)) {
	s.t.Helper()
	cmd := exec.Command("ffmpeg", strings.Fields("-hide_banner -nostdin -loglevel error "+args+" -flvflags no_duration_filesize -f flv rtmp://"+s.address+"/live/"+key)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	stop = sync.OnceValues(func() (string, error) {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		return stderr.String(), err
	})
	s.t.Cleanup(func() { _, _ = stop() })
	return stop
}
