package transcode

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/origin/timeline"
)

// A file that is looped has a frame of sound twice for the time of one where it begins again, and a publisher's sound may be a little
// off at any time. What is corrected there must not come again from the start of the run.
func TestSoundThatOverlapsGoesOnWhereItWas(t *testing.T) {
	if err := Check(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	film, looped := filepath.Join(dir, "film.mp4"), filepath.Join(dir, "looped.ts")
	for _, args := range []string{
		"-f lavfi -i testsrc2=size=64x48:rate=30 -f lavfi -i sine=sample_rate=44100 -t 1 -c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p -c:a aac " + film,
		"-fflags +genpts -stream_loop 2 -i " + film + " -map 0:v -c:v copy -map 0:a -c:a copy -f mpegts " + looped,
	} {
		if out, err := exec.Command("ffmpeg", strings.Fields("-nostdin -loglevel error "+args)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	const start = 126_000 // 1.4 s: where ffmpeg begins a transport stream
	graph := filters([]Rung{{Name: "x", Width: 64, Height: 48}}, 30, plan{start: timeline.Ticks(start)}, true)
	out, err := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-copyts", "-f", "mpegts", "-i", looped, "-filter_complex", graph,
		"-map", "[v0]", "-f", "null", "/dev/null", "-map", "[a0]", "-f", "framecrc", "pipe:1").Output()
	if err != nil {
		t.Fatal(err)
	}
	next := int64(start) * audioHz / timeline.TicksPerSecond
	for line := range strings.Lines(string(out)) {
		var stream, dts, pts, duration int64
		if n, _ := fmt.Sscanf(strings.ReplaceAll(line, ",", ""), "%d %d %d %d", &stream, &dts, &pts, &duration); n != 4 {
			continue // a comment
		}
		if pts != next {
			t.Fatalf("after %d samples the sound goes on at %d", next, pts)
		}
		next = pts + duration
	}
	if seconds := float64(next-int64(start)*audioHz/timeline.TicksPerSecond) / audioHz; seconds < 2.9 || seconds > 3.3 {
		t.Errorf("of three seconds %.2f came", seconds)
	}
}
