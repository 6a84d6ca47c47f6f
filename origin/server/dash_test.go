package server

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/Eyevinn/dash-mpd/mpd"
	"github.com/Eyevinn/mp4ff/mp4"

	"slipstream/origin/cmaf"
	"slipstream/origin/health"
)

// recorded publishes real segments, one of two seconds and what follows it, under the numbers from first.
func (s *site) recorded() []cmaf.Segment {
	s.t.Helper()
	stream, err := os.ReadFile("../cmaf/testdata/run.mp4")
	if err != nil {
		s.t.Fatal(err)
	}
	cutter := cmaf.NewCutter("360p")
	outputs, err := cutter.Write(stream)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []cmaf.Segment
	for _, o := range append(outputs, cutter.Close()...) {
		if o.Segment == nil || o.Segment.DurationMs < 1200 {
			continue
		}
		segment := *o.Segment
		segment.Number = first + int64(len(out))
		segment.StartMs = segment.Number * 2000
		s.nowMs.Store(segment.StartMs + segment.DurationMs + 300)
		for _, rendition := range []string{"360p", "180p"} {
			segment.Rendition = rendition
			if err := s.store.Publish(segment, s.nowMs.Load()); err != nil {
				s.t.Fatal(err)
			}
		}
		out = append(out, segment)
	}
	return out
}

const manifestMPD = "/live/demo/manifest.mpd"

func TestMPDHeaders(t *testing.T) {
	s := newSite(t, nil)
	s.ask("GET", manifestMPD).want(t, "before the first segment", 404, "Cache-Control", "public, max-age=1")
	s.publish(first, first+1)
	a := s.ask("GET", manifestMPD, "Accept-Encoding", "identity")
	a.want(t, "MPD", 200, "Content-Type", "application/dash+xml", "Cache-Control", "public, max-age=1", "Access-Control-Allow-Origin", "*",
		"Vary", "Accept-Encoding", "Content-Encoding", "-", "CMSD-Static", "ot=m,sf=d,st=l", "Content-Length", fmt.Sprint(len(a.body)))
	tag := a.header.Get("ETag")
	s.ask("GET", manifestMPD, "Accept-Encoding", "identity", "If-None-Match", tag).want(t, "unchanged", 304, "ETag", tag)
	zipped := s.ask("GET", manifestMPD, "Accept-Encoding", "gzip")
	zipped.want(t, "compressed", 200, "Content-Encoding", "gzip", "Content-Type", "application/dash+xml")
	if zipped.header.Get("ETag") == tag || len(zipped.body) > len(a.body)/2 {
		t.Errorf("%d bytes became %d under the ETag %s", len(a.body), len(zipped.body), zipped.header.Get("ETag"))
	}
	head := s.ask("HEAD", manifestMPD, "Accept-Encoding", "identity")
	head.want(t, "HEAD", 200, "ETag", tag)
	s.publish(first + 2)
	after := s.ask("GET", manifestMPD, "Accept-Encoding", "identity", "If-None-Match", tag)
	after.want(t, "changed", 200)
	m, err := mpd.ReadFromString(after.body)
	if err != nil || len(m.Periods) != 1 || m.Periods[0].AdaptationSets[0].Representations[0].SegmentTemplate.SegmentTimeline.S[0].R != 2 {
		t.Errorf("the new segment is not listed (%v):\n%s", err, after.body)
	}
	s.nowMs.Add(400_000)
	s.ask("GET", manifestMPD).want(t, "while the publisher is away for minutes", 200)
	s.nowMs.Add(200_000)
	s.ask("GET", manifestMPD).want(t, "when HLS has no playlist either", 404)
}

func TestMPDWaitsForAllRenditions(t *testing.T) {
	s := newSite(t, nil)
	s.nowMs.Store(first*2000 + 2300)
	if err := s.store.Publish(cmaf.Segment{Rendition: "360p", Number: first, StartMs: first * 2000, DurationMs: 2000, Data: []byte("x"), Init: []byte("y")}, s.nowMs.Load()); err != nil {
		t.Fatal(err)
	}
	s.ask("GET", manifestMPD).want(t, "half of the ladder", 404)
}

// With low latency a segment is listed when its first part is out.
func TestTheMPDChangesWithTheFirstPartOfASegment(t *testing.T) {
	s := newSite(t, nil)
	s.publishParts(first, 0, 4)
	s.publish(first)
	tag := s.ask("GET", manifestMPD).header.Get("ETag")
	s.publishParts(first+1, 0, 1)
	a := s.ask("GET", manifestMPD, "If-None-Match", tag)
	a.want(t, "after the first part", 200)
	tag = a.header.Get("ETag")
	s.publishParts(first+1, 1, 3)
	s.ask("GET", manifestMPD, "If-None-Match", tag).want(t, "after two more", 304)
	s.publish(first + 1)
	m, err := mpd.ReadFromString(s.ask("GET", manifestMPD, "Accept-Encoding", "identity").body)
	if err != nil || m.Periods[0].AdaptationSets[0].Representations[0].SegmentTemplate.SegmentTimeline.S[0].R != 1 {
		t.Errorf("whole, it is listed once: %v, %+v", err, m)
	}
}

func TestMPDGivesWayToAnotherRegion(t *testing.T) {
	s := newSite(t, func(cfg *Config) { cfg.FailOver = health.Policy{StaleMs: health.StaleMs} })
	s.publish(first)
	s.ask("GET", manifestMPD).want(t, "while it is recent", 200)
	s.nowMs.Add(health.StaleMs + 1)
	a := s.ask("GET", manifestMPD)
	a.want(t, "when the next segment is late", 404)
	if !strings.Contains(a.body, "is not fit to be played from here") {
		t.Errorf("it says %s", a.body)
	}
	s.ask("GET", fmt.Sprintf("/live/demo/360p/%d.m4s", first)).want(t, "what was published", 200)
}

