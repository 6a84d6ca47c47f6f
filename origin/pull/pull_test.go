package pull

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slipstream/origin/child"
	"slipstream/origin/ingest"
	"slipstream/origin/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

// A guest is one session.
type guest struct {
	is      ingest.Publication
	dts     chan time.Duration // of each picture
	audible chan struct{}      // closed with the first sound
	once    sync.Once
}

func (g *guest) Video(_, dts time.Duration, _ [][]byte) error {
	select {
	case g.dts <- dts:
	default:
	}
	return nil
}

func (g *guest) Audio(time.Duration, []byte) error {
	g.once.Do(func() { close(g.audible) })
	return nil
}

func (g *guest) Close() error {
	close(g.dts)
	return nil
}

// A house is an ingest whose only guests are pulled.
type house struct {
	t        *testing.T
	server   *ingest.Server
	sessions chan *guest
	log      *logtest.Buffer
}

func open(t *testing.T, idle time.Duration) *house {
	t.Helper()
	if _, err := child.Look("ffmpeg"); err != nil {
		t.Skip(err)
	}
	h := &house{t: t, sessions: make(chan *guest, 100), log: &logtest.Buffer{}}
	var err error
	h.server, err = ingest.Listen(ingest.Config{
		Address: "127.0.0.1:0", Authorize: ingest.StreamKeys("live", map[string]string{"demo": "secret"}), IdleTimeout: idle,
		Start: func(_ context.Context, p ingest.Publication) (ingest.Session, error) {
			g := &guest{is: p, dts: make(chan time.Duration, 10_000), audible: make(chan struct{})}
			h.sessions <- g
			return g, nil
		},
		Logger: h.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.server.Close() })
	return h
}

func (h *house) logger() *slog.Logger { return slog.New(slog.NewTextHandler(h.log, nil)) }

// pull fetches a source until stop is called, which checks that no ffmpeg is left; ended is closed when Run returns.
func (h *house) pull(source Source) (ended chan struct{}, stop func()) {
	h.t.Helper()
	input, err := h.server.Reserve(h.t.Context(), "demo", source.Protocol(), source.String())
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		defer input.Release()
		Run(ctx, Config{Source: source, Input: input, Logger: h.logger()})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		for _, pid := range h.pids() {
			if alive(pid) {
				h.t.Errorf("the ffmpeg with the process id %d lives on", pid)
			}
		}
		if h.t.Failed() {
			h.t.Logf("the log:\n%s", h.log)
		}
	})
	h.t.Cleanup(stop)
	return ended, stop
}

// alive says whether a process exists. A zombie that nobody reaped yet counts as dead.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// pids are the ffmpegs that were started, in order.
func (h *house) pids() []int {
	var pids []int
	for _, m := range regexp.MustCompile(`msg=pulling .*pid=(\d+)`).FindAllStringSubmatch(h.log.String(), -1) {
		pid, _ := strconv.Atoi(m[1])
		pids = append(pids, pid)
	}
	return pids
}

func (h *house) guest() *guest {
	h.t.Helper()
	select {
	case g := <-h.sessions:
		return g
	case <-time.After(30 * time.Second):
		h.t.Fatalf("no session began within 30 s; the log:\n%s", h.log)
		return nil
	}
}

// after waits for a picture later than that much after the first, and checks that time does not jump on the way there.
func (g *guest) after(t *testing.T, d time.Duration) {
	t.Helper()
	var first, last time.Duration
	timeout := time.After(30 * time.Second)
	for n := 0; ; n++ {
		select {
		case dts, more := <-g.dts:
			if n == 0 {
				first, last = dts, dts
			}
			if step := dts - last; step < 0 || step > 200*ms {
				t.Errorf("picture %d comes %v after the one before", n, step)
			}
			last = dts
			switch {
			case last-first > d:
				return
			case !more:
				t.Fatalf("the session ended %v after its first picture", last-first)
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
	case <-time.After(30 * time.Second):
		t.Fatal("no sound came")
	}
}

func (h *house) waitLog(text string) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(h.log.String(), text); time.Sleep(5 * ms) {
		if time.Now().After(deadline) {
			h.t.Fatalf("the log does not say %q:\n%s", text, h.log)
		}
	}
}

func ffmpeg(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ffmpeg", append([]string{"-nostdin", "-loglevel", "error"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

const picture = "-f lavfi -i testsrc2=size=128x96:rate=25 -f lavfi -i sine=sample_rate=44100 "

var h264 = strings.Fields("-c:v libx264 -preset ultrafast -bf 2 -g 25 -pix_fmt yuv420p -c:a aac")

// film makes a file.
func film(t *testing.T, name, duration string, codecs ...string) string {
	t.Helper()
	if _, err := child.Look("ffmpeg"); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), name)
	ffmpeg(t, slices.Concat(strings.Fields(picture+"-t "+duration), codecs, []string{"file:" + path})...)
	return path
}

