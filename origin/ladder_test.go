package origin

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipstream/origin/logtest"
	"slipstream/origin/permit"
	"slipstream/origin/transcode"
)

func token(t *testing.T, cfg Config, p permit.Permit) string {
	t.Helper()
	text, err := Token(cfg.DataDir, cfg.PublishKey, p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// push publishes a test picture over RTMP until the context ends, and returns what ffmpeg says.
func push(ctx context.Context, at Ready, key string) (said string) {
	cmd := exec.CommandContext(ctx, "ffmpeg", strings.Fields("-hide_banner -nostdin -loglevel error -re -f lavfi -i testsrc2=size=320x180:rate=30 "+
		"-re -f lavfi -i sine=sample_rate=48000 -c:v libx264 -preset veryfast -bf 2 -g 30 -sc_threshold 0 -x264-params rc-lookahead=5 -pix_fmt yuv420p -c:a aac "+
		"-f flv rtmp://"+at.RTMP+"/live/"+key)...)
	out, _ := cmd.CombinedOutput() // it is killed, or refused
	return string(out)
}

// A publisher with a token makes a channel, whose own picture is passed on, with a smaller one and sound alone beside it. Whoever
// comes second is told so, and so is who would make one channel too many.
func TestAPublisherMakesAChannel(t *testing.T) {
	t.Parallel()
	if err := transcode.Check(); err != nil {
		t.Skip(err)
	}
	var log logtest.Buffer
	cfg := small(t, &log)
	cfg.PassThrough, cfg.LowLatency, cfg.MaxChannels = true, true, 2
	cfg.Ladder = append(cfg.Ladder, transcode.Rung{Name: "audio", AudioKbps: 32})
	made := make(chan Channel, 1)
	cfg.Made = func(ch Channel) { made <- ch }
	at, stop := running(t, cfg)
	show := token(t, cfg, permit.Permit{Channel: "show", Create: true, Address: "127.0.0.0/8", Until: time.Now().Add(time.Hour)})
	live := "http://" + at.HTTP + "/live/show/"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() { ended <- push(ctx, at, show) }()
	var list string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		status, body := get(t, live+"audio/index.m3u8")
		if status == http.StatusOK && strings.Count(body, ".m4s\n") >= 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute: %d %s\n%s", status, body, &log)
		}
	}
	if ch := <-made; ch.Name != "show" || ch.StreamKey == "" {
		t.Errorf("made was %+v", ch)
	}
	_, list = get(t, live+"index.m3u8")
	if got := regexp.MustCompile(`(?m)^\w+/index\.m3u8`).FindAllString(list, -1); len(got) != 3 || got[2] != "audio/index.m3u8" || !strings.Contains(list, "\nsource/") {
		t.Errorf("the channel offers %q:\n%s", got, list)
	}
	var report bytes.Buffer
	if err := Verify(t.Context(), live+"index.m3u8", "", &report); err != nil {
		t.Errorf("%v\n%s", err, &report)
	}
	if _, mpd := get(t, live+"manifest.mpd"); strings.Count(mpd, `contentType="audio"`) != 1 || strings.Contains(mpd, `media="audio/`) {
		t.Errorf("the MPD has another sound:\n%s", mpd)
	}
	// The publisher's own picture has its B-frames, and comes without a hole.
	_, source := get(t, live+"source/index.m3u8")
	if strings.Contains(source, "EXT-X-GAP") || strings.Contains(source, "#EXT-X-DISCONTINUITY\n") || strings.Count(source, "#EXTINF:2.000,") < 3 {
		t.Errorf("it is not cut on the grid:\n%s", source)
	}
	own, err := exec.Command("ffprobe", "-loglevel", "error", "-of", "csv=p=0", "-show_entries", "stream=codec_name,width,has_b_frames", live+"source/index.m3u8").CombinedOutput()
	if err != nil || !strings.Contains(string(own), "h264,320,2") {
		t.Errorf("ffprobe reads of the publisher's own picture: %v\n%s", err, own)
	}
	out, err := exec.Command("ffprobe", "-loglevel", "error", "-live_start_index", "0", "-read_intervals", "%+5", "-of", "csv=p=0",
		"-show_entries", "packet=codec_type,duration_time,pts_time", live+"audio/index.m3u8").CombinedOutput()
	if err != nil || strings.Count(string(out), "audio,") < 200 || strings.Contains(string(out), "video") {
		t.Errorf("ffprobe reads of the sound alone: %v\n%s", err, out)
	}

	// As MPEG-TS, too: pictures with B-frames, and sound alone.
	for rendition, want := range map[string]string{"source": "h264", "audio": "aac"} {
		out, err := exec.Command("ffprobe", "-loglevel", "error", "-live_start_index", "0", "-read_intervals", "%+3", "-of", "csv=p=0",
			"-show_entries", "stream=codec_name:packet=pts,dts", live+rendition+"/ts.m3u8").CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "rror") {
			t.Errorf("%s as MPEG-TS: %v\n%.2000s", rendition, err, out)
		}
		for _, m := range regexp.MustCompile(`(?m)^(\d+),(\d+)`).FindAllStringSubmatch(string(out), -1) {
			pts, _ := strconv.ParseInt(m[1], 10, 64)
			dts, _ := strconv.ParseInt(m[2], 10, 64)
			if pts < dts {
				t.Fatalf("a picture of %s is shown at %d, before it is decoded at %d", rendition, pts, dts)
			}
		}
	}
	for key, says := range map[string]string{
		show: "already has a publisher",
		token(t, cfg, permit.Permit{Channel: "third", Create: true}):                                      "this origin has 2 channels already",
		token(t, cfg, permit.Permit{Channel: "third"}):                                                    "the token gives no right to make it",
		token(t, cfg, permit.Permit{Channel: "demo", Backup: true}):                                       `"demo" takes no backup`,
		token(t, cfg, permit.Permit{Channel: "demo", Address: "192.0.2.1"}):                               "at another address",
		token(t, cfg, permit.Permit{Channel: "demo", Until: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}): "was valid until 2020-01-01 00:00:00Z",
	} {
		if said := push(t.Context(), at, key); !strings.Contains(said, says) {
			t.Errorf("ffmpeg says %q, want %q", said, says)
		}
		if strings.Contains(log.String(), key) {
			t.Errorf("a token is in the log")
		}
	}
	_, stats := get(t, "http://"+at.HTTP+"/stats.json")
	if !strings.Contains(stats, `"rungs":["source","90p","audio"]`) || strings.Contains(stats, `"cpuMs":0,"failures":0,"notes":[]}},`) {
		t.Errorf("the statistics: %s", stats)
	}
	cancel()
	<-ended
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Channels have settings of their own.
func TestSettingsOfOneChannel(t *testing.T) {
	yes := true
	cfg, err := Config{
		FrameRate: 25, PassThrough: true,
		Settings: map[string]Settings{"radio": {Rung: []string{"90p:160x90:60:48", "audio:64"}, DropRungs: &yes}, "fast": {FrameRate: 50, PassThrough: new(bool)}},
	}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(cfg.Channels, " "); got != "fast radio" {
		t.Errorf("the channels are %s", got)
	}
	radio, err := cfg.encodingOf("radio")
	if err != nil || len(radio.ladder) != 2 || radio.frameRate != 25 || !radio.passThrough || !radio.dropRungs {
		t.Errorf("radio: %+v, %v", radio, err)
	}
	fast, err := cfg.encodingOf("fast")
	if err != nil || len(fast.ladder) != 4 || fast.frameRate != 50 || fast.passThrough || fast.dropRungs {
		t.Errorf("fast: %+v, %v", fast, err)
	}
	if got := strings.Join(radio.renditions(), " "); got != "source 90p audio" {
		t.Errorf("radio has the renditions %s", got)
	}
	hour, none := time.Hour, time.Duration(0)
	cfg.DVR, cfg.Settings["radio"], cfg.Settings["fast"] = 2*time.Hour, Settings{DVR: &hour}, Settings{DVR: &none}
	for channel, want := range map[string]int64{"radio": 3_600_000, "fast": 0, "other": 7_200_000} {
		if ms, err := cfg.dvrOf(channel); err != nil || ms != want {
			t.Errorf("%d ms of %s are kept, want %d: %v", ms, channel, want, err)
		}
	}
	second := time.Second
	for name, c := range map[string]struct {
		cfg  Config
		says string
	}{
		"a short window":      {Config{Settings: map[string]Settings{"a": {DVR: &second}}}, `the channel "a": a DVR window of 1 s is not possible`},
		"a rung that is none": {Config{Settings: map[string]Settings{"a": {Rung: []string{"big"}}}}, `the channel "a": the rung "big" is not like`},
		"too near to live":    {Config{Settings: map[string]Settings{"a": {HoldBack: new(float64)}}}, `the channel "a": a part hold-back of 0 part targets`},
		"an odd frame rate":   {Config{Settings: map[string]Settings{"a": {FrameRate: 7}}}, `the channel "a": the frame rate 7`},
		"an odd name":         {Config{Settings: map[string]Settings{"A B": {}}}, `the channel name "A B"`},
		"too many":            {Config{Channels: []string{"a", "b"}, MaxChannels: 1}, "2 channels are more than the most, 1"},
	} {
		if _, err := c.cfg.withDefaults(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
