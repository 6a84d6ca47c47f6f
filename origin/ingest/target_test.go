package ingest

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"slipstream/origin/cmaf"
)

func TestWhatAPathIsAbout(t *testing.T) {
	for _, c := range []struct {
		path, contentType        string
		folder, track, rendition string
		manifest                 bool
		status                   int
	}{
		{path: "live.mp4", track: "live", rendition: "live"},
		{path: "360p.mp4", contentType: "video/mp4", track: "360p", rendition: "360p"},
		{path: "cam-2.mp4", track: "cam-2", rendition: "cam-2"},
		{path: "live", contentType: "video/mp4; codecs=avc1", track: "live", rendition: "live"},
		{path: "Streams(360p.cmfv)", track: "360p", rendition: "360p"},
		{path: "event/Streams(360p.cmfv)", folder: "event", track: "360p", rendition: "360p"},
		{path: "360p/881892606.m4s", folder: "360p", rendition: "360p"},
		{path: "360p/init.m4s", folder: "360p", rendition: "360p"},
		{path: "init-stream0.m4s", track: "stream0", rendition: "init-stream0"},
		{path: "chunk-stream0-00017.m4s", track: "stream0", rendition: "chunk-stream0-00017"},
		{path: "init.mp4", rendition: "init"},
		{path: "live17.m4s", track: "live", rendition: "live17"},
		{path: "a/b/init_1.mp4", folder: "a/b", track: "1", rendition: "init_1"},
		{path: "a/b/v1_17.m4s", folder: "a/b", track: "v1", rendition: "v1_17"},
		{path: "live.mpd", track: "live", rendition: "live", manifest: true},
		{path: "live.M3U8", contentType: "application/x-mpegURL", track: "live", rendition: "live", manifest: true},
		{path: "", status: http.StatusNotFound},
		{path: "a/", status: http.StatusNotFound},
		{path: "a/../b.mp4", status: http.StatusNotFound},
		{path: "live.ts", status: http.StatusUnsupportedMediaType},
		{path: "subtitles.vtt", status: http.StatusUnsupportedMediaType},
		{path: "live.mp4", contentType: "video/mp2t", status: http.StatusUnsupportedMediaType},
		{path: "live.mp4", contentType: "text;", status: http.StatusUnsupportedMediaType},
	} {
		got, err := readTarget(c.path, c.contentType)
		var refused *answerError
		switch {
		case c.status != 0:
			if !errors.As(err, &refused) || refused.status != c.status {
				t.Errorf("%q: %v, want %d", c.path, err, c.status)
			}
		case err != nil || got != target{c.manifest, c.folder, c.track, c.rendition}:
			t.Errorf("%q is %+v, %v; want %+v", c.path, got, err, c)
		}
	}
}

func TestWhoseInitSectionASegmentNeeds(t *testing.T) {
	read := func(path string) target {
		got, err := readTarget(path, "")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, c := range []struct{ segment, found string }{
		{"chunk-stream1-00001.m4s", "init-stream1.m4s"},
		{"one/live3.m4s", "one/init.mp4"},
		{"two/v0_12.m4s", "two/init_0.mp4"},
		{"two/v1_12.m4s", "two/init_1.mp4"},
		{"two/w_12.m4s", ""},
		{"three/live3.m4s", ""},
		{"four/chunk-stream1-00001.m4s", ""}, // whose own is on its way
		{"four/00001.m4s", "four/init-stream0.m4s"},
	} {
		ready := []target{read("init-stream0.m4s"), read("init-stream1.m4s"), read("one/init.mp4"), read("two/init_0.mp4"), read("two/init_1.mp4"), read("four/init-stream0.m4s")}
		got, err := initOf(read(c.segment), ready)
		var refused *answerError
		switch {
		case c.found == "":
			if !errors.As(err, &refused) || refused.status != http.StatusPreconditionFailed {
				t.Errorf("%s: %v, %v; want 412", c.segment, got, err)
			}
		case err != nil || got != read(c.found):
			t.Errorf("%s: %v, %v; want %s", c.segment, got, err, c.found)
		}
	}
}

func FuzzTarget(f *testing.F) {
	f.Add("chunk-stream0-00017.m4s", "video/mp4")
	f.Add("a/Streams(360p.cmfv)", "")
	f.Fuzz(func(t *testing.T, path, contentType string) {
		got, err := readTarget(path, contentType)
		var refused *answerError
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("%q: %v has no status", path, err)
		}
		if err == nil && (len(got.track) > maxTrackName || got.rendition == "") {
			t.Fatalf("%q: %+v", path, got)
		}
	})
}

// at is a sample at so many milliseconds.
func at(kind cmaf.Kind, ms int) cmaf.AccessUnit {
	return cmaf.AccessUnit{Kind: kind, DTS: time.Duration(ms) * time.Millisecond, Data: []byte{1}}
}

func TestPictureAndSoundAreInterleaved(t *testing.T) {
	const v, a = cmaf.Video, cmaf.Audio
	for _, c := range []struct {
		name   string
		expect []cmaf.Kind
		in     []cmaf.AccessUnit
		want   []int // milliseconds
	}{
		{"a picture waits for sound that may come", []cmaf.Kind{v}, []cmaf.AccessUnit{at(v, 0), at(v, 960)}, nil},
		{"but not for long, and only once", []cmaf.Kind{v}, []cmaf.AccessUnit{at(v, 0), at(v, 960), at(v, 1000), at(v, 1040)}, []int{0, 960, 1000, 1040}},
		{"and takes it when it does", []cmaf.Kind{v}, []cmaf.AccessUnit{at(v, 0), at(v, 40), at(a, 10), at(v, 80)}, []int{0, 10}},
		{"a picture waits for its sound", []cmaf.Kind{v, a}, []cmaf.AccessUnit{at(v, 0), at(v, 40), at(a, 10), at(a, 30), at(a, 50)}, []int{0, 10, 30, 40}},
		{"a segment of sound after that of the picture", []cmaf.Kind{v, a}, []cmaf.AccessUnit{at(v, 0), at(v, 1000), at(v, 2000), at(a, 0), at(a, 1000), at(a, 2000)}, []int{0, 0, 1000, 1000, 2000}},
		{"sound that never comes is given up", []cmaf.Kind{v, a}, []cmaf.AccessUnit{at(v, 0), at(v, 6000), at(v, 12000), at(v, 13000), at(v, 18000)}, []int{0, 6000}},
		{"the encoder begins anew", []cmaf.Kind{v, a}, []cmaf.AccessUnit{at(v, 50_000), at(v, 50_040), at(v, 0), at(a, 0), at(a, 50)}, []int{50_000, 50_040, 0}},
	} {
		var i interleaver
		for _, kind := range c.expect {
			i.expect(kind)
		}
		var got []int
		for _, s := range c.in {
			for _, ready := range i.put(s) {
				got = append(got, int(ready.DTS.Milliseconds()))
			}
		}
		rest := len(i.flush())
		if len(got)+rest != len(c.in) || i.bytes != 0 {
			t.Errorf("%s: %d of %d samples came out, %d bytes are left", c.name, len(got)+rest, len(c.in), i.bytes)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
			continue
		}
		for n := range got {
			if got[n] != c.want[n] {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
				break
			}
		}
	}
}
