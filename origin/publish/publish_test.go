package publish

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slipstream/origin/child"
	"slipstream/origin/ingest"
	"slipstream/origin/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A door is an ingest that counts what comes in.
type door struct {
	t        *testing.T
	url      string
	sessions chan *guest
}

// A guest is one publication.
type guest struct {
	sound   bool
	pts     chan time.Duration // of each picture
	fail    chan struct{}      // closed: the next picture ends the connection
	audible chan struct{}      // closed with the first sound
	once    sync.Once
}

func (g *guest) Video(pts, _ time.Duration, _ [][]byte) error {
	select {
	case <-g.fail:
		return errors.New("the ingest has had enough")
	case g.pts <- pts:
	default:
	}
	return nil
}

func (g *guest) Audio(time.Duration, []byte) error {
	g.once.Do(func() { close(g.audible) })
	return nil
}

func (g *guest) Close() error { return nil }

func openDoor(t *testing.T) *door {
	t.Helper()
	if _, err := child.Look("ffmpeg"); err != nil {
		t.Skip(err)
	}
	d := &door{t: t, sessions: make(chan *guest, 16)}
	server, err := ingest.Listen(ingest.Config{
		Address:   "127.0.0.1:0",
		Authorize: ingest.StreamKeys("live", map[string]string{"demo": "secret"}),
		Start: func(_ context.Context, p ingest.Publication) (ingest.Session, error) {
			g := &guest{sound: p.Audio != nil, pts: make(chan time.Duration, 1000), fail: make(chan struct{}), audible: make(chan struct{})}
			d.sessions <- g
			return g, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	d.url = "rtmp://" + server.Addr().String() + "/live/secret"
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return d
}

func (d *door) guest() *guest {
	d.t.Helper()
	select {
	case g := <-d.sessions:
		return g
	case <-time.After(20 * time.Second):
		d.t.Fatal("nobody published within 20 s")
		return nil
	}
}

// after waits for a picture later than that much after the first.
func (g *guest) after(t *testing.T, d time.Duration) {
	t.Helper()
	first := <-g.pts
	timeout := time.After(20 * time.Second)
	for {
		select {
		case pts := <-g.pts:
			if pts-first > d {
				return
			}
		case <-timeout:
			t.Fatalf("no picture came later than %v after the first", d)
		}
	}
}

func (g *guest) hear(t *testing.T) {
	t.Helper()
	select {
	case <-g.audible:
	case <-time.After(20 * time.Second):
		t.Fatal("no sound came")
	}
}

// start runs a publisher; stop ends it and checks that its ffmpeg is gone.
func start(t *testing.T, source, url string) (log *logtest.Buffer, stop func()) {
	t.Helper()
	log = &logtest.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Source: source, URL: url, Logger: slog.New(slog.NewTextHandler(log, nil))})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
		for _, m := range regexp.MustCompile(`pid=(\d+)`).FindAllStringSubmatch(log.String(), -1) {
			if stat, err := os.ReadFile("/proc/" + m[1] + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
				t.Errorf("the ffmpeg with the process id %s lives on", m[1])
			}
		}
	})
	t.Cleanup(stop)
	return log, stop
}

func TestTheTestPictureIsPublishedAgainAndAgain(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	log, stop := start(t, SourceTest, d.url)
	first := d.guest()
	first.hear(t)
	first.after(t, 200*time.Millisecond)
	close(first.fail) // the connection drops
	second := d.guest()
	second.after(t, 0)
	stop()
	if said := log.String(); !strings.Contains(said, "the publisher ended and is started again") || strings.Contains(said, "secret") {
		t.Errorf("the log:\n%s", said)
	}
}

func TestAWrongKeyIsTriedAgainWithoutTellingIt(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	log, stop := start(t, SourceTest, strings.Replace(d.url, "secret", "guess", 1))
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), "Server error: the stream key is wrong"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log:\n%s", log)
		}
	}
	stop()
	if strings.Contains(log.String(), "guess") {
		t.Errorf("the log repeats the stream key:\n%s", log)
	}
}

