package server

import (
	"compress/gzip"
	"io"
	"strings"
	"testing"
)

func TestPlaylistsAreCompressedForThoseWhoAsk(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first, first+1, first+2)
	plain := s.ask("GET", media360p, "Accept-Encoding", "identity")
	plain.want(t, "plain", 200, "Content-Encoding", "-", "Vary", "Accept-Encoding")
	zipped := s.ask("GET", media360p, "Accept-Encoding", "br, gzip;q=0.5")
	zipped.want(t, "compressed", 200, "Content-Encoding", "gzip", "Vary", "Accept-Encoding", "Content-Type", typePlaylist)
	r, err := gzip.NewReader(strings.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || string(text) != plain.body {
		t.Errorf("what was compressed is another playlist (%v)", err)
	}
	if len(zipped.body) > len(plain.body)*4/5 {
		t.Errorf("%d bytes became %d", len(plain.body), len(zipped.body))
	}
	// Each form has its own tag, or a cache could mix them (RFC 9110, section 8.8.3).
	tag := zipped.header.Get("ETag")
	if tag == plain.header.Get("ETag") {
		t.Error("both forms have the same ETag")
	}
	s.ask("GET", media360p, "Accept-Encoding", "gzip", "If-None-Match", tag).want(t, "again", 304)
	s.ask("GET", media360p, "Accept-Encoding", "identity", "If-None-Match", tag).want(t, "the other form", 200)
}

func TestWhoAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "identity": false, "gzip": true, "GZIP": true, "deflate, gzip, br": true, "gzip;q=1.0": true, "gzip; q=0.1": true,
		"gzip;q=0": false, "gzip; q=0.000": false, "*": false, "x-gzip-like": false, ";;,": false,
	} {
		if acceptsGzip(header) != want {
			t.Errorf("%q: %v", header, !want)
		}
	}
}
