package transcode

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slipstream/origin/child"
	"slipstream/origin/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// fakeFFmpeg puts a shell script into PATH under ffmpeg's name.
func fakeFFmpeg(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ffmpeg"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func startFake(t *testing.T, script string, patience time.Duration) (*Session, *logtest.Buffer) {
	t.Helper()
	fakeFFmpeg(t, script)
	log := &logtest.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Config{
		Channel: "demo", Ladder: DemonstrationLadder(), ArrivedMs: time.Now().UnixMilli(), Patience: patience,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		s.Close()
	})
	return s, log
}

// show sends key frames of that size until the log has said a text n times.
func show(t *testing.T, s *Session, log *logtest.Buffer, size int, text string, n int) {
	t.Helper()
	unit := append([]byte{0x65}, make([]byte, size)...)
	deadline := time.Now().Add(10 * time.Second)
	for i := 0; strings.Count(log.String(), text) < n; i++ {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say %q %d times:\n%s", text, n, log)
		}
		at := time.Duration(i) * 33 * time.Millisecond
		if err := s.Video(at, at, [][]byte{unit}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestAMissingFFmpegIsASentence(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context(), Config{ArrivedMs: 1})
	for _, err := range []error{err, Check()} {
		var missing *child.MissingError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), "ffmpeg was not found in PATH: install it, e.g. apt-get install ffmpeg") {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestABadConfigurationIsRefused(t *testing.T) {
	for name, cfg := range map[string]Config{
		"a ladder without rates": {ArrivedMs: 1, Ladder: []Rung{{Name: "x", Width: 64, Height: 64}}},
		"an odd frame rate":      {ArrivedMs: 1, FrameRate: 7},
		"before the epoch":       {ArrivedMs: -1},
	} {
		if _, err := Start(t.Context(), cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestADeadFFmpegIsStartedAgainAndQuoted(t *testing.T) {
	s, log := startFake(t, "echo Unknown encoder libx264 >&2; exit 1", 0)
	show(t, s, log, 100, "Unknown encoder libx264", 2)
	if !strings.Contains(log.String(), "the transcoder failed and is started again") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestOutputThatIsNoMP4(t *testing.T) {
	s, log := startFake(t, "echo this is no MP4 stream at all >&4; cat >/dev/null", 0)
	show(t, s, log, 100, "the 180p output of ffmpeg cannot be cut", 1)
}

func TestAnFFmpegThatTakesNoInput(t *testing.T) {
	s, log := startFake(t, "exec sleep 60", 100*time.Millisecond)
	show(t, s, log, 50_000, "ffmpeg has taken no input for 100ms", 1)
}

func TestAnFFmpegThatGivesNoOutput(t *testing.T) {
	s, log := startFake(t, "cat >/dev/null", time.Second)
	show(t, s, log, 100, "has given no segment for 1s", 1)
}

func TestAnFFmpegThatDoesNotEnd(t *testing.T) {
	s, log := startFake(t, "cat >/dev/null; exec sleep 60", 200*time.Millisecond)
	// One picture: however late ffmpeg is started, it is not due to have given a segment.
	if err := s.Video(0, 0, [][]byte{{0x65}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "ffmpeg was started") && time.Now().Before(deadline); {
		time.Sleep(2 * time.Millisecond)
	}
	s.Close()
	if !strings.Contains(log.String(), "ffmpeg did not end well") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestTheContextEndsTheSession(t *testing.T) {
	fakeFFmpeg(t, "cat >/dev/null; exec sleep 60")
	log := &logtest.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Config{ArrivedMs: 1_763_785_210_000, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	show(t, s, log, 100, "ffmpeg was started", 1)
	cancel()
	<-s.done
	if err := s.Video(0, 0, [][]byte{{0x65}}); err == nil {
		t.Error("a picture was accepted after the end")
	}
	s.Close()
}

// A publisher is never made to wait for an ffmpeg that does not keep up.
func TestWhatDoesNotFitIsDropped(t *testing.T) {
	s, log := startFake(t, "exec sleep 60", time.Minute)
	for i := range 3 * queueSamples {
		at := time.Duration(i) * 33 * time.Millisecond
		if err := s.Video(at, at, [][]byte{append([]byte{0x65}, make([]byte, 100_000)...)}); err != nil {
			t.Fatal(err)
		}
	}
	if queued := s.queued.Load(); queued > queueBytes {
		t.Errorf("%d bytes wait for ffmpeg, at most %d should", queued, queueBytes)
	}
	if n := strings.Count(log.String(), "cannot keep up"); n != 1 {
		t.Errorf("the log says %d times that the transcoder cannot keep up:\n%s", n, log)
	}
}

func TestBadAccessUnits(t *testing.T) {
	s, _ := startFake(t, "cat >/dev/null", 0)
	if err := s.Video(0, 0, [][]byte{{0x65}, {}}); err == nil {
		t.Error("an empty NAL unit was accepted")
	}
	if err := s.Audio(0, nil); err != nil {
		t.Errorf("an empty frame of sound: %v", err)
	}
}

func TestAClockThatWasSetBack(t *testing.T) {
	fakeFFmpeg(t, "cat >/dev/null")
	log := &logtest.Buffer{}
	const nowMs = 1_763_785_210_000
	s, err := Start(t.Context(), Config{ArrivedMs: nowMs, After: nowMs/2000 + 30, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.Contains(log.String(), "the clock was set back") {
		t.Errorf("the log:\n%s", log)
	}
	first, err := s.anchor.Epoch(0)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(nowMs + 31*2000); first.Ms() != want {
		t.Errorf("the run starts at %d ms, want %d: after the last published number", first.Ms(), want)
	}
}
