package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/origin/cmaf"
	"slipstream/origin/health"
	"slipstream/origin/keys"
	"slipstream/origin/manifest"
	"slipstream/origin/store"
)

const (
	startMs = int64(1_767_225_600_000)
	first   = startMs / 2000
)

// site is a server with one channel of synthetic segments and a clock that the test turns.
type site struct {
	t         testing.TB
	nowMs     atomic.Int64
	connected atomic.Bool
	keys      *keys.Channel
	store     *store.Store
	server    *Server
	web       *httptest.Server
	log       *bytes.Buffer
}

func newSite(t testing.TB, change func(*Config)) *site {
	s := &site{t: t, log: &bytes.Buffer{}}
	s.nowMs.Store(startMs)
	s.connected.Store(true)
	dir := t.TempDir()
	var err error
	if s.keys, err = keys.Open(dir, "demo", startMs); err != nil {
		t.Fatal(err)
	}
	s.store, err = store.Open(store.Config{
		Dir: keys.ChannelDir(dir, "demo"), Channel: s.keys.ID(), SessionMs: startMs, Renditions: []string{"360p", "180p"},
		WindowMs: 20_000, Signer: s.keys,
	}, startMs)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Channels: []Channel{{
			Name: "demo", ID: s.keys.ID(), Store: s.store, FloorBps: map[string]int64{"360p": 1_000_000}, StreamKey: s.keys.StreamKey(), Tracker: "/tracker",
			Publisher: func() Publisher { return Publisher{Connected: s.connected.Load(), SinceMs: startMs, Source: "a test"} },
		}},
		TokenSecret: bytes.Repeat([]byte{9}, 32),
		Logger:      slog.New(slog.NewTextHandler(s.log, nil)),
		Now:         s.nowMs.Load,
	}
	if change != nil {
		change(&cfg)
	}
	if s.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	s.web = httptest.NewServer(s.server)
	t.Cleanup(s.web.Close)
	return s
}

func data(rendition string, n int64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%s %013d; ", rendition, n), 2000) // 40,000 bytes
}

func (s *site) publish(numbers ...int64) {
	s.t.Helper()
	for _, n := range numbers {
		s.nowMs.Store(n*2000 + 2300)
		s.publishSegment(n, false)
	}
}

