package publish

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
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
func start(t *testing.T, url string) (log *logtest.Buffer, stop func()) {
	t.Helper()
	log = &logtest.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{URL: url, Logger: slog.New(slog.NewTextHandler(log, nil))})
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
	log, stop := start(t, d.url)
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
	log, stop := start(t, strings.Replace(d.url, "secret", "guess", 1))
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

func TestWhereNothingCanBePublished(t *testing.T) {
	for name, url := range map[string]string{
		"no address":       "",
		"another protocol": "http://host/live/secret",
		"no host":          "rtmp:///live/secret",
	} {
		err := Run(t.Context(), Config{URL: url})
		if err == nil || !strings.Contains(err.Error(), "the address to publish to must be like") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAMissingFFmpegIsASentence(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Run(t.Context(), Config{URL: "rtmp://127.0.0.1:1/live/secret"})
	var missing *child.MissingError
	if !errors.As(err, &missing) {
		t.Errorf("the error is %v", err)
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