func parse(t *testing.T, text string) Source {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A file shorter than what is watched shows that it loops, without a jump in time. Whatever its codecs, H.264 and AAC come out.
func TestAFileIsLooped(t *testing.T) {
	for name, codecs := range map[string][]string{
		"a:b.mp4":   h264,                                                                      // copied; a colon is no protocol
		"old.avi":   {"-c:v", "mpeg4", "-c:a", "mp2"},                                          // encoded
		"mute.mkv":  {"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p", "-an"}, // encoded: not for every decoder
		"camera.ts": h264,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, 0)
			_, stop := h.pull(parse(t, film(t, name, "0.6", codecs...)))
			g := h.guest()
			if sound := g.is.Audio != nil; sound == (name == "mute.mkv") || g.is.Protocol != "file" || g.is.Channel != "demo" {
				t.Errorf("the publication is %+v", g.is)
			}
			g.after(t, 2*time.Second)
			if g.is.Audio != nil {
				g.hear(t)
			}
			stop()
		})
	}
}

func TestAFileIsPlayedOnce(t *testing.T) {
	t.Parallel()
	h := open(t, 0)
	source, err := ParseOnce(film(t, "film.mp4", "0.6", h264...))
	if err != nil {
		t.Fatal(err)
	}
	ended, _ := h.pull(source)
	g := h.guest()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	if n := len(g.dts); n < 13 || n > 15 { // 0.6 s at 25 a second
		t.Errorf("%d pictures came", n)
	}
	if said := h.log.String(); !strings.Contains(said, "the file has been played to its end") || len(h.pids()) != 1 {
		t.Errorf("the log:\n%s", said)
	}
	if input, err := h.server.Reserve(t.Context(), "demo", "", ""); err != nil {
		t.Errorf("the channel is not free: %v", err)
	} else {
		input.Release()
	}
}

// An HLS directory of several renditions: the largest is taken, and fetched again after its end.
func TestHLSIsPulledAgainAndAgain(t *testing.T) {
	t.Parallel()
	h := open(t, 0)
	dir := t.TempDir()
	ffmpeg(t, slices.Concat(strings.Fields(picture+"-t 6 -map 0:v -map 1:a -map 0:v -map 1:a -s:v:0 64x48"), h264,
		strings.Fields("-f hls -hls_time 1 -hls_playlist_type vod -master_pl_name index.m3u8 -var_stream_map"), []string{"v:0,a:0 v:1,a:1"},
		[]string{"-hls_segment_filename", filepath.Join(dir, "%v-%d.ts"), filepath.Join(dir, "%v.m3u8")})...)
	var small, large atomic.Int64
	files := http.FileServer(http.Dir(dir))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/0-5.ts": // the last
			small.Add(1)
		case "/1-5.ts":
			large.Add(1)
		}
		if user, password, _ := r.BasicAuth(); user != "user" || password != "hunter2" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer web.Close()
	_, stop := h.pull(parse(t, strings.Replace(web.URL, "://", "://user:hunter2@", 1)+"/index.m3u8?token=abc"))
	for range 2 {
		g := h.guest()
		if g.is.Audio == nil || g.is.Protocol != "HTTP" {
			t.Errorf("the publication is %+v", g.is)
		}
		g.hear(t)
		g.after(t, 5500*ms)
	}
	stop()
	if small.Load() > 0 || large.Load() == 0 {
		t.Errorf("the last segment of the small rendition was asked for %d times, that of the large one %d times", small.Load(), large.Load())
	}
	if said := h.log.String(); strings.Contains(said, "hunter2") || strings.Contains(said, "abc") || !strings.Contains(said, "source="+web.URL+"/index.m3u8") {
		t.Errorf("the log tells too much or too little:\n%s", said)
	}
}

