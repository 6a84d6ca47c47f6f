package server

import (
	"fmt"
	"net/http"
	"testing"

	"slipstream/origin/hls"
)

// nowhere is a connection that takes everything.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkAnswer is what an answer costs on this side of net/http.
func BenchmarkAnswer(b *testing.B) {
	s := newSite(b, nil)
	for n := range int64(10) {
		s.publish(first + n)
	}
	segment := "/live/demo/360p/" + hls.SegmentURI(first+9)
	for _, c := range []struct {
		name, path string
		header     http.Header
	}{
		{"segment", segment, http.Header{}},
		{"range", segment, http.Header{"Range": {"bytes=16384-32767"}}},
		{"playlist", "/live/demo/360p/index.m3u8", http.Header{}},
		{"gzip", "/live/demo/360p/index.m3u8", http.Header{"Accept-Encoding": {"gzip"}}},
		{"multivariant", "/live/demo/index.m3u8", http.Header{}},
		{"missing", fmt.Sprintf("/live/demo/360p/%d.m4s", first+99), http.Header{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r, err := http.NewRequest(http.MethodGet, c.path, nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header = c.header
			b.ReportAllocs()
			for b.Loop() {
				s.server.ServeHTTP(nowhere{make(http.Header)}, r)
			}
		})
	}
}