func (s *site) publishSegment(n int64, slate bool) {
	s.t.Helper()
	for _, rendition := range []string{"360p", "180p"} {
		if err := s.store.Publish(cmaf.Segment{
			Rendition: rendition, Number: n, StartMs: n * 2000, DurationMs: 2000, Data: data(rendition, n), Init: []byte("init"),
			Codecs: "avc1.4d401e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 30, Slate: slate,
		}, s.nowMs.Load()); err != nil {
			s.t.Fatal(err)
		}
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; headers come in pairs.
func (s *site) ask(method, path string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.web.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.web.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// want checks a status and headers, given in pairs; "-" means that a header must be missing.
func (a answer) want(t *testing.T, name string, status int, headers ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: status %d, want %d: %.200s", name, a.status, status, a.body)
	}
	for i := 0; i < len(headers); i += 2 {
		got := a.header.Get(headers[i])
		if got == "" {
			got = "-"
		}
		if got != headers[i+1] {
			t.Errorf("%s: %s: %s, want %s", name, headers[i], got, headers[i+1])
		}
	}
}

// A viewer that believes nothing gets from the multivariant playlist to verified bytes.
func TestFromMultivariantToVerifiedBytes(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first, first+1, first+4)
	a := s.ask("GET", "/live/demo/index.m3u8")
	a.want(t, "multivariant", 200, "Content-Type", typePlaylist, "Cache-Control", "public, max-age=2", "Access-Control-Allow-Origin", "*")
	m, err := manifest.ReadMultivariant(a.body)
	if err != nil {
		t.Fatal(err)
	}
	if m.Channel != s.keys.ID() || m.Tracker != "/tracker" || m.Token != "/live/demo/token" || len(m.Variants) != 2 || m.Variants[0].Bandwidth != 1_000_000 {
		t.Errorf("it says %+v", m)
	}
	for _, variant := range m.Variants {
		base := "/live/demo/" + strings.TrimSuffix(variant.URI, "index.m3u8")
		a := s.ask("GET", "/live/demo/"+variant.URI)
		a.want(t, "media playlist", 200, "Content-Type", typePlaylist, "Cache-Control", "public, max-age=1", "Access-Control-Allow-Origin", "*")
		pl, err := manifest.ReadPlaylist(a.body)
		if err != nil {
			t.Fatal(err)
		}
		list, err := manifest.NewVerifier(m.Channel, variant.Rendition).Playlist(pl, s.nowMs.Load())
		if err != nil || len(list) != 3 {
			t.Fatalf("%d segments: %v", len(list), err)
		}
		for _, entry := range list {
			a := s.ask("GET", base+entry.Segment.URI)
			a.want(t, "segment", 200, "Content-Type", "video/mp4", "Cache-Control", "public, max-age=31536000, immutable", "Content-Length", "40000",
				"ETag", `"`+entry.Record.Root.String()+`"`, "Accept-Ranges", "bytes", "Access-Control-Allow-Origin", "*",
				"Access-Control-Expose-Headers", "Content-Range, Content-Length, Date, ETag, CMSD-Static")
			if err := manifest.Object(entry.Record, []byte(a.body)); err != nil {
				t.Error(err)
			}
			leaves := s.ask("GET", base+entry.Segment.URI+".leaves")
			leaves.want(t, "leaf list", 200, "Content-Type", "application/octet-stream", "Cache-Control", "public, max-age=31536000, immutable", "Content-Length", "96")
			hashes, err := manifest.ParseLeaves([]byte(leaves.body))
			if err != nil || manifest.Leaves(entry.Record, hashes) != nil {
				t.Errorf("leaf list: %v", err)
			}
			if leaves.header.Get("ETag") == a.header.Get("ETag") {
				t.Error("a segment and its leaf list share an ETag")
			}
			init := s.ask("GET", base+entry.Segment.MapURI)
			init.want(t, "init section", 200, "Content-Type", "video/mp4", "Cache-Control", "public, max-age=31536000, immutable")
			if err := manifest.Object(entry.Init, []byte(init.body)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRanges(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first)
	path := fmt.Sprintf("/live/demo/360p/%d.m4s", first)
	whole := string(data("360p", first))
	tag := s.ask("HEAD", path).header.Get("ETag")
	for _, c := range []struct {
		name, header string
		status       int
		contentRange string
		body         string
	}{
		{"the second leaf", "bytes=16384-32767", 206, "bytes 16384-32767/40000", whole[16384:32768]},
		{"the first byte", "bytes=0-0", 206, "bytes 0-0/40000", whole[:1]},
		{"to the end", "bytes=32768-", 206, "bytes 32768-39999/40000", whole[32768:]},
		{"beyond the end", "bytes=39990-50000", 206, "bytes 39990-39999/40000", whole[39990:]},
		{"the last bytes", "bytes=-10", 206, "bytes 39990-39999/40000", whole[39990:]},
		{"outside", "bytes=40000-", 416, "bytes */40000", "-"},
		{"nonsense", "bytes=x", 416, "-", "-"},
		{"another unit", "leaves=1-2", 416, "-", "-"},
	} {
		a := s.ask("GET", path, "Range", c.header)
		a.want(t, c.name, c.status, "Content-Range", c.contentRange, "Access-Control-Allow-Origin", "*")
		switch {
		case c.body != "-":
			if a.body != c.body {
				t.Errorf("%s: %d bytes that are not the right ones", c.name, len(a.body))
			}
			a.want(t, c.name, c.status, "Cache-Control", "public, max-age=31536000, immutable", "ETag", tag)
		case strings.Contains(a.header.Get("Cache-Control"), "immutable"):
			t.Errorf("%s: a cache would keep the refusal for ever", c.name)
		}
	}
	s.ask("GET", path, "If-None-Match", tag).want(t, "known already", 304, "ETag", tag, "Cache-Control", "public, max-age=31536000, immutable")
	s.ask("GET", path, "Range", "bytes=0-9", "If-Range", `"other"`).want(t, "of another version", 200, "Content-Length", "40000")
	head := s.ask("HEAD", path)
	head.want(t, "HEAD", 200, "Content-Length", "40000", "ETag", tag)
	if head.body != "" {
		t.Error("HEAD has a body")
	}
}

func TestPreflight(t *testing.T) {
	s := newSite(t, nil)
	a := s.ask("OPTIONS", "/live/demo/360p/1.m4s", "Origin", "https://example.org", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "range")
	a.want(t, "segment", 204, "Access-Control-Allow-Origin", "*", "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS", "Access-Control-Max-Age", "86400")
	if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Range") {
		t.Errorf("a page may not ask for ranges: %v", a.header)
	}
	s.ask("OPTIONS", "/live/demo/token", "Origin", "https://example.org", "Access-Control-Request-Method", "POST").
		want(t, "token", 204, "Access-Control-Allow-Origin", "*", "Access-Control-Allow-Methods", "POST, OPTIONS")
}

func TestWhatIsNotThere(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first)
	for path, says := range map[string]string{
		"/live/nope/index.m3u8":                        `there is no channel "nope" here`,
		"/live/nope/360p/index.m3u8":                   `there is no channel "nope" here`,
		"/live/demo/1080p/index.m3u8":                  `has no rendition "1080p"`,
		"/live/demo/360p/123.m4s":                      "segment 123 of \"360p\" is not in the time-shift window",
		"/live/demo/360p/123.m4s.leaves":               "not in the time-shift window",
		fmt.Sprintf("/live/demo/360p/%d.m4s", first+1): "not in the time-shift window",
		fmt.Sprintf("/live/demo/1080p/%d.m4s", first):  "not in the time-shift window",
		fmt.Sprintf("/live/demo/360p/0%d.m4s", first):  "is no segment",
		fmt.Sprintf("/live/demo/360p/%d.mkv", first):   "is no segment",
		"/live/demo/360p/x.m4s":                        "is no segment",
		"/live/demo/360p/init-0000000000000000.mp4":    "no init section",
		"/live/demo/360p/99999999999999999999999.m4s":  "is no segment",
		"/live/demo": "there is nothing at this address",
		"/":          "there is nothing at this address",
		"/live/" + strings.Repeat("very", 100) + "/index.m3u8": `there is no channel "veryvery`,
	} {
		a := s.ask("GET", path)
		a.want(t, path, 404, "Cache-Control", "public, max-age=1", "Access-Control-Allow-Origin", "*", "Content-Type", "text/plain; charset=UTF-8")
		if !strings.Contains(a.body, says) || len(a.body) > 200 {
			t.Errorf("%s: %q does not say %q", path, a.body, says)
		}
	}
	s.ask("POST", "/live/demo/index.m3u8").want(t, "POST to a playlist", 405)
	s.ask("GET", "/live/demo/token").want(t, "GET a token", 405)
}

// Behind a CDN with two regions a playlist is "not found" from the moment on that a player would notice, and until it
// is whole again; what was published stays.
func TestFailOver(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.FailOver = health.Policy{StaleMs: health.StaleMs, Incomplete: true} })
	is := func(when string, status int, says string) {
		t.Helper()
		for _, path := range []string{"/live/demo/index.m3u8", "/live/demo/360p/index.m3u8"} {
			a := s.ask("GET", path)
			a.want(t, when, status)
			if !strings.Contains(a.body, says) {
				t.Errorf("%s: %s does not say %q: %s", when, path, says, a.body)
			}
		}
	}
	next := func(numbers ...int64) {
		for _, n := range numbers {
			s.nowMs.Store(n*2000 + 2000)
			s.publish(n)
		}
	}
	is("before the first segment", 404, "has no segment yet")
	next(first, first+1, first+2)
	is("while there are few", 404, "5 of the newest 8 segments")
	next(first+3, first+4, first+5, first+6, first+7)
	is("when a player's window is there", 200, "#EXTM3U")
	s.nowMs.Add(3001)
	is("when the next segment is late", 404, `the newest segment of "360p" is 3 s old`)
	s.ask("GET", fmt.Sprintf("/live/demo/360p/%d.m4s", first+7)).want(t, "a segment that was published", 200)
	next(first + 9)
	is("when one is missing", 404, "1 of the newest 8 segments")
	for n := first + 10; n < first+16; n++ {
		next(n)
		is("while it is missed", 404, "1 of the newest 8 segments")
	}
	next(first + 16)
	is("when all is whole again", 200, "#EXTM3U")
}

