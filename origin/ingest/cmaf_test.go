package ingest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipstream/origin/cmaf"
	"slipstream/origin/ingest"
)

// film is what package cmaf has recorded: an init section and fragments of half a second with 15 pictures each.
func film(t *testing.T) (init []byte, fragments [][]byte) {
	t.Helper()
	stream, err := os.ReadFile("../cmaf/testdata/run.mp4")
	if err != nil {
		t.Fatal(err)
	}
	for len(stream) > 0 {
		size := binary.BigEndian.Uint32(stream)
		switch name := string(stream[4:8]); name {
		case "moof":
			fragments = append(fragments, stream[:size:size])
		case "mdat":
			fragments[len(fragments)-1] = append(fragments[len(fragments)-1], stream[:size]...)
		default:
			init = append(init, stream[:size]...)
		}
		stream = stream[size:]
	}
	return init, fragments
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// over serves a lab's publishing points by HTTP.
func (l *lab) over() (url string) {
	site := httptest.NewServer(l.server.CMAF())
	l.t.Cleanup(func() {
		l.stop()
		site.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return site.URL
}

// send makes a request and returns the status and the text of the answer.
func (l *lab) send(method, url string, body io.Reader, header ...string) (int, string, http.Header) {
	l.t.Helper()
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		l.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		l.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), answer.Header
}

func (l *lab) put(url string, body []byte, header ...string) {
	l.t.Helper()
	if status, text, _ := l.send("PUT", url, bytes.NewReader(body), header...); status != 200 {
		l.t.Fatalf("%s: %d %s", url, status, text)
	}
}

// counts tells how often each kind of event came.
func counts(events []string) map[string]int {
	n := make(map[string]int)
	for _, e := range events {
		kind, _, _ := strings.Cut(e, " ")
		n[kind]++
	}
	return n
}

func TestAFileWithoutAnEndIsAPublication(t *testing.T) {
	l := serve(t, nil, nil)
	url := l.over()
	init, fragments := film(t)
	body, sender := io.Pipe()
	answered := make(chan int)
	go func() {
		status, _, _ := l.send("PUT", url+"/ingest/secret/live.mp4", body)
		answered <- status
	}()
	sender.Write(join(init, fragments[0]))
	s := l.session()
	if s.is.Channel != "demo" || s.is.Protocol != "CMAF" || s.is.Audio == nil || s.is.Audio.SampleRate != 48000 {
		t.Errorf("the publication is %+v", s.is)
	}
	s.wait(t, 15)
	sender.Write(fragments[1])
	sender.Close()
	if status := <-answered; status != 200 {
		t.Errorf("status %d", status)
	}
	var events []string
	for len(events) == 0 || events[len(events)-1] != "close" {
		events = s.wait(t, len(events)+1)
	}
	if n := counts(events); n["video"] != 30 || n["audio"] < 44 || !strings.Contains(events[0], " SPS+PPS+") || !strings.HasSuffix(events[0], "+IDR") {
		t.Errorf("%v, beginning with %q", n, events[0])
	}
}

// ffmpeg's DASH: picture and sound each by themselves, the sound of a segment after its picture.
func TestTracksByThemselvesAreBroughtTogether(t *testing.T) {
	l := serve(t, nil, nil)
	url := l.over() + "/ingest/secret/"
	init, fragments := film(t)
	kinds := []cmaf.Kind{cmaf.Video, cmaf.Audio}
	l.put(url+"live.mpd", []byte("<MPD/>"))
	for i, kind := range kinds {
		own, err := cmaf.TrackInit(init, kind)
		if err != nil {
			t.Fatal(err)
		}
		l.put(fmt.Sprintf("%sinit-stream%d.m4s", url, i), own)
	}
	for n := range 2 {
		for i, kind := range kinds {
			pieces, err := cmaf.TrackSegment(init, fragments[n], kind)
			if err != nil {
				t.Fatal(err)
			}
			l.put(fmt.Sprintf("%schunk-stream%d-%05d.m4s", url, i, n+1), bytes.Join(pieces, nil))
		}
	}
	events := l.session().wait(t, 60)
	for i := 1; i < len(events); i++ { // decoding times are the last but one word of a picture, the last of sound
		if before, after := timeOf(t, events[i-1]), timeOf(t, events[i]); after < before {
			t.Fatalf("%q comes after %q", events[i], events[i-1])
		}
	}
	if n := counts(events); n["video"] < 20 || n["audio"] < 30 {
		t.Errorf("%v", n)
	}
	if status, _, _ := l.send("DELETE", url+"chunk-stream0-00001.m4s", nil); status != 200 {
		t.Errorf("DELETE: %d", status)
	}
}

func timeOf(t *testing.T, event string) time.Duration {
	t.Helper()
	words := strings.Fields(event)
	at, err := time.ParseDuration(words[min(2, len(words)-1)])
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// A publication of segments is over when nothing more comes.
func TestSegmentsOneByOne(t *testing.T) {
	t.Parallel()
	l := serve(t, func(c *ingest.Config) { c.IdleTimeout = time.Second }, nil)
	url := l.over() + "/ingest/secret/"
	init, fragments := film(t)
	early := make(chan int, 1)
	go func() { // it overtakes its init section
		status, _, _ := l.send("PUT", url+"live0.m4s", bytes.NewReader(fragments[0]))
		early <- status
	}()
	l.waitLog("a publisher has connected")
	l.put(url+"init.mp4", init)
	if status := <-early; status != 200 {
		t.Errorf("the first segment: %d", status)
	}
	l.put(url+"live1.m4s", fragments[1])
	s := l.session()
	var events []string
	for len(events) == 0 || events[len(events)-1] != "close" {
		events = s.wait(t, len(events)+1)
	}
	if n := counts(events); n["video"] != 30 {
		t.Errorf("%v", n)
	}
	l.waitLog("nothing has come for 3s")
	l.put(url+"init.mp4", init) // and the channel is free again
}

// An encoder that sends segments one by one sends its init sections once. It goes on with what the origin has kept of them when that was started
// anew, both tracks at once; another encoder has to send its own.
func TestAnEncoderGoesOnAfterARestartOfTheOrigin(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ingest")
	start := func() (l *lab, url string) {
		l = serve(t, func(c *ingest.Config) { c.Dir = dir }, nil)
		return l, l.over() + "/ingest/secret/"
	}
	init, fragments := film(t)
	own := func(kind cmaf.Kind) []byte {
		piece, err := cmaf.TrackInit(init, kind)
		if err != nil {
			t.Fatal(err)
		}
		return piece
	}
	of := func(n int, kind cmaf.Kind) []byte {
		pieces, err := cmaf.TrackSegment(init, fragments[n], kind)
		if err != nil {
			t.Fatal(err)
		}
		return join(pieces...)
	}

	before, url := start()
	before.put(url+"init-stream0.m4s", own(cmaf.Video))
	before.put(url+"init-stream1.m4s", own(cmaf.Audio))
	before.put(url+"chunk-stream0-00001.m4s", of(0, cmaf.Video))
	before.put(url+"chunk-stream1-00001.m4s", of(0, cmaf.Audio))
	if s := before.session(); s.is.Audio == nil {
		t.Fatal("the first publication is without sound")
	}
	before.stop()

	after, url := start()
	after.put(url+"chunk-stream0-00002.m4s", of(3, cmaf.Video)) // at fragment 3 a segment begins
	after.put(url+"chunk-stream1-00002.m4s", of(3, cmaf.Audio))
	s := after.session()
	if s.is.Audio == nil {
		t.Error("the publication goes on without sound")
	}
	after.stop()
	var events []string
	for len(events) == 0 || events[len(events)-1] != "close" {
		events = s.wait(t, len(events)+1)
	}
	if n := counts(events); n["video"] != 15 || n["audio"] == 0 || n["close"] != 1 {
		t.Errorf("%v of the segment of 15 pictures", n)
	}

	other, url := start()
	status, text, _ := other.send("PUT", url+"chunk-stream0-00003.m4s", bytes.NewReader(of(3, cmaf.Video)), ingest.PublisherHeader, "another")
	if status != 412 || !strings.Contains(text, "init section of this track is missing") {
		t.Errorf("another encoder's segment: %d %s", status, text)
	}
}

func TestAnswersOfAPublishingPoint(t *testing.T) {
	l := serve(t, nil, nil)
	url := l.over() + "/ingest/"
	init, fragments := film(t)
	mpegts := []byte("GGGGGGGGGGGGGGGGGGGGGGGGG")
	for _, c := range []struct {
		name, method, path, contentType string
		body                            []byte
		status                          int
		says                            string
	}{
		{"a wrong key", "PUT", "wrong/live.mp4", "", init, 403, "the stream key is wrong"},
		{"no stream", "PUT", "secret/", "", init, 404, "name the stream"},
		{"media before the init section", "PUT", "secret/live1.m4s", "", fragments[0], 412, "init section of this track is missing"},
		{"the same within a file", "POST", "secret/live.mp4", "", join(init[:28], fragments[0]), 412, "before the init section"},
		{"another container", "PUT", "secret/live.mp4", "video/mp2t", mpegts, 415, "fragmented MP4"},
		{"another codec", "PUT", "secret/live.mp4", "", bytes.Replace(init, []byte("avc1"), []byte("hvc1"), 1), 415, "neither H.264 nor AAC"},
		{"noise", "PUT", "secret/live.mp4", "", join(init, []byte("\x00\x00\x00\x09no\x00\x00\x00")), 400, "no MP4 stream"},
		{"reading", "GET", "secret/live.mp4", "", nil, 405, "PUT or POST"},
		{"is anybody there?", "POST", "secret/live.mp4", "", nil, 200, ""},
		{"a playlist", "PUT", "secret/live.m3u8", "", []byte("#EXTM3U"), 200, ""},
		{"tidying up", "DELETE", "secret/live1.m4s", "", nil, 200, ""},
		{"tidying up elsewhere", "DELETE", "wrong/live1.m4s", "", nil, 403, "the stream key is wrong"},
		{"an odd count", "PUT", "secret/live.mp4", "", init, 400, "is no number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			count := "0"
			if c.name == "an odd count" {
				count = "-1"
			}
			status, text, header := l.send(c.method, url+c.path, bytes.NewReader(c.body), "Content-Type", c.contentType, ingest.DiscontinuitiesHeader, count)
			if status != c.status || !strings.Contains(text, c.says) {
				t.Errorf("%d %s; want %d with %q", status, text, c.status, c.says)
			}
			if status == 405 && header.Get("Allow") == "" {
				t.Error("what is allowed is not said")
			}
		})
	}
	if strings.Contains(l.log.String(), "secret") {
		t.Error("the log has the stream key")
	}
}

func TestAChannelHasOnePublisherOverCMAFToo(t *testing.T) {
	l := serve(t, nil, nil)
	url := l.over() + "/ingest/secret/"
	init, fragments := film(t)
	body, sender := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		request, _ := http.NewRequest("PUT", url+"live.mp4", body)
		request.Header.Set(ingest.PublisherHeader, "one")
		if _, err := http.DefaultClient.Do(request); err == nil {
			t.Error("half a request was answered")
		}
	}()
	sender.Write(join(init, fragments[0]))
	l.session().wait(t, 10)
	for name, id := range map[string]string{"another publisher": "two", "the same track again": "one"} {
		status, text, _ := l.send("PUT", url+"live.mp4", bytes.NewReader(init), ingest.PublisherHeader, id)
		if status != 409 || !strings.Contains(text, "already") || strings.Contains(text, "127.0.0.1") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if _, err := l.server.Reserve(t.Context(), "demo", "file", "film.mp4"); err == nil || !strings.Contains(err.Error(), "already has a publisher") {
		t.Errorf("over another protocol: %v", err)
	}
	sender.CloseWithError(io.ErrUnexpectedEOF)
	<-done
	var input *ingest.Input
	for deadline, err := time.Now().Add(10*time.Second), io.EOF; err != nil; time.Sleep(5 * time.Millisecond) {
		if input, err = l.server.Reserve(t.Context(), "demo", "file", "film.mp4"); err != nil && time.Now().After(deadline) {
			t.Fatalf("when the publisher has been cut off: %v", err)
		}
	}
	if status, text, _ := l.send("PUT", url+"live.mp4", bytes.NewReader(init)); status != 409 {
		t.Errorf("a channel that is pulled: %d %s", status, text)
	}
	input.Release()
}

// A sender that says nothing more is not waited for.
func TestASilentSenderIsSentAway(t *testing.T) {
	l := serve(t, func(c *ingest.Config) { c.IdleTimeout = 100 * time.Millisecond }, nil)
	url := l.over() + "/ingest/secret/live.mp4"
	init, _ := film(t)
	body, sender := io.Pipe()
	defer sender.Close()
	go sender.Write(init)
	if status, text, _ := l.send("PUT", url, body); status != http.StatusRequestTimeout {
		t.Errorf("%d %s", status, text)
	}
}

func TestPublishersAreSentAwayWhenTheServerEnds(t *testing.T) {
	l := serve(t, nil, nil)
	url := l.over() + "/ingest/secret/live.mp4"
	init, fragments := film(t)
	body, sender := io.Pipe()
	defer sender.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.send("PUT", url, body)
	}()
	sender.Write(join(init, fragments[0]))
	l.session().wait(t, 10)
	l.stop()
	<-done
}

// packer records what it is to publish.
type packer struct {
	mu     sync.Mutex
	story  string
	newest int64
	counts int64 // discontinuities up to the newest
	made   string
	closed chan struct{}
}

func (p *packer) Has(rendition string) (soundOnly, ok bool) { return false, rendition == "360p" }

func (p *packer) Made(renditions []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made = strings.Join(renditions, " and ")
}

func (p *packer) Take(out cmaf.Output) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := out.Segment; s != nil {
		p.story += fmt.Sprintf("%s %d+%d(%d) | ", s.Rendition, s.Number%10, s.DurationMs, s.Discontinuities)
		if s.Slate {
			p.story += "slate | "
		}
		p.newest, p.counts = s.Number, s.Discontinuities
	} else {
		p.story += fmt.Sprintf("%d.%d ", out.Part.Number%10, out.Part.Index)
	}
}

