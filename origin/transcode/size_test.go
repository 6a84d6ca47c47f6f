package transcode_test

import (
	"bytes"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"slipstream/origin/cmaf"
	"slipstream/origin/logtest"
	"slipstream/origin/transcode"
)

// film makes access units of a white picture in a size, 30 a second.
func film(t *testing.T, size, duration, options string) (units [][][]byte) {
	t.Helper()
	stream, err := exec.Command("ffmpeg", strings.Fields("-nostdin -loglevel error -f lavfi -i color=white:size="+size+":rate=30 -t "+duration+
		" -c:v libx264 -preset ultrafast -bf 0 -g 30 -threads 1 "+options+" -bsf:v h264_metadata=aud=insert -f h264 pipe:1")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, nal := range bytes.Split(stream, []byte{0, 0, 1}) {
		nal = bytes.TrimRight(nal, "\x00")
		switch {
		case len(nal) == 0:
		case nal[0]&0x1f == 9:
			units = append(units, nil)
		default:
			units[len(units)-1] = append(units[len(units)-1], nal)
		}
	}
	return units
}

// One life of ffmpeg goes on when the pictures change their size, shape and colour format: they are fitted in anew, and the grid is kept.
func TestPicturesOfAnotherSizeInOneRun(t *testing.T) {
	if err := transcode.Check(); err != nil {
		t.Skip(err)
	}
	const startMs = 1_763_785_212_000
	var mu sync.Mutex
	var segments []cmaf.Segment
	log := &logtest.Buffer{}
	s, err := transcode.Start(t.Context(), transcode.Config{
		Channel: "demo", ArrivedMs: startMs, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Ladder: []transcode.Rung{{Name: "360p", Width: 640, Height: 360, VideoKbps: 400, AudioKbps: 64}},
		OnSegment: func(_ string, segment cmaf.Segment) {
			mu.Lock()
			defer mu.Unlock()
			segments = append(segments, segment)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for _, units := range [][][][]byte{
		film(t, "320x180", "2", "-pix_fmt yuv420p"), film(t, "240x240", "2", "-pix_fmt yuv444p"), film(t, "1280x720", "2", "-pix_fmt yuv420p"),
	} {
		for _, unit := range units {
			at := time.Duration(i) * time.Second / 30
			if err := s.Video(at, at, unit); err != nil {
				t.Fatal(err)
			}
			i++
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "ffmpeg was started"); n != 1 || len(segments) != 3 {
		t.Fatalf("%d runs gave %d segments:\n%s", n, len(segments), log)
	}
	checkRun(t, segments)
	checkDecodes(t, segments)
	for i, crop := range []string{"crop=640:360:0:0", "crop=360:360:140:0", "crop=640:360:0:0"} {
		said := run(t, bytes.NewReader(file(segments[i:i+1])), "ffmpeg", "-hide_banner", "-nostats", "-i", "pipe:0", "-vf", "cropdetect=round=2:skip=0", "-f", "null", "-")
		if strings.Count(said, crop) < 58 {
			t.Errorf("segment %d is not %s:\n%s", i, crop, said)
		}
	}
}