func TestTheClockThatTheMPDNames(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first)
	if text := s.ask("GET", manifestMPD, "Accept-Encoding", "identity").body; !strings.Contains(text, `<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-xsdate:2014" value="time">`) {
		t.Errorf("it names another clock:\n%s", text)
	}
	s.nowMs.Store(startMs + 1)
	a := s.ask("GET", "/live/demo/time")
	a.want(t, "time", 200, "Cache-Control", "public, max-age=1", "Access-Control-Allow-Origin", "*")
	if a.body != "2026-01-01T00:00:00.001Z" {
		t.Errorf("it is %s", a.body)
	}
	s.ask("GET", "/live/nope/time").want(t, "the clock of no channel", 404)
}

// A player gets from the MPD to bytes that are an MP4 file of one track.
func TestFromTheMPDToTracks(t *testing.T) {
	s := newSite(t, nil)
	segments := s.recorded()
	m, err := mpd.ReadFromString(s.ask("GET", manifestMPD, "Accept-Encoding", "identity").body)
	if err != nil {
		t.Fatal(err)
	}
	for i, mediaType := range []string{"video/mp4", "audio/mp4"} {
		template := m.Periods[0].AdaptationSets[i].Representations[0].SegmentTemplate
		kind := strings.TrimSuffix(mediaType, "/mp4")
		init := s.ask("GET", "/live/demo/"+template.Initialization)
		init.want(t, kind+" init", 200, "CMSD-Static", "ot=i,sf=d,st=l", "Content-Type", mediaType, "Cache-Control", "public, max-age=31536000, immutable", "Access-Control-Allow-Origin", "*")
		at := uint64(0)
		for n, element := range template.SegmentTimeline.S {
			if element.T != nil {
				at = *element.T
			}
			path := "/live/demo/" + strings.ReplaceAll(template.Media, "$Time$", fmt.Sprint(at))
			at += element.D
			a := s.ask("GET", path)
			a.want(t, kind, 200, "Content-Type", mediaType, "Cache-Control", "public, max-age=31536000, immutable", "Accept-Ranges", "bytes",
				"CMSD-Static", fmt.Sprintf("ot=%s,sf=d,st=l,d=%d,br=%.0f", kind[:1], element.D, float64(len(a.body)*8)/float64(element.D)),
				"Content-Length", fmt.Sprint(len(a.body)), "Access-Control-Allow-Origin", "*")
			file, err := mp4.DecodeFile(strings.NewReader(init.body + a.body))
			if err != nil || len(file.Init.Moov.Traks) != 1 || len(file.Segments) == 0 {
				t.Fatalf("%s of segment %d is no MP4 file of one track: %v", kind, n, err)
			}
			if len(a.body) >= len(segments[n].Data) {
				t.Errorf("%s of segment %d has %d bytes, both together %d", kind, n, len(a.body), len(segments[n].Data))
			}
			tag := a.header.Get("ETag")
			if other := s.ask("HEAD", strings.Replace(path, kind, map[string]string{"video": "audio", "audio": "video"}[kind], 1)).header.Get("ETag"); tag == other || tag == "" {
				t.Errorf("both tracks have the ETag %s", tag)
			}
			s.ask("GET", path, "If-None-Match", tag).want(t, "known already", 304)
			part := s.ask("GET", path, "Range", "bytes=100-699")
			part.want(t, "a range", 206, "Content-Range", fmt.Sprintf("bytes 100-699/%d", len(a.body)))
			if part.body != a.body[100:700] {
				t.Error("a range of other bytes")
			}
		}
	}
}

func TestTracksThatAreNotThere(t *testing.T) {
	s := newSite(t, nil)
	s.recorded()
	for path, says := range map[string]string{
		fmt.Sprintf("/live/demo/360p/text/%d.m4s", first*2000):    "is no track",
		fmt.Sprintf("/live/demo/360p/video/%d.m4s", first*2000+1): "no segment of \"360p\" in the time-shift window starts at",
		fmt.Sprintf("/live/demo/360p/video/%d.m4s", first):        "no segment of",
		fmt.Sprintf("/live/demo/360p/video/0%d.m4s", first*2000):  "is no segment",
		fmt.Sprintf("/live/demo/360p/video/%d.mp4", first*2000):   "is no segment",
		fmt.Sprintf("/live/demo/9p/video/%d.m4s", first*2000):     "no segment of",
		"/live/demo/360p/video/-2000.m4s":                         "is no segment",
		"/live/demo/360p/video/init-0000000000000000.mp4":         "no init section",
		"/live/demo/360p/text/init-0000000000000000.mp4":          "is no track",
		"/live/nope/360p/video/2000.m4s":                          "there is no channel",
	} {
		a := s.ask("GET", path)
		a.want(t, path, 404, "Cache-Control", "public, max-age=1", "Access-Control-Allow-Origin", "*")
		if !strings.Contains(a.body, says) {
			t.Errorf("%s: %q does not say %q", path, a.body, says)
		}
	}
}

func TestPiecesAreReadAsOne(t *testing.T) {
	slices := [][]byte{[]byte("one"), nil, []byte("two"), []byte("three")}
	whole := bytes.Join(slices, nil)
	if err := iotest.TestReader(&pieces{slices: slices}, whole); err != nil {
		t.Error(err)
	}
	p := &pieces{slices: slices}
	if _, err := p.Seek(-1, io.SeekStart); err == nil {
		t.Error("there is something before the first byte")
	}
	if n, err := p.Seek(100, io.SeekStart); n != 100 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := p.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v beyond the end", n, err)
	}
}
