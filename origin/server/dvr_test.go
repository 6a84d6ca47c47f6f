package server

import (
	"fmt"
	"strings"
	"testing"

	"slipstream/origin/hls"
	"slipstream/origin/keys"
	"slipstream/origin/manifest"
	"slipstream/origin/store"
)

// newSiteWithDVR is a site whose channel has ten minutes on disk.
func newSiteWithDVR(t *testing.T) *site {
	dir := t.TempDir()
	s := newSite(t, func(cfg *Config) {
		k, err := keys.Open(dir, "demo", startMs)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := store.Open(store.Config{
			Dir: keys.ChannelDir(dir, "demo"), Channel: k.ID(), SessionMs: startMs, Renditions: []string{"360p", "180p"},
			WindowMs: 20_000, DVRMs: 600_000, Signer: k,
		}, startMs)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Channels[0].ID, cfg.Channels[0].Store = k.ID(), kept
	})
	s.store = s.server.channels["demo"].Store
	return s
}

func TestViewersGoBackInTime(t *testing.T) {
	s := newSiteWithDVR(t)
	s.ask("GET", "/live/demo/dvr.m3u8").want(t, "before the first segment", 404)
	for n := range int64(100) {
		s.publish(first + n)
	}
	front := s.ask("GET", "/live/demo/dvr.m3u8", "Accept-Encoding", "identity")
	front.want(t, "multivariant", 200, "Content-Type", typePlaylist, "Cache-Control", "public, max-age=2")
	m, err := manifest.ReadMultivariant(front.body)
	if err != nil || len(m.Variants) != 2 || m.Variants[0].URI != "360p/dvr.m3u8" || m.Tracker != "" {
		t.Errorf("%v: %+v", err, m)
	}
	const path = "/live/demo/360p/"
	list := s.ask("GET", path+"dvr.m3u8", "Accept-Encoding", "identity")
	list.want(t, "media playlist", 200, "Content-Type", typePlaylist, "Cache-Control", "public, max-age=1", "CMSD-Static", "ot=m,sf=h,st=l")
	pl, err := manifest.ReadPlaylist(list.body)
	if err != nil || len(pl.Segments) != 100 || pl.MediaSequence != first {
		t.Fatalf("%v: %d segments from %d", err, len(pl.Segments), pl.MediaSequence-first)
	}
	if zipped := s.ask("GET", path+"dvr.m3u8", "Accept-Encoding", "gzip"); len(zipped.body) > len(list.body)/3 {
		t.Errorf("%d bytes become %d", len(list.body), len(zipped.body))
	}
	delta := s.ask("GET", path+"dvr.m3u8?_HLS_skip=YES", "Accept-Encoding", "identity")
	if delta.want(t, "delta update", 200); !strings.Contains(delta.body, "#EXT-X-SKIP:SKIPPED-SEGMENTS=94\n") {
		t.Errorf("the update reads\n%s", delta.body)
	}
	for _, n := range []int64{first, first + 50, first + 99} {
		uri := path + hls.SegmentURI(n)
		a := s.ask("GET", uri)
		a.want(t, "segment", 200, "Content-Type", typeMedia, "Cache-Control", cacheForEver, "Content-Length", "40000", "Access-Control-Allow-Origin", "*")
		if a.body != string(data("360p", n)) {
			t.Errorf("segment %d is another one", n-first)
		}
		if says := a.header.Get("CMSD-Static"); !strings.HasPrefix(says, "ot=av,sf=h,st=l,d=2000,br=160") || strings.Contains(says, "nor=") != (n != first+99) {
			t.Errorf("segment %d says %s", n-first, says)
		}
		part := s.ask("GET", uri, "Range", "bytes=39990-")
		if part.want(t, "range", 206, "Content-Range", "bytes 39990-39999/40000"); part.body != string(data("360p", n)[39990:]) {
			t.Errorf("the end of segment %d is another one", n-first)
		}
		s.ask("GET", uri, "If-None-Match", a.header.Get("ETag")).want(t, "again", 304)
		if h := s.ask("HEAD", uri); h.body != "" {
			t.Error("HEAD has a body")
		}
		s.ask("GET", uri+".leaves").want(t, "leaves", 200, "Content-Type", typeLeaves)
	}
	s.ask("GET", path+pl.Segments[0].MapURI).want(t, "init section", 200)
	stats := s.server.channels["demo"].traffic.bytes[kindSegment].Load()
	if want := int64(3 * (40_000 + 10)); stats != want {
		t.Errorf("%d bytes of segments were counted, %d were sent", stats, want)
	}
	if body := s.ask("GET", "/stats.json").body; !strings.Contains(body, `"dvr":{"segments":100,"bytes":4000000}`) {
		t.Errorf("the statistics do not say what is kept: %s", body)
	}
	for uri, want := range map[string]string{fmt.Sprintf("dvr-%d.m3u8", first): cacheForEver, fmt.Sprintf("dvr-%d.m3u8", first+60): cachePlaylist} {
		a := s.ask("GET", path+uri, "Accept-Encoding", "identity")
		a.want(t, uri, 200, "Cache-Control", want, "Content-Type", typePlaylist)
		chapter, err := manifest.ReadPlaylist(a.body)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := manifest.NewVerifier(s.server.channels["demo"].ID, "360p").Playlist(chapter, s.nowMs.Load()); err != nil || len(list) < 40 || chapter.EndList != (want == cacheForEver) {
			t.Errorf("%s has %d segments: %v", uri, len(list), err)
		}
	}
	for _, uri := range []string{"dvr-1.m3u8", "dvr-.m3u8", fmt.Sprintf("dvr-0%d.m3u8", first), "dvr--1.m3u8", "dvr-99999999999999999999.m3u8", fmt.Sprintf("%d.m4s", first-1)} {
		s.ask("GET", path+uri).want(t, uri, 404)
	}
	s.ask("GET", "/live/demo/1080p/dvr.m3u8").want(t, "no such rendition", 404)
	s.ask("GET", "/live/demo/1080p/"+hls.SegmentURI(first)).want(t, "nor a segment of it", 404)
	s.nowMs.Add(700_000)
	s.ask("GET", path+"dvr.m3u8").want(t, "off the air", 404)
	s.ask("GET", path+hls.SegmentURI(first)).want(t, "what was published", 200)
}

func TestWithoutADVRWindow(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first, first+1)
	for _, path := range []string{"/live/demo/dvr.m3u8", "/live/demo/360p/dvr.m3u8"} {
		if a := s.ask("GET", path); a.status != 404 || !strings.Contains(a.body, "no DVR window") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	s.ask("GET", fmt.Sprintf("/live/demo/360p/dvr-%d.m3u8", first)).want(t, "chapter", 404)
}
