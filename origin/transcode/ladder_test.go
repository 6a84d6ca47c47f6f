package transcode

import (
	"slices"
	"strings"
	"testing"
	"time"

	"slipstream/origin/timeline"
)

func TestParseRung(t *testing.T) {
	for text, want := range map[string]Rung{
		"360p:640x360:800:96": {Name: "360p", Width: 640, Height: 360, VideoKbps: 800, AudioKbps: 96},
		"audio:64":            {Name: "audio", AudioKbps: 64},
	} {
		if got, err := ParseRung(text); err != nil || got != want {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "big", "x:320x180", "x:320x180:500", "x:axb:1:2", "audio:", "audio:64k"} {
		if r, err := ParseRung(text); err == nil || !strings.Contains(err.Error(), "is not like 360p:640x360:800:96") {
			t.Errorf("%q is read as %+v, %v", text, r, err)
		}
	}
}

func TestWhatASourceIsMadeInto(t *testing.T) {
	audio := Rung{Name: "audio", AudioKbps: 48}
	full := append(DefaultLadder(), audio)
	size := func(w, h int) source { return source{width: w, height: h} }
	for _, c := range []struct {
		name  string
		from  source
		sound bool
		want  string
	}{
		{"as large as the ladder", size(1920, 1080), true, "1080p 720p 480p 360p audio"},
		{"larger", size(3840, 2160), true, "1080p 720p 480p 360p audio"},
		{"smaller", size(1280, 720), true, "720p 480p 360p audio"},
		{"between rungs", size(1600, 900), true, "720p 480p 360p audio"},
		{"without sound", size(1280, 720), false, "720p 480p 360p"},
		{"wide: as wide as a rung that has bars then", size(1920, 800), true, "1080p 720p 480p 360p audio"},
		{"a portrait: as high as a rung that has bars then", size(608, 1080), true, "1080p 720p 480p 360p audio"},
		{"smaller than all: the smallest stays", size(320, 180), true, "360p audio"},
		{"of a size that nobody knows", source{}, true, "1080p 720p 480p 360p audio"},
	} {
		if got := strings.Join(names(ladderFor(full, c.from, c.sound)), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		from source
		left int
		want string
	}{
		{size(1920, 1080), 0, "source 720p 480p 360p audio"},
		{size(1600, 900), 0, "source 720p 480p 360p audio"},
		{size(640, 360), 0, "source audio"},
		{size(1920, 1080), 1, "source 480p 360p audio"},
		{size(1920, 1080), 9, "source audio"},
	} {
		ladder, _ := without(passThrough(ladderFor(full, c.from, true), c.from), c.left)
		if got := strings.Join(names(ladder), " "); got != c.want {
			t.Errorf("passed through from %dx%d without %d: %s, want %s", c.from.width, c.from.height, c.left, got, c.want)
		}
	}
	rest, left := without(full, 9)
	if got := strings.Join(names(rest), " "); got != "360p audio" || left != 3 {
		t.Errorf("of nine that should go %d went, and %s stayed", left, got)
	}
	if !slices.Equal(full, append(DefaultLadder(), audio)) {
		t.Error("the ladder itself was changed")
	}
}

// The parameter sets of x264 for 1280x720, Main, level 3.1.
var mainSPS = []byte{0x67, 0x4d, 0x40, 0x1f, 0xec, 0xa0, 0x28, 0x02, 0xdd, 0x80, 0xb5, 0x01, 0x01, 0x01, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f, 0x23, 0xc6, 0x0c, 0x65, 0x80}

func TestWhatCanBePassedThrough(t *testing.T) {
	from := sourceOf([][]byte{{0x06, 1}, mainSPS, {0x68, 1}, {0x65, 1}})
	if from.width != 1280 || from.height != 720 {
		t.Fatalf("the size is %dx%d", from.width, from.height)
	}
	changed := from
	changed.parameters = []byte("another")
	if got := from.fault(changed); got != another {
		t.Errorf("another picture: %q", got)
	}
	if s := sourceOf([][]byte{{0x67, 1, 2}, {}, {0x65}}); s.width != 0 {
		t.Errorf("nonsense has the width %d", s.width)
	}
	for _, c := range []struct {
		name   string
		change func(*source)
		want   string
	}{
		{"what x264 makes", func(*source) {}, ""},
		{"nothing is known of it", func(s *source) { *s = source{parameters: s.parameters} }, "not understood"},
		{"4:2:2", func(s *source) { s.sps.ProfileIdc = 122 }, "profile 122"},
		{"interlaced", func(s *source) { s.sps.FrameMbsOnlyFlag = false }, "interlaced"},
		{"huge", func(s *source) { s.width = 7680 }, "7680×720"},
	} {
		s := from
		c.change(&s)
		if got := s.fault(from); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestKeyFramesMustLieWhereSegmentsBegin(t *testing.T) {
	anchor, err := timeline.NewAnchor(5*time.Second, 1_763_785_210_000, 30)
	if err != nil {
		t.Fatal(err)
	}
	const ms = time.Millisecond
	type picture struct {
		at  time.Duration
		key bool
	}
	for _, c := range []struct {
		name     string
		pictures []picture
		want     string
		moved    time.Duration // where the last one was put
	}{
		{"every two seconds", []picture{{5000 * ms, true}, {6967 * ms, false}, {7000 * ms, true}}, "", 7000 * ms},
		{"every second", []picture{{5000 * ms, true}, {6000 * ms, true}, {7000 * ms, true}}, "", 7000 * ms},
		{"a little late", []picture{{5000 * ms, true}, {6970 * ms, false}, {7003 * ms, true}}, "", 7000 * ms},
		{"a little early", []picture{{5000 * ms, true}, {6960 * ms, false}, {6997 * ms, true}, {7033 * ms, false}}, "", 7033 * ms},
		{"much too late", []picture{{5000 * ms, true}, {6990 * ms, false}, {7020 * ms, true}}, noKeyframe, 0},
		{"every four seconds", []picture{{5000 * ms, true}, {6967 * ms, false}, {7000 * ms, false}}, noKeyframe, 0},
		{"from the midst of a segment on", []picture{{6000 * ms, true}, {6967 * ms, false}, {7000 * ms, true}}, "", 7000 * ms},
		{"a hole over a boundary", []picture{{5000 * ms, true}, {7500 * ms, true}}, noKeyframe, 0},
		{"a hole of a whole segment", []picture{{5000 * ms, true}, {9000 * ms, true}}, "", 9000 * ms},
	} {
		var a alignment
		var fault string
		m := sample{}
		for _, p := range c.pictures {
			if m = (sample{video: true, keyframe: p.key, pts: p.at, dts: p.at}); fault == "" {
				fault = a.check(&m, anchor)
			}
		}
		if fault != c.want || fault == "" && (m.pts != c.moved || m.dts != m.pts) {
			t.Errorf("%s: %q, the last one at %v; want %q, %v", c.name, fault, m.pts, c.want, c.moved)
		}
	}
	var other alignment
	same, news := [][]byte{mainSPS, {0x68, 1}, {0x65}}, [][]byte{mainSPS, {0x68, 2}, {0x65}}
	for i, want := range []string{"", "", another} {
		m := sample{video: true, keyframe: true, pts: 5000*ms + time.Duration(i)*2000*ms, data: [][][]byte{same, same, news}[i]}
		m.dts = m.pts
		if got := other.check(&m, anchor); got != want {
			t.Errorf("key frame %d: %q, want %q", i, got, want)
		}
	}
	// With B-frames what is sent after a key frame is decoded before it is shown; the delay stays what it was.
	var a alignment
	for _, p := range []struct {
		pts, dts, wantDTS time.Duration
		key               bool
	}{{5067 * ms, 5000 * ms, 5000 * ms, true}, {5167 * ms, 5033 * ms, 5033 * ms, false}, {5100 * ms, 5067 * ms, 5067 * ms, false}, {7067 * ms, 7001 * ms, 7000 * ms, true}} {
		anchor, err := timeline.NewAnchor(5067*ms, 1_763_785_210_000, 30)
		if err != nil {
			t.Fatal(err)
		}
		m := sample{video: true, keyframe: p.key, pts: p.pts, dts: p.dts}
		if fault := a.check(&m, anchor); fault != "" || m.pts != p.pts || m.dts != p.wantDTS {
			t.Errorf("a picture at %v, decoded at %v: %q, %v, %v", p.pts, p.dts, fault, m.pts, m.dts)
		}
	}
}

func TestAGroupIsWhatCameSinceTheKeyFrame(t *testing.T) {
	var g group
	add := func(n int, key bool, size int) {
		for range n {
			g.add(sample{keyframe: key, size: size})
		}
	}
	add(3, false, 1)
	if len(g.samples) != 0 {
		t.Error("it begins without a key frame")
	}
	add(1, true, 10)
	add(4, false, 1)
	if len(g.samples) != 5 || g.bytes != 14 || !g.samples[0].keyframe {
		t.Errorf("%d samples, %d bytes", len(g.samples), g.bytes)
	}
	held := g.samples
	add(1, true, 10)
	if len(g.samples) != 1 || len(held) != 5 || !held[0].keyframe || held[1].keyframe {
		t.Error("another group writes over the one before")
	}
	add(queueSamples, false, 1)
	if len(g.samples) != 0 {
		t.Error("it has no bound in samples")
	}
	add(1, true, 10)
	add(2, false, queueBytes/2)
	if len(g.samples) != 0 {
		t.Error("it has no bound in bytes")
	}
}