// Slate is not another region's programme: it is asked for until nothing of the window here is slate.
func TestFailOverFromSlate(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.FailOver = health.Policy{Slate: true} })
	for i, slate := range []bool{false, false, true, true, false, false, false, false, false, false, false, false} {
		n := first + int64(i)
		s.nowMs.Store(n*2000 + 2000)
		s.publishSegment(n, slate)
		want := 200
		if i >= 2 && i <= 2+health.Recent {
			want = 404
		}
		a := s.ask("GET", "/live/demo/index.m3u8")
		a.want(t, fmt.Sprintf("after segment %d", i), want)
		if want == 404 && !strings.Contains(a.body, `of "360p" show slate`) {
			t.Errorf("it says %s", a.body)
		}
	}
	s.ask("GET", fmt.Sprintf("/live/demo/360p/%d.m4s", first+2)).want(t, "a segment of slate", 200)
}

func TestOffAir(t *testing.T) {
	s := newSite(t, nil)
	paths := []string{"/live/demo/index.m3u8", "/live/demo/360p/index.m3u8"}
	for _, path := range paths {
		a := s.ask("GET", path)
		a.want(t, "before the first segment", 404, "Cache-Control", "public, max-age=1")
		if !strings.Contains(a.body, "off the air") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	s.publish(first)
	for _, path := range paths {
		s.ask("GET", path).want(t, "on air", 200)
	}
	s.nowMs.Add(400_000)
	for _, path := range paths {
		s.ask("GET", path).want(t, "while the publisher is away for minutes", 200)
	}
	s.nowMs.Add(200_000)
	for _, path := range paths {
		s.ask("GET", path).want(t, "when verifiers would cry replay", 404)
	}
	s.publish(first + 400)
	for _, path := range paths {
		s.ask("GET", path).want(t, "on air again", 200)
	}
}

// A player reads the multivariant playlist once, so it must not come out with half of the ladder.
func TestMultivariantWaitsForAllRenditions(t *testing.T) {
	s := newSite(t, nil)
	s.nowMs.Store(first*2000 + 2300)
	if err := s.store.Publish(cmaf.Segment{Rendition: "360p", Number: first, StartMs: first * 2000, DurationMs: 2000, Data: []byte("x"), Init: []byte("y")}, s.nowMs.Load()); err != nil {
		t.Fatal(err)
	}
	s.ask("GET", "/live/demo/360p/index.m3u8").want(t, "the one that is there", 200)
	s.ask("GET", "/live/demo/index.m3u8").want(t, "multivariant", 404)
}

func TestPlaylistMovesWithTheHead(t *testing.T) {
	s := newSite(t, nil)
	path := "/live/demo/360p/index.m3u8"
	s.publish(first)
	before := s.ask("GET", path)
	again := s.ask("GET", path)
	if before.body != again.body || before.header.Get("ETag") != again.header.Get("ETag") {
		t.Error("the playlist changed although nothing was published")
	}
	s.ask("GET", path, "If-None-Match", before.header.Get("ETag")).want(t, "unchanged", 304)
	s.publish(first + 1)
	after := s.ask("GET", path, "If-None-Match", before.header.Get("ETag"))
	after.want(t, "changed", 200)
	if !strings.Contains(after.body, fmt.Sprintf("%d.m4s", first+1)) {
		t.Errorf("the new segment is not listed:\n%s", after.body)
	}
}

func TestMounts(t *testing.T) {
	say := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text, r.PathValue("channel")) })
	}
	s := newSite(t, func(c *Config) {
		c.Mounts = map[string]http.Handler{"/": say("front"), "/watch/{channel}": say("watch "), "/player/": say("player"), "/tracker": say("tracker"), "/stats": say("stats")}
	})
	for path, want := range map[string]string{"/": "front", "/watch/demo": "watch demo", "/player/a/b.js": "player", "/tracker": "tracker", "/stats": "stats", "/livez": "ok\n"} {
		a := s.ask("GET", path)
		if a.status != 200 || a.body != want {
			t.Errorf("%s: %d %q, want %q", path, a.status, a.body, want)
		}
	}
	s.ask("GET", "/other").want(t, "what nobody mounted", 404)
	_, err := New(Config{Now: s.nowMs.Load, Mounts: map[string]http.Handler{"/a/{x}": say(""), "/a/{y}": say("")}})
	if err == nil || !strings.Contains(err.Error(), "the mounts do not fit together") {
		t.Errorf("colliding mounts: %v", err)
	}
}

