package origin

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipstream/origin/logtest"
	"slipstream/origin/transcode"
)

// clip makes a film of five seconds.
func clip(t *testing.T) string {
	t.Helper()
	if err := transcode.Check(); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "film.mp4")
	out, err := exec.Command("ffmpeg", strings.Fields("-nostdin -loglevel error -f lavfi -i testsrc2=size=160x90:rate=30 -f lavfi -i sine=sample_rate=48000 "+
		"-t 5 -c:v libx264 -preset ultrafast -bf 2 -g 30 -pix_fmt yuv420p -c:a aac "+path)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// small is an origin that takes little of the machine.
func small(t *testing.T, log *logtest.Buffer) Config {
	cfg := local(t)
	cfg.Ladder = []transcode.Rung{{Name: "90p", Width: 160, Height: 90, VideoKbps: 100, AudioKbps: 64}}
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	return cfg
}

// window waits until a playlist lists n segments, and returns their numbers and the playlist.
func window(t *testing.T, at Ready, n int) (numbers []int64, playlist string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		_, playlist = get(t, "http://"+at.HTTP+"/live/demo/90p/index.m3u8")
		numbers = nil
		for _, m := range regexp.MustCompile(`(?m)^[^#]*?(\d+)\.m4s`).FindAllStringSubmatch(playlist, -1) {
			number, err := strconv.ParseInt(m[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, number)
		}
		if len(numbers) >= n {
			return numbers, playlist
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute there are %d segments instead of %d:\n%s", len(numbers), n, playlist)
		}
	}
}

func continuous(t *testing.T, numbers []int64, playlist string) {
	t.Helper()
	for i := 1; i < len(numbers); i++ {
		if numbers[i] != numbers[i-1]+1 {
			t.Errorf("number %d follows %d", numbers[i], numbers[i-1])
		}
	}
	if strings.Contains(playlist, "#EXT-X-DISCONTINUITY\n") || strings.Contains(playlist, "#EXT-X-GAP") {
		t.Errorf("the playlist has a gap or a discontinuity:\n%s", playlist)
	}
}

// steady has ffprobe read the first seconds of what is in the window: no picture and no sound may come before its time or leave a hole.
func steady(t *testing.T, at Ready, seconds int) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-loglevel", "error", "-live_start_index", "0", "-read_intervals", fmt.Sprintf("%%+%d", seconds), "-of", "csv=p=0",
		"-show_entries", "packet=codec_type,dts_time", "http://"+at.HTTP+"/live/demo/90p/index.m3u8").Output()
	if err != nil {
		t.Fatal(err)
	}
	apart := map[string]float64{"video": 1. / 30, "audio": 1024. / 48000}
	last, count := map[string]float64{}, map[string]int{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		dts, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		kind := fields[0]
		if step := dts - last[kind]; count[kind] > 1 && math.Abs(step-apart[kind]) > 0.001 { // sound begins with a frame of its own
			t.Errorf("%s %d comes %.6f s after the one before", kind, count[kind], step)
		}
		last[kind] = dts
		count[kind]++
	}
	if count["video"] < seconds*25 || count["audio"] < seconds*40 {
		t.Errorf("only %v came", count)
	}
}

// A file of five seconds fills more than twelve, and a second origin that pulls the first one's playlist does not notice either.
func TestAFileAndAnotherOriginArePulled(t *testing.T) {
	t.Parallel()
	film := clip(t)
	var firstLog, secondLog logtest.Buffer
	cfg := small(t, &firstLog)
	cfg.Pull = map[string]string{"demo": film}
	first, stopFirst := running(t, cfg)
	window(t, first, 2)
	cfg = small(t, &secondLog)
	cfg.Pull = map[string]string{"demo": "http://" + first.HTTP + "/live/demo/index.m3u8"}
	second, stopSecond := running(t, cfg)
	for _, at := range []Ready{second, first} {
		numbers, playlist := window(t, at, 6)
		continuous(t, numbers, playlist)
		steady(t, at, 8)
		var report bytes.Buffer
		if err := Verify(t.Context(), "http://"+at.HTTP+"/live/demo/index.m3u8", "", &report); err != nil {
			t.Errorf("%v\n%s", err, &report)
		}
	}
	if _, stats := get(t, "http://"+second.HTTP+"/stats.json"); !strings.Contains(stats, `"source":"HTTP"`) {
		t.Errorf("the statistics do not say where it comes from: %s", stats)
	}
	for _, stop := range []func() error{stopSecond, stopFirst} {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	for _, log := range []string{firstLog.String(), secondLog.String()} {
		for _, m := range regexp.MustCompile(`msg=(?:pulling|"ffmpeg was started") .*pid=(\d+)`).FindAllStringSubmatch(log, -1) {
			if stat, err := os.ReadFile("/proc/" + m[1] + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
				t.Errorf("the ffmpeg with the process id %s lives on", m[1])
			}
		}
		if strings.Count(log, "a publication begins") != 1 {
			t.Errorf("there is not exactly one session:\n%s", log)
		}
	}
}

func TestAPullThatCannotBeIsASentence(t *testing.T) {
	film := clip(t)
	text := filepath.Join(t.TempDir(), "text.mp4")
	if err := os.WriteFile(text, []byte("this is no film"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		pull, once map[string]string
		says       string
	}{
		"unknown channel":   {map[string]string{"other": film}, nil, `a channel that does not exist: say CHANNEL=FILE or CHANNEL=URL, where the channel is one of ["demo"]`},
		"no channel":        {map[string]string{"http://u:hunter2@host/?x": "y"}, nil, "a channel that does not exist"},
		"missing file":      {map[string]string{"demo": "/nowhere.mp4"}, nil, `the channel "demo" cannot be pulled: the source cannot be read: open /nowhere.mp4`},
		"no film":           {map[string]string{"demo": text}, nil, text + " is no media file that can be played"},
		"another protocol":  {map[string]string{"demo": "rtmp://u:hunter2@host/live"}, nil, "only files and http or https addresses can be pulled"},
		"an address once":   {nil, map[string]string{"demo": "https://u:hunter2@host/"}, "only a file can be played once"},
		"looped and once":   {map[string]string{"demo": film}, map[string]string{"demo": film}, "pulled from two sources"},
		"a missing one too": {nil, map[string]string{"demo": "/nowhere.mp4"}, "/nowhere.mp4"},
	} {
		cfg := local(t)
		cfg.Pull, cfg.PullOnce = c.pull, c.once
		err := Run(t.Context(), cfg)
		if said := fmt.Sprint(err); !errors.Is(err, ErrConfig) || !strings.Contains(said, c.says) || strings.Contains(said, "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
