package server

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"

	"slipstream/origin/cmaf"
	"slipstream/origin/manifest"
	"slipstream/origin/web"
)

// plainly serves a site as the origin does, over HTTP/1.1 without TLS, where bodies are sent from where they lie.
func plainly(t *testing.T, s *site) (base string) {
	return "http://" + listening(t, web.Config{HTTP: "127.0.0.1:0", Handler: s.server}).Addr().String()
}

// publishLarge publishes segments too large for any socket's buffer, no two pages of which are the same.
func (s *site) publishLarge(numbers ...int64) (data []byte) {
	s.t.Helper()
	for n := range uint64(1 << 20) {
		data = fmt.Appendf(data, "%08x", n)
	}
	for _, n := range numbers {
		s.nowMs.Store(n*2000 + 2300)
		for _, rendition := range []string{"360p", "180p"} {
			if err := s.store.Publish(cmaf.Segment{
				Rendition: rendition, Number: n, StartMs: n * 2000, DurationMs: 2000, Data: append([]byte(rendition), data...), Init: []byte("init"),
				Codecs: "avc1.4d401e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 30,
			}, s.nowMs.Load()); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return append([]byte("360p"), data...)
}

func fetchFrom(t *testing.T, url string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, body
}

func TestWhatManyAskForIsSentFromWhereItLies(t *testing.T) {
	s := newSite(t, nil)
	want := s.publishLarge(first, first+1)
	base := plainly(t, s)
	url := fmt.Sprintf("%s/live/demo/360p/%d.m4s", base, first)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 4 { // the first two from our memory, the rest from the kernel's
				answer, body := fetchFrom(t, url)
				if answer.ContentLength != int64(len(want)) || !bytes.Equal(body, want) {
					t.Errorf("answer %d has %d bytes, or others", i, len(body))
				}
				for _, r := range [][2]int{{0, 0}, {0, 16383}, {511, 512}, {100_000, 5_000_000}, {len(want) - 1, len(want) - 1}} {
					answer, body := fetchFrom(t, url, "Range", fmt.Sprintf("bytes=%d-%d", r[0], r[1]))
					if answer.StatusCode != http.StatusPartialContent || !bytes.Equal(body, want[r[0]:r[1]+1]) {
						t.Errorf("%v: %s with %d bytes, or others", r, answer.Status, len(body))
					}
				}
			}
		})
	}
	all.Wait()
	answer, body := fetchFrom(t, url, "Range", "bytes=5-9,600000-600009")
	_, params, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for _, from := range []int{5, 600_000} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(part); !bytes.HasPrefix(want[from:], got) || len(got) < 5 {
			t.Errorf("the range from %d reads %q", from, got)
		}
	}
	if answer, body := fetchFrom(t, url, "If-None-Match", answer.Header.Get("ETag")); answer.StatusCode != http.StatusNotModified || len(body) > 0 {
		t.Errorf("again: %s", answer.Status)
	}
	if head, err := http.Head(url); err != nil || head.ContentLength != int64(len(want)) {
		t.Errorf("HEAD: %v, %+v", err, head)
	}
	// A connection on which anything was held back for ever would not get this far.
	if _, body := fetchFrom(t, base+"/live/demo/360p/index.m3u8"); !strings.HasPrefix(string(body), "#EXTM3U") {
		t.Errorf("the playlist reads %.80q", body)
	}
	var counted int64
	for k := range kinds {
		counted += s.server.channels["demo"].traffic.bytes[k].Load()
	}
	if least := int64(16 * len(want)); counted < least || counted > least*2 {
		t.Errorf("%d bytes were counted, more than %d were sent", counted, least)
	}
}

func TestACompressedPlaylistSaysHowLongItIs(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first, first+1)
	url := plainly(t, s) + "/live/demo/360p/index.m3u8"
	answer, body := fetchFrom(t, url, "Accept-Encoding", "gzip")
	if answer.Header.Get("Content-Encoding") != "gzip" || answer.ContentLength != int64(len(body)) {
		t.Errorf("%d bytes came, %d were announced: %v", len(body), answer.ContentLength, answer.Header)
	}
	again, body := fetchFrom(t, url, "Accept-Encoding", "gzip", "If-None-Match", answer.Header.Get("ETag"))
	if again.StatusCode != http.StatusNotModified || len(body) > 0 {
		t.Errorf("again: %s with %d bytes", again.Status, len(body))
	}
}

func TestFilesInMemoryAreBounded(t *testing.T) {
	r := newResidents()
	data := bytes.Repeat([]byte("slipstream"), residentBytes/100)
	root := func(n byte) manifest.Hash { return manifest.Hash{n} }
	if r.acquire(root(0), data) != nil {
		t.Error("what was asked for once has a file")
	}
	held := r.acquire(root(0), data)
	if held == nil {
		t.Skip("there are no files in memory here")
	}
	for n := range byte(30) {
		for range 2 {
			if c := r.acquire(root(n+1), data); c != nil {
				r.release(c)
			}
		}
	}
	if r.bytes > residentBytes || r.recent.Len() > residentBytes/len(data) {
		t.Errorf("%d bytes in %d files are kept", r.bytes, r.recent.Len())
	}
	got := make([]byte, 10)
	if _, err := held.file.ReadAt(got, 10); err != nil || string(got) != "slipstream" {
		t.Errorf("a file that is being read was closed: %q, %v", got, err)
	}
	r.release(held)
	if _, err := held.file.Stat(); err == nil {
		t.Error("a file that was dropped stays open without a reader")
	}
	for range 3 * residentFiles {
		r.acquire(manifest.Hash{1, byte(len(r.byRoot)), byte(len(r.byRoot) >> 8)}, data)
	}
	if r.recent.Len() > residentFiles {
		t.Errorf("%d objects are remembered", r.recent.Len())
	}
	vast := make([]byte, residentBytes+1)
	r.acquire(root(98), vast)
	if c := r.acquire(root(98), vast); c == nil || r.bytes > residentBytes {
		t.Errorf("%d bytes are kept", r.bytes)
	} else if r.release(c); c.readers != 0 || !c.dropped {
		t.Errorf("%+v stays", c)
	}
	if r.acquire(root(99), data[:minResident-1]) != nil || r.byRoot[root(99)] != nil {
		t.Error("a small object is kept")
	}
}
