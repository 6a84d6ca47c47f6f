package server

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
	"slipstream/origin/ts"
)

func TestSegmentsInMPEGTS(t *testing.T) {
	s := newSite(t, nil)
	s.ask("GET", "/live/demo/ts.m3u8").want(t, "before the first segment", 404)
	segments := s.recorded()
	front := s.ask("GET", "/live/demo/ts.m3u8", "Accept-Encoding", "identity")
	front.want(t, "multivariant", 200, "Content-Type", typePlaylist)
	if m, err := manifest.ReadMultivariant(front.body); err != nil || m.Variants[0].URI != "360p/ts.m3u8" || m.Tracker != "" {
		t.Errorf("%v\n%s", err, front.body)
	}
	list := s.ask("GET", "/live/demo/360p/ts.m3u8", "Accept-Encoding", "identity")
	list.want(t, "media playlist", 200, "Content-Type", typePlaylist, "Cache-Control", "public, max-age=1")
	if !strings.Contains(list.body, "#EXT-X-VERSION:3\n") || strings.Contains(list.body, "SLIPSTREAM") || strings.Contains(list.body, "EXT-X-MAP") || strings.Count(list.body, ".ts\n") != len(segments) {
		t.Errorf("it reads\n%s", list.body)
	}
	for i, segment := range segments {
		uri := "/live/demo/360p/" + hls.TransportURI(segment.Number)
		a := s.ask("GET", uri)
		a.want(t, "segment", 200, "Content-Type", typeTransport, "Cache-Control", cacheForEver)
		want, err := ts.Segment(segment.Init, segment.Data, segment.Number)
		if err != nil || a.body != string(want) {
			t.Errorf("%v: segment %d has %d bytes, want %d", err, i, len(a.body), len(want))
		}
		says := fmt.Sprintf("ot=av,sf=h,st=l,d=%d,br=%d", segment.DurationMs, kbps(int64(len(want)), segment.DurationMs))
		if i == 0 {
			says += fmt.Sprintf(`,nor="%d.ts"`, segment.Number+1)
		}
		s.ask("GET", uri, "If-None-Match", a.header.Get("ETag")).want(t, "again", 304, "CMSD-Static", says)
		s.ask("GET", uri, "Range", "bytes=188-375").want(t, "a packet", 206, "Content-Length", "188")
		if plain := s.ask("GET", "/live/demo/360p/"+hls.SegmentURI(segment.Number)); plain.header.Get("ETag") == a.header.Get("ETag") {
			t.Error("two containers have the same ETag")
		}
	}
	for _, uri := range []string{"1.ts", "x.ts", fmt.Sprintf("0%d.ts", first), fmt.Sprintf("%d.ts", first+50)} {
		s.ask("GET", "/live/demo/360p/"+uri).want(t, uri, 404)
	}
	s.ask("GET", "/live/demo/1080p/ts.m3u8").want(t, "no such rendition", 404)
	s.publish(first + 10) // of no container at all
	if a := s.ask("GET", "/live/demo/360p/"+hls.TransportURI(first+10)); a.status != 404 || !strings.Contains(a.body, "cannot be had as MPEG-TS") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if s.log.Len() > 0 {
		t.Errorf("logged: %s", s.log)
	}
}

func TestATransportStreamIsMadeOnceAndForgottenInOrder(t *testing.T) {
	var cache transports
	var times atomic.Int64
	ask := func(number int64, size int) {
		data, _, err := cache.get(madeOf{"360p", number}, func() ([]byte, string, error) {
			times.Add(1)
			return make([]byte, size), "tag", nil
		})
		if err != nil || len(data) != size {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { ask(1, 1<<20) })
	}
	all.Wait()
	if times.Load() != 1 {
		t.Errorf("it was made %d times", times.Load())
	}
	for n := range int64(63) {
		ask(2+n, 1<<20)
	}
	if ask(1, 1<<20); times.Load() != 64 {
		t.Error("64 MiB are more than may be remembered")
	}
	ask(100, 10<<20) // the ten that were asked for least recently go
	if cache.bytes != maxTransportBytes || len(cache.known) != 55 || cache.recent.Len() != 55 {
		t.Errorf("%d bytes in %d", cache.bytes, len(cache.known))
	}
	if ask(1, 1<<20); times.Load() != 65 {
		t.Error("what was asked for lately was forgotten")
	}
	ask(101, 100<<20)
	if len(cache.known) != 1 {
		t.Errorf("%d are remembered beside a great one", len(cache.known))
	}
	failed := errors.New("no")
	for range 2 {
		if _, _, err := cache.get(madeOf{"360p", 200}, func() ([]byte, string, error) { return nil, "", failed }); err != failed {
			t.Error(err)
		}
	}
	if len(cache.known) != 1 || cache.bytes != 100<<20 {
		t.Errorf("a failure is remembered: %d, %d bytes", len(cache.known), cache.bytes)
	}
}
