package session_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipstream/origin/manifest"
	"slipstream/tracker/announce"
	"slipstream/tracker/server"
	"slipstream/tracker/token"
)

// The stage: a channel whose segments are random bytes, signed as the origin
// signs them and published by the wall clock, behind a CDN that counts and can be
// told to fail; and a real tracker that can be killed.

const (
	segmentMs    = 2000
	partMs       = 500
	segmentBytes = 200_000 // 13 leaves, 800 kb/s
	leaves       = 13
	windowLength = 15
	history      = 20 // segments that are there before the test begins
	future       = 60
	rendition    = "360p"
)

type channel struct {
	id      manifest.Hash
	url     string // of the multivariant playlist
	secret  []byte
	root    ed25519.PrivateKey
	signing ed25519.PrivateKey

	delegation manifest.Delegation
	initBytes  []byte
	init       manifest.Record
	segments   map[int64]published
	first      int64

	name  string   // of the rendition
	bytes int      // of each segment
	above *channel // another rendition, with the same keys
	parts []int    // sizes of half-second parts, again and again; nil: there are none

	over atomic.Int64 // the broadcast ended after this segment; 0: it goes on

	second    manifest.Record // another init section,
	laterInit int64           // in force from here; 0: never
	tokens    bool            // each URI has a token of its own

	served   atomic.Int64 // segment bytes
	requests atomic.Int64 // for segment bytes
	broken   atomic.Bool  // the CDN answers 503 to requests for media
	noRanges atomic.Bool  // it ignores Range
	missing  atomic.Int64 // it answers 404 for this segment
	missed   atomic.Int64 // how often it did
	polls    atomic.Int64 // of the media playlist
	edit     atomic.Value // func(playlist string) string: a middleman

	change  []func(*server.Config) // of its trackers
	mu      sync.Mutex
	tracker *server.Server
}

type published struct {
	record manifest.Record
	data   []byte
	parts  []published
}

// newChannel is on the air, with a tracker, over real sockets.
func newChannel(t *testing.T, change ...func(*server.Config)) *channel {
	t.Helper()
	c := offline(t)
	c.change = change
	c.startTracker(t)
	cdn := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(cdn.Close)
	t.Cleanup(c.stopTracker)
	c.url = cdn.URL + "/live/demo/index.m3u8"
	return c
}

// offline is a channel that only serve knows of.
func offline(t *testing.T, changes ...func(*channel)) *channel {
	t.Helper()
	c := &channel{
		secret: make([]byte, 32), segments: make(map[int64]published), url: "http://cdn.test/live/demo/index.m3u8",
		name: rendition, bytes: segmentBytes,
	}
	for _, change := range changes {
		change(c)
	}
	rand.Read(c.secret)
	_, c.root, _ = ed25519.GenerateKey(nil)
	_, c.signing, _ = ed25519.GenerateKey(nil)
	c.id = manifest.ChannelID(c.root.Public().(ed25519.PublicKey))
	c.publish(t)
	return c
}

// addRendition puts a larger rendition beside the first.
func (c *channel) addRendition(t *testing.T, name string, bytes int) {
	t.Helper()
	c.above = &channel{segments: make(map[int64]published), name: name, bytes: bytes, id: c.id, root: c.root, signing: c.signing}
	c.above.publish(t)
}

// publish signs the whole test's segments in advance; serve shows them when
// their time has come.
func (c *channel) publish(t *testing.T) {
	now := time.Now().UnixMilli()
	c.first = now/segmentMs - history
	startMs := c.first * segmentMs
	c.delegation = manifest.Delegation{
		FirstSequence: c.first, LastSequence: c.first + history + future,
		NotBeforeMs: now - 3_600_000, NotAfterMs: now + 3_600_000,
	}
	copy(c.delegation.RootKey[:], c.root.Public().(ed25519.PublicKey))
	copy(c.delegation.SigningKey[:], c.signing.Public().(ed25519.PublicKey))
	var err error
	if c.delegation, err = manifest.SignDelegation(c.delegation, c.root); err != nil {
		t.Fatal(err)
	}
	c.initBytes = noise(700)
	c.init = c.sign(t, manifest.Record{
		Kind: manifest.KindInit, Sequence: c.first, StartMs: startMs, CreatedMs: startMs,
	}, c.initBytes)
	c.second = c.sign(t, manifest.Record{
		Kind: manifest.KindInit, Sequence: c.first, StartMs: startMs, CreatedMs: startMs,
	}, c.initBytes[:600])
	previous := manifest.Hash{}
	for n := c.first; n < c.first+history+future; n++ {
		data := noise(c.bytes)
		var parts []published
		if c.parts != nil {
			data, parts = c.publishParts(t, n, previous)
		}
		record := c.sign(t, manifest.Record{
			Kind: manifest.KindSegment, Sequence: n, StartMs: n * segmentMs, DurationMs: segmentMs,
			CreatedMs: min((n+1)*segmentMs, now), Init: c.init.Root, Previous: previous,
		}, data)
		previous = record.Hash()
		c.segments[n] = published{record, data, parts}
	}
}