func TestMetricsOfWhatIsMountedStandBesideTheServers(t *testing.T) {
	guests := prometheus.NewGauge(prometheus.GaugeOpts{Name: "guests", Help: "Guests."})
	s := newSite(t, func(c *Config) {
		c.Register = func(reg prometheus.Registerer) error { return reg.Register(guests) }
	})
	guests.Set(3)
	for _, line := range []string{"\nguests 3\n", "\nslipstream_origin_publisher_connected"} {
		if !strings.Contains(s.ask("GET", "/metrics").body, line) {
			t.Errorf("the metrics lack %q", line)
		}
	}
	_, err := New(Config{Now: s.nowMs.Load, Register: func(reg prometheus.Registerer) error {
		return errors.Join(reg.Register(guests), reg.Register(guests))
	}})
	if err == nil || !strings.Contains(err.Error(), "the metrics do not fit together") {
		t.Errorf("colliding metrics: %v", err)
	}
}

func TestPanicsAreAnsweredAndLogged(t *testing.T) {
	s := newSite(t, func(c *Config) {
		c.Channels[0].Publisher = func() Publisher { panic("out of order") }
	})
	a := s.ask("GET", "/stats.json")
	a.want(t, "a bug", 500, "Cache-Control", "no-store")
	if strings.Contains(a.body, "out of order") || !strings.Contains(s.log.String(), "out of order") {
		t.Errorf("answered %q, logged %q", a.body, s.log)
	}
}
