package transcode_test

import (
	"log/slog"
	"testing"
	"time"

	"slipstream/origin/cmaf"
	"slipstream/origin/logtest"
	"slipstream/origin/transcode"
)

const gridStartMs = 1_763_785_212_000

// encode starts a session of one small rung, whose segments come out of the channel.
func encode(t *testing.T) (*transcode.Session, <-chan cmaf.Segment) {
	t.Helper()
	if err := transcode.Check(); err != nil {
		t.Skip(err)
	}
	log := &logtest.Buffer{}
	segments := make(chan cmaf.Segment, 64)
	s, err := transcode.Start(t.Context(), transcode.Config{
		Channel: "demo", ArrivedMs: gridStartMs, Patience: time.Minute /* pictures come all at once */, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Ladder:    []transcode.Rung{{Name: "180p", Width: 320, Height: 180, VideoKbps: 400, AudioKbps: 64}},
		OnSegment: func(_ string, segment cmaf.Segment) { segments <- segment },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Logf("the log:\n%s", log)
		}
	})
	return s, segments
}

// A segment is there when the second picture of the next one has come: ffmpeg knows by its beginning that the first is complete, and by the
// first how long the last one before lasts. No picture waits for more than that.
func TestNoPictureWaitsForTheOneAfterTheNext(t *testing.T) {
	t.Parallel()
	s, segments := encode(t)
	for i, unit := range film(t, "320x180", "3", "-pix_fmt yuv420p -tune zerolatency")[:62] {
		at := time.Duration(i) * time.Second / 30
		if err := s.Video(at, at, unit); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case segment := <-segments:
		if segment.StartMs != gridStartMs || segment.DurationMs != 2000 {
			t.Errorf("the first segment is from %d ms for %d ms", segment.StartMs, segment.DurationMs)
		}
	case <-time.After(30 * time.Second):
		t.Error("the first segment waits for a third picture of the second one")
	}
}

// Whatever the pictures' times are, there is one for each frame of the grid: of two for the same one goes, where one is missing another stands
// in for it, and those that are a little off are put right.
func TestEachFrameOfTheGridHasAPicture(t *testing.T) {
	t.Parallel()
	units := film(t, "320x180", "4", "-pix_fmt yuv420p -tune zerolatency")
	for name, at := range map[string]func(i int) time.Duration{
		"on time":               func(i int) time.Duration { return time.Duration(i) * time.Second / 30 },
		"whole milliseconds":    func(i int) time.Duration { return time.Duration(i*1000/30) * time.Millisecond },
		"25 a second":           func(i int) time.Duration { return time.Duration(i) * time.Second / 25 },
		"60 a second":           func(i int) time.Duration { return time.Duration(i) * time.Second / 60 },
		"10 a second, as slate": func(i int) time.Duration { return time.Duration(i) * time.Second / 10 },
		"early and late by 15 ms": func(i int) time.Duration {
			return time.Duration(i)*time.Second/30 + time.Duration((i+1)%3-1)*15*time.Millisecond
		},
		"half a second is missing": func(i int) time.Duration { return time.Duration(i+i/50*15) * time.Second / 30 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, segments := encode(t)
			for i, unit := range units {
				if err := s.Video(at(i), at(i), unit); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			var made []cmaf.Segment
			for len(segments) > 0 {
				made = append(made, <-segments)
			}
			want := at(len(units) - 1)
			if int64(len(made))*2000 < want.Milliseconds() {
				t.Fatalf("of %v came %d segments", want, len(made))
			}
			checkRun(t, made)
			for _, segment := range made[:len(made)-1] {
				if video, _ := timesOf(t, segment); video.end-video.start != 2*video.timescale || video.pictures != 60 {
					t.Errorf("segment %d has %d pictures in %d/%d s", segment.Number, video.pictures, video.end-video.start, video.timescale)
				}
			}
		})
	}
}
