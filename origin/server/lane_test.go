package server

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipstream/origin/health"
	"slipstream/origin/web"
)

// watched counts what a lane answers.
type watched struct {
	web.Lane
	answers atomic.Int64
}

func (w *watched) Answer(q *web.Request, a *web.Answer) bool {
	ok := w.Lane.Answer(q, a)
	if ok {
		w.answers.Add(1)
	}
	return ok
}

// exchange sends one request as it is and reads the answer.
func exchange(t *testing.T, address, text string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return answer, string(body)
}

// Whoever answers, the answer is the same.
func TestTheLaneAnswersAsNetHTTPDoes(t *testing.T) {
	s := newSite(t, nil)
	s.publishLarge(first) // large enough for the kernel
	s.publishParts(first+1, 0, 4)
	s.publish(first + 1)
	s.publishParts(first+2, 0, 2)
	lane := &watched{Lane: s.server}
	with := listening(t, web.Config{HTTP: "127.0.0.1:0", Handler: s.server, Lane: lane}).Addr().String()
	without := listening(t, web.Config{HTTP: "127.0.0.1:0", Handler: s.server}).Addr().String()
	ask := func(path string, lines ...string) string {
		return strings.Join(append([]string{"GET " + path + " HTTP/1.1", "Host: o"}, lines...), "\r\n") + "\r\n\r\n"
	}
	head := func(request string) string { return "HEAD" + strings.TrimPrefix(request, "GET") }
	tag := func(path string, lines ...string) string {
		answer, _ := exchange(t, without, ask(path, lines...))
		return answer.Header.Get("ETag")
	}
	const zipped = "Accept-Encoding: br, gzip;q=0.8"
	small, large := fmt.Sprintf("/live/demo/360p/%d.m4s", first+1), fmt.Sprintf("/live/demo/360p/%d.m4s", first)
	part := fmt.Sprintf("/live/demo/360p/%d.1.m4s", first+2)
	there := fmt.Sprintf("?_HLS_msn=%d&_HLS_part=1", first+2)
	for _, requests := range []struct {
		lane bool
		all  []string
	}{
		{true, []string{
			ask(media360p), ask(media360p, zipped), ask(media360p, "Accept-Encoding: gzip;q=0"), ask(media360p, "Range: bytes=0-9"), ask(media360p + there),
			ask(media360p+there, zipped), ask(media360p + "?_HLS_skip=YES"), ask(media360p + "?token=abc"),
			ask(media360p, "If-None-Match: "+tag(media360p)), ask(media360p, zipped, "If-None-Match: W/"+tag(media360p, zipped)),
			ask(media360p, zipped, "If-None-Match: "+tag(media360p)), ask(media360p, "If-None-Match: "+tag(media360p), "Range: bytes=0-9"),
			ask(small), ask(small), ask(small, zipped), ask(small, "If-None-Match: "+tag(small)), ask(small, `If-None-Match: "x"`), ask(small, "Range: bytes=5-9"),
			ask(large), ask(large), ask(large, "Range: bytes=100-599999"), ask(large, "Range: bytes=0-0"), ask(part), ask(part, "Range: bytes=0-99"),
		}},
		{false, []string{
			ask("/live/demo/index.m3u8"), ask("/live/demo/9p/index.m3u8"), ask("/live/nope/360p/index.m3u8"), ask("/live/demo/360p/"), ask("/live/demo/360p"),
			ask(media360p + "?_HLS_part=1"), ask(media360p + "?_HLS_msn=x"), ask(media360p + fmt.Sprintf("?_HLS_msn=%d", first+9)), ask("/livez"),
			ask(media360p, zipped, "Range: bytes=0-9"), ask(media360p, "If-None-Match: *"), ask(media360p, `If-None-Match: "a", "b"`), ask(media360p, "If-None-Match: x"),
			ask(small, "Range: bytes=5-"), ask(small, "Range: bytes=-5"), ask(small, "Range: bytes=5-4"), ask(small, "Range: bytes=99999999-99999999"),
			ask(small, "Range: bytes=0-99999999999999999999"), ask(small, "Range: bytes=+1-2"), ask(small, "Range: octets=0-1"), ask(small, "Range: bytes=0-99999999"),
			ask(small + ".leaves"), ask(fmt.Sprintf("/live/demo/360p/0%d.m4s", first)), ask(fmt.Sprintf("/live/demo/360p/%d.m4s", first+9)),
			ask(fmt.Sprintf("/live/demo/360p/%d.9.m4s", first+2)), ask(fmt.Sprintf("/live/demo/360p/+%d.m4s", first)), ask("/live/demo/360p/x.m4s"), ask("/live/demo/360p/-1.-1.m4s"),
		}},
	} {
		for _, request := range requests.all {
			for _, request := range []string{request, head(request)} {
				before := lane.answers.Load()
				got, body := exchange(t, with, request)
				if taken := lane.answers.Load() > before; taken != requests.lane {
					t.Errorf("%q: answered by the lane: %t", request, taken)
				}
				want, wanted := exchange(t, without, request)
				for _, answer := range []*http.Response{got, want} {
					if answer.Header.Get("Date") == "" {
						t.Errorf("%q: no Date in %v", request, answer.Header)
					}
					answer.Header.Del("Date")
				}
				if got.Status != want.Status || got.ContentLength != want.ContentLength || !maps.EqualFunc(got.Header, want.Header, func(a, b []string) bool {
					return len(a) == 1 && len(b) == 1 && a[0] == b[0]
				}) {
					t.Errorf("%q\n%s %d %v\ninstead of\n%s %d %v", request, got.Status, got.ContentLength, got.Header, want.Status, want.ContentLength, want.Header)
				}
				if body != wanted {
					t.Errorf("%q: %d bytes instead of %d, or others", request, len(body), len(wanted))
				}
			}
		}
	}
	// Both count alike: kindPlaylist has been asked for as often here as there.
	var requests, bytes int64
	for k := range kinds {
		requests += s.server.channels["demo"].traffic.requests[k].Load()
		bytes += s.server.channels["demo"].traffic.bytes[k].Load()
	}
	if lane.answers.Load() < 40 || requests < 2*lane.answers.Load() || bytes < 4*int64(len(data("360p", first))) {
		t.Errorf("%d answers of the lane, %d requests, %d bytes", lane.answers.Load(), requests, bytes)
	}
}