func (p *packer) Newest(string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newest
}

func (p *packer) Discontinuities(string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

func (p *packer) Close() error {
	close(p.closed)
	return nil
}

func (p *packer) is(t *testing.T, want string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.story != want {
		t.Errorf("the story is %s\nwant         %s", p.story, want)
	}
	p.story = ""
}

func TestReadyRenditionsAreTakenAsTheyAre(t *testing.T) {
	p := &packer{closed: make(chan struct{})}
	l := serve(t, func(c *ingest.Config) {
		c.Start = nil
		c.Package = func(channel string) (ingest.Packaging, error) { return p, nil }
	}, nil)
	url := l.over() + "/ingest/secret/"
	init, f := film(t)
	as := []string{ingest.PublisherHeader, "encoder", ingest.DiscontinuitiesHeader, "7"}

	l.put(url+"360p/881892605.m4s", join(init, f[0], f[1], f[2]), as...)
	p.is(t, "5.0 5.1 5.2 360p 5+1100(7) | ")

	// It is cut off in mid-air, and comes again from its beginning.
	cut, sender := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		sender.Write(join(init, f[3], f[4][:100]))
		sender.CloseWithError(io.ErrUnexpectedEOF)
	}()
	request, _ := http.NewRequestWithContext(t.Context(), "PUT", url+"360p/881892606.m4s", cut)
	for i := 0; i < len(as); i += 2 {
		request.Header.Set(as[i], as[i+1])
	}
	if _, err := http.DefaultClient.Do(request); err == nil {
		t.Error("half a request was answered")
	}
	<-sent
	l.waitLog("the body was cut off")
	_, _, header := l.send("PUT", url+"360p/881892606.m4s", bytes.NewReader(join(init, f[3], f[4], f[5], f[6])), append(as, ingest.SlateHeader, "1", ingest.RenditionsHeader, "360p,180p")...)
	p.is(t, "6.0 6.1 6.2 6.3 360p 6+2000(7) | slate | ")
	if got := header.Get(ingest.NewestHeader); got != "881892606" {
		t.Errorf("the newest number is told to be %q", got)
	}

	if p.made != "360p and 180p" {
		t.Errorf("what is made: %q", p.made)
	}

	// An encoder that was started with nothing has lost count.
	lost := []string{ingest.PublisherHeader, "encoder", ingest.DiscontinuitiesHeader, "0"}
	status, text, header := l.send("PUT", url+"360p/881892607.m4s", bytes.NewReader(join(init, f[7], f[8])), lost...)
	if status != 409 || header.Get(ingest.DiscontinuitiesHeader) != "7" || !strings.Contains(text, "count on from there") {
		t.Errorf("it is answered %d %s %v", status, text, header)
	}
	p.is(t, "")

	// Another encoder's way: the init section by itself, and segments of other lengths.
	l.put(url+"360p/init.m4s", init, as...)
	l.put(url+"360p/1.m4s", f[7], as...)
	p.is(t, "7.0 ")
	l.put(url+"360p/2.m4s", join(f[8], f[9]), as...)
	p.is(t, "7.1 7.2 ") // 1300 ms are not the end of a segment

	if status, text, _ := l.send("PUT", url+"720p/1.m4s", bytes.NewReader(init), as...); status != 404 || !strings.Contains(text, "no rendition") {
		t.Errorf("an unknown rendition: %d %s", status, text)
	}
	if l.server.Addr() != nil {
		t.Error("there is RTMP, but nobody to transcode")
	}
	l.stop()
	select {
	case <-p.closed:
	case <-time.After(10 * time.Second):
		t.Error("the publication was not closed")
	}
}