// A file shorter than what is watched shows that it loops. Whatever its codecs, H.264 and
// AAC come out.
func TestAFileIsLooped(t *testing.T) {
	for name, codecs := range map[string][]string{
		"a:b.mp4":   {"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"}, // copied; a colon is no protocol
		"old.avi":   {"-c:v", "mpeg4", "-c:a", "mp2"},                                                  // encoded
		"mute.mkv":  {"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p", "-an"},         // encoded: not for every decoder
		"camera.ts": {"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDoor(t)
			path := filepath.Join(t.TempDir(), name)
			make := exec.Command("ffmpeg", slices.Concat(strings.Fields("-nostdin -loglevel error -f lavfi -i testsrc2=size=128x96:rate=25 -f lavfi -i sine=sample_rate=44100 -t 0.6"), codecs, []string{"file:" + path})...)
			if out, err := make.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			_, stop := start(t, path, d.url)
			g := d.guest()
			if g.sound == (name == "mute.mkv") {
				t.Errorf("sound: %v", g.sound)
			}
			g.after(t, 1500*time.Millisecond)
			if g.sound {
				g.hear(t)
			}
			stop()
		})
	}
}

func TestWhatCannotBePublished(t *testing.T) {
	if _, err := child.Look("ffmpeg"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	text := filepath.Join(dir, "text.mp4")
	if err := os.WriteFile(text, []byte("this is no film"), 0o600); err != nil {
		t.Fatal(err)
	}
	tone := filepath.Join(dir, "tone.wav")
	if out, err := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "sine=duration=0.1", tone).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const url = "rtmp://127.0.0.1:1/live/secret"
	for _, c := range []struct{ name, source, url, want string }{
		{"no file", filepath.Join(dir, "gone.mp4"), url, "the source cannot be read"},
		{"a directory", dir, url, "is no file"},
		{"a text", text, url, "is no media file that ffmpeg reads"},
		{"sound alone", tone, url, "has no picture"},
		{"no address", SourceTest, "", "the address to publish to must be like"},
		{"another protocol", SourceTest, "http://host/live/secret", "the address to publish to must be like"},
		{"no host", SourceTest, "rtmp:///live/secret", "the address to publish to must be like"},
	} {
		err := Run(t.Context(), Config{Source: c.source, URL: c.url})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAMissingFFmpegIsASentence(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, source := range []string{SourceTest, "publish.go"} {
		err := Run(t.Context(), Config{Source: source, URL: "rtmp://127.0.0.1:1/live/secret"})
		var missing *child.MissingError
		if !errors.As(err, &missing) {
			t.Errorf("%s: the error is %v", source, err)
		}
	}
}

func TestNoFontNoClock(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in *drawtext*) echo No such filter: drawtext >&2; exit 1;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "ffmpeg"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	log := &logtest.Buffer{}
	args, err := testPicture(t.Context(), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil || strings.Contains(strings.Join(args, " "), "drawtext") {
		t.Errorf("the command line is %q, %v", args, err)
	}
	if !strings.Contains(log.String(), "the test picture has no clock") || !strings.Contains(log.String(), "No such filter") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestWhatIsCopied(t *testing.T) {
	for _, c := range []struct {
		name, report string
		want         found
		refused      bool
	}{
		{"H.264 and AAC", `{"streams":[{"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p"},{"codec_type":"audio","codec_name":"aac","profile":"LC"}]}`, found{true, true}, false},
		{"10 bits", `{"streams":[{"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p10le"}]}`, found{false, false}, false},
		{"HEVC and AC-3", `{"streams":[{"codec_type":"video","codec_name":"hevc","pix_fmt":"yuv420p"},{"codec_type":"audio","codec_name":"ac3"}]}`, found{false, false}, false},
		{"HE-AAC", `{"streams":[{"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p"},{"codec_type":"audio","codec_name":"aac","profile":"HE-AAC"}]}`, found{true, false}, false},
		{"a cover before the film", `{"streams":[{"codec_type":"video","codec_name":"mjpeg","disposition":{"attached_pic":1}},{"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p"}]}`, found{true, false}, false},
		{"a song with a cover", `{"streams":[{"codec_type":"video","codec_name":"mjpeg","disposition":{"attached_pic":1}},{"codec_type":"audio","codec_name":"aac"}]}`, found{}, true},
		{"no JSON", `x`, found{}, true},
	} {
		got, err := judge("film", []byte(c.report))
		if got != c.want || (err != nil) != c.refused {
			t.Errorf("%s: %+v, %v; want %+v, refused %v", c.name, got, err, c.want, c.refused)
		}
	}
}