// What the handlers keep back the lane does not give away.
func TestTheLaneKnowsWhenNotToAnswer(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.FailOver = health.Policy{StaleMs: health.StaleMs} })
	s.publish(first)
	address := listening(t, web.Config{HTTP: "127.0.0.1:0", Handler: s.server, Lane: s.server}).Addr().String()
	status := func() int {
		answer, _ := exchange(t, address, "GET "+media360p+" HTTP/1.1\r\nHost: o\r\n\r\n")
		return answer.StatusCode
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("while it is recent: %d", got)
	}
	s.nowMs.Add(health.StaleMs + 1)
	if got := status(); got != http.StatusNotFound {
		t.Errorf("when the next segment is late: %d", got)
	}
	s.publish(first + 10)
	s.server.channels["demo"].Store.Offer([]string{"180p"}, s.nowMs.Load())
	if got := status(); got != http.StatusNotFound {
		t.Errorf("when the rendition is not made any more: %d", got)
	}
	hidden := newSite(t, func(cfg *Config) { cfg.Mounts = map[string]http.Handler{"/live/": http.NotFoundHandler()} })
	hidden.publish(first)
	address = listening(t, web.Config{HTTP: "127.0.0.1:0", Handler: hidden.server, Lane: hidden.server}).Addr().String()
	if got := status(); got != http.StatusNotFound {
		t.Errorf("where it serves nobody: %d", got)
	}
}