func TestAKilledFFmpegIsStartedAgain(t *testing.T) {
	t.Parallel()
	h := open(t, 0)
	h.pull(parse(t, film(t, "film.mp4", "5", h264...)))
	h.guest().after(t, 200*ms)
	if err := syscall.Kill(h.pids()[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.guest().after(t, 200*ms)
	if said := h.log.String(); len(h.pids()) != 2 || !strings.Contains(said, "signal: killed") {
		t.Errorf("the log:\n%s", said)
	}
}

// What an address gives that cannot be published is said in a sentence, and tried again.
func TestWhatComesFromAnAddressMayBeAnything(t *testing.T) {
	t.Parallel()
	tone, err := os.ReadFile(film(t, "tone.mp3", "1", "-vn"))
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret.ts")
	if err := os.Rename(film(t, "secret.ts", "1", h264...), secret); err != nil {
		t.Fatal(err)
	}
	const list = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"nothing":       {http.NotFound, "404 Not Found"},
		"text":          {say("this is no film"), "cannot be read: ffprobe ended with exit status 1"},
		"sound alone":   {say(string(tone)), "has no picture"},
		"a local file":  {say(list + "file://" + secret + "\n#EXT-X-ENDLIST\n"), "cannot be read: ffprobe ended"},
		"a list of FFs": {say("ffconcat version 1.0\nfile " + secret + "\n"), "cannot be read: ffprobe ended"},
		"an SDP":        {say("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"), "cannot be read: ffprobe ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, 0)
			web := httptest.NewServer(c.answer)
			defer web.Close()
			_, stop := h.pull(parse(t, web.URL+"/index.m3u8"))
			h.waitLog(c.says)
			h.waitLog("the source gives nothing more and is pulled again")
			stop()
			if len(h.sessions) != 0 {
				t.Error("a session began")
			}
		})
	}
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

// Nothing, and above all no password, is sent to an address whose certificate is not trusted.
func TestAnUntrustedCertificateIsRefused(t *testing.T) {
	t.Parallel()
	h := open(t, 0)
	var asked atomic.Int64
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	web.StartTLS()
	defer web.Close()
	_, stop := h.pull(parse(t, strings.Replace(web.URL, "://", "://user:hunter2@", 1)+"/index.m3u8"))
	h.waitLog("cannot be read: ffprobe ended with exit status 1")
	stop()
	if asked.Load() > 0 || strings.Contains(h.log.String(), "hunter2") {
		t.Errorf("it was asked %d times; the log:\n%s", asked.Load(), h.log)
	}
}

// A source that hangs neither holds the channel back for ever nor the shutdown.
func TestASilentSourceIsCutOff(t *testing.T) {
	t.Parallel()
	clip, err := os.ReadFile(film(t, "film.ts", "3", h264...))
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, 300*ms)
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 2 { // after ffprobe and ffmpeg
			cancel()
		}
		w.Write(clip)
		if asked.Load() != 1 {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer web.Close()
	input, err := h.server.Reserve(ctx, "demo", "HTTP", web.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer input.Release()
	Run(ctx, Config{Source: parse(t, web.URL), Input: input, Logger: h.logger()})
	if said := h.log.String(); !strings.Contains(said, "no picture has come for 900ms") {
		t.Errorf("the log:\n%s", said)
	}
}

// While its source is away, a channel is still that of the source.
func TestAPulledChannelTakesNoPublisher(t *testing.T) {
	t.Parallel()
	h := open(t, 0)
	h.pull(parse(t, "http://127.0.0.1:1/index.m3u8"))
	h.waitLog("is pulled again")
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(ctx) }()
	defer func() { cancel(); <-served }()
	out, err := exec.Command("ffmpeg", append(append([]string{"-nostdin", "-loglevel", "error"}, strings.Fields(picture+"-t 1")...),
		append(slices.Clone(h264), "-f", "flv", "rtmp://"+h.server.Addr().String()+"/live/secret")...)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), `the channel "demo" already has a publisher`) {
		t.Errorf("the publisher is told %v: %s", err, out)
	}
	h.waitLog("already has a publisher: http://127.0.0.1:1/index.m3u8")
}

// refuse is an input that takes nothing.
type refuse struct{}

func (refuse) Receive(_ context.Context, stream io.ReadCloser) error {
	stream.Close()
	return errors.New("there is no room")
}

func TestPausesGrow(t *testing.T) {
	dir := t.TempDir()
	probe := `#!/bin/sh
echo '{"streams":[{"index":0,"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p"}]}'
`
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "ffprobe"), []byte(probe), 0o755), os.WriteFile(filepath.Join(dir, "ffmpeg"), []byte("#!/bin/sh\nexit 1\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	log := &logtest.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	var pauses []time.Duration
	Config{Source: parse(t, "http://host/"), Input: refuse{}, Logger: slog.New(slog.NewTextHandler(log, nil))}.supervise(ctx, func(_ context.Context, d time.Duration) bool {
		if pauses = append(pauses, d); len(pauses) == 7 {
			cancel()
		}
		return ctx.Err() == nil
	})
	want := []time.Duration{500 * ms, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second}
	if !slices.Equal(pauses, want) || strings.Count(log.String(), "there is no room") != len(want) {
		t.Errorf("the pauses are %v; the log:\n%s", pauses, log)
	}
}