// publishParts signs the four parts of segment n.
func (c *channel) publishParts(t *testing.T, n int64, previous manifest.Hash) (data []byte, parts []published) {
	for i := range 4 {
		part := noise(c.parts[(int(n-c.first)*4+i)%len(c.parts)])
		data = append(data, part...)
		at := n*segmentMs + int64(i)*partMs
		parts = append(parts, published{data: part, record: c.sign(t, manifest.Record{
			Kind: manifest.KindPart, Sequence: n, Part: i, StartMs: at, DurationMs: partMs, CreatedMs: time.Now().UnixMilli(),
			Init: c.init.Root, Previous: previous,
		}, part)})
	}
	return data, parts
}

// recordedParts reads the sizes that an encoder has made.
func recordedParts(t *testing.T) (sizes []int) {
	t.Helper()
	text, err := os.ReadFile("testdata/parts.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, word := range strings.Fields(line) {
			size, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// listParts lists those of segment n that are out.
func (c *channel) listParts(b *strings.Builder, n int64) {
	for i, part := range c.segments[n].parts {
		if time.Now().UnixMilli() >= n*segmentMs+int64(i+1)*partMs {
			fmt.Fprintf(b, "%s%s\n#EXT-X-PART:DURATION=0.5,URI=\"%d.%d.m4s\"\n", manifest.TagPart, encode(part.record.Encode()), n, i)
		}
	}
}

// resign changes every record from a number on and signs the chain anew; segment gap is left out.
func (c *channel) resign(t *testing.T, from int64, change func(*manifest.Record), gap int64) {
	t.Helper()
	previous := c.segments[from-1].record.Hash()
	for n := from; n < c.first+history+future; n++ {
		s := c.segments[n]
		if n == gap {
			delete(c.segments, n)
			continue
		}
		if gap == 0 {
			change(&s.record)
		}
		s.record.Previous = previous
		s.record = c.sign(t, s.record, s.data)
		previous = s.record.Hash()
		c.segments[n] = s
	}
}

func (c *channel) sign(t *testing.T, r manifest.Record, data []byte) manifest.Record {
	t.Helper()
	r.Session, r.Rendition, r.Size = c.first*segmentMs, c.name, int64(len(data))
	r.Root = manifest.Root(manifest.LeafHashes(data))
	signed, err := manifest.SignRecord(r, c.id, c.signing)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (c *channel) startTracker(t *testing.T) {
	t.Helper()
	cfg := server.Config{Secret: c.secret, ReportMs: 1000}
	for _, change := range c.change {
		change(&cfg)
	}
	tracker, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.tracker = tracker
	c.mu.Unlock()
}

func (c *channel) stopTracker() {
	c.mu.Lock()
	tracker := c.tracker
	c.tracker = nil
	c.mu.Unlock()
	if tracker != nil {
		tracker.Close()
	}
}

// edge is the newest segment that is published now.
func (c *channel) edge() int64 {
	edge := time.Now().UnixMilli()/segmentMs - 1
	if c.over.Load() > 0 {
		edge = min(edge, c.over.Load())
	}
	return edge
}

func (c *channel) serve(w http.ResponseWriter, r *http.Request) {
	switch name := path.Base(r.URL.Path); {
	case r.URL.Path == "/live/demo/index.m3u8":
		fmt.Fprintf(w, "#EXTM3U\n#EXT-X-VERSION:7\n"+
			"#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.channel\",VALUE=\"%s\"\n"+
			"#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.tracker\",VALUE=\"/tracker\"\n"+
			"#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.token\",VALUE=\"/token\"\n"+
			"#EXT-X-STREAM-INF:BANDWIDTH=%d,RESOLUTION=640x360\n%s/index.m3u8\n", c.id, c.bandwidth(), c.name)
		if c.above != nil {
			fmt.Fprintf(w, "#EXT-X-STREAM-INF:BANDWIDTH=%d,RESOLUTION=1280x720\n%s/index.m3u8\n", c.above.bandwidth(), c.above.name)
		}
	case c.above != nil && strings.Contains(r.URL.Path, "/"+c.above.name+"/"):
		c.above.serve(w, r)
	case r.URL.Path == "/token":
		fmt.Fprintf(w, `{"token":%q}`, c.token(r.URL.Query().Get("fp")))
	case r.URL.Path == "/tracker":
		c.mu.Lock()
		tracker := c.tracker
		c.mu.Unlock()
		if tracker == nil {
			http.Error(w, "no tracker", http.StatusBadGateway)
			return
		}
		tracker.ServeHTTP(w, r)
	case c.broken.Load():
		http.Error(w, "the CDN is down", http.StatusServiceUnavailable)
	case name == "index.m3u8":
		c.polls.Add(1)
		c.hold(r)
		text := c.playlist(c.edge())
		if edit, ok := c.edit.Load().(func(string) string); ok {
			text = edit(text)
		}
		fmt.Fprint(w, text)
	case name == "init.mp4":
		w.Write(c.initBytes)
	case name == "init2.mp4":
		w.Write(c.initBytes[:600])
	default:
		c.serveSegment(w, r, name)
	}
}

// hold lets a request for a part wait until it is out.
func (c *channel) hold(r *http.Request) {
	number, err := strconv.ParseInt(r.URL.Query().Get("_HLS_msn"), 10, 64)
	part, err2 := strconv.ParseInt(r.URL.Query().Get("_HLS_part"), 10, 64)
	if err != nil || err2 != nil {
		return
	}
	outMs := number*segmentMs + min((part+1)*partMs, segmentMs)
	time.Sleep(time.Until(time.UnixMilli(outMs)))
}

func (c *channel) bandwidth() int { return c.bytes * 8 * 1000 / segmentMs * 9 / 8 }

func (c *channel) serveSegment(w http.ResponseWriter, r *http.Request, name string) {
	words := strings.Split(name, ".")
	n, _ := strconv.ParseInt(words[0], 10, 64)
	segment, ok := c.segments[n]
	edge := c.edge()
	if i, err := strconv.Atoi(words[1]); err == nil && i < len(segment.parts) {
		segment = segment.parts[i]
		edge = (time.Now().UnixMilli() - int64(i+1)*partMs) / segmentMs
	}
	if n == c.missing.Load() {
		c.missed.Add(1)
		ok = false
	}
	if !ok || n > edge {
		http.NotFound(w, r)
		return
	}
	if c.noRanges.Load() {
		r.Header.Del("Range")
	}
	if strings.HasSuffix(name, ".leaves") {
		w.Write(manifest.EncodeLeaves(manifest.LeafHashes(segment.data)))
		return
	}
	c.requests.Add(1)
	counted := &countingWriter{ResponseWriter: w, count: &c.served}
	http.ServeContent(counted, r, name, time.Time{}, bytes.NewReader(segment.data))
}

type countingWriter struct {
	http.ResponseWriter
	count *atomic.Int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.count.Add(int64(n))
	return n, err
}

func (c *channel) playlist(edge int64) string {
	var b strings.Builder
	first := max(edge-windowLength+1, c.first)
	if c.over.Load() > 0 {
		first = c.first // a recording is there from its beginning
	}
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n%s%s\n",
		first, manifest.TagDelegation, encode(c.delegation.Encode()))
	if c.parts != nil {
		fmt.Fprintf(&b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n#EXT-X-PART-INF:PART-TARGET=0.5\n")
	}
	fmt.Fprintf(&b, "#EXT-X-MAP:URI=\"init.mp4\"\n%s%s\n", manifest.TagInit, encode(c.init.Encode()))
	for n := first; n <= edge; n++ {
		segment, ok := c.segments[n]
		if !ok {
			fmt.Fprintf(&b, "#EXT-X-GAP\n#EXTINF:2.000,\n%d.m4s\n", n)
			continue
		}
		if n == c.laterInit {
			fmt.Fprintf(&b, "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init2.mp4\"\n%s%s\n", manifest.TagInit, encode(c.second.Encode()))
		}
		if n > edge-3 {
			c.listParts(&b, n)
		}
		token := ""
		if c.tokens {
			token = fmt.Sprintf("?token=%d", n*7919%1000)
		}
		fmt.Fprintf(&b, "%s%s\n#EXTINF:2.000,\n%d.m4s%s\n", manifest.TagRecord, encode(segment.record.Encode()), n, token)
	}
	c.listParts(&b, edge+1)
	if c.over.Load() > 0 && edge >= c.over.Load() {
		fmt.Fprintf(&b, "#EXT-X-ENDLIST\n")
	}
	return b.String()
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token lets a viewer join, bound to its certificate if that has a fingerprint.
func (c *channel) token(fingerprint string) string {
	now := time.Now()
	bound, _ := token.ParseFingerprint(fingerprint)
	text, err := token.Secret(c.secret).Mint("", token.Claims{
		Channel: c.id.String(), Role: announce.Viewer, ID: rand.Text(), Issued: now, Expires: now.Add(time.Minute), Fingerprint: bound,
	})
	if err != nil {
		panic(err) // a mistake in the test itself
	}
	return text
}
