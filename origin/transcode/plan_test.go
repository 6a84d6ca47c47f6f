package transcode

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"slipstream/origin/cmaf"
	"slipstream/origin/timeline"
)

func TestPlan(t *testing.T) {
	const boundaryMs = 1_763_785_212_000
	boundary := timeline.FromMs(boundaryMs)
	for _, c := range []struct {
		name          string
		first, start  timeline.Ticks
		offsetSeconds int64
		input         timeline.Ticks // where the run begins on the MPEG-TS clock
	}{
		{"on a boundary", boundary, boundary, boundaryMs/1000 - 10, 900_000},
		{"one frame after", boundary + 3000, boundary + 3000, boundaryMs/1000 - 10, 903_000},
		{"off the grid: the nearest", boundary + 4499, boundary + 3000, boundaryMs/1000 - 10, 903_000},
		{"off the grid, the other way", boundary + 4500, boundary + 6000, boundaryMs/1000 - 10, 906_000},
		{"just before a boundary", boundary - 1, boundary, boundaryMs/1000 - 10, 900_000},
		{"a frame before a boundary", boundary - 1501, boundary - 3000, boundaryMs/1000 - 12, 1_077_000},
	} {
		p, err := planFrom(c.first, 30)
		if err != nil || p.start != c.start || p.offsetMs != c.offsetSeconds*1000 || p.input(p.start) != c.input {
			t.Errorf("%s: %+v, input %d, %v; want start %d, offset %d s, input %d", c.name, p, p.input(p.start), err, c.start, c.offsetSeconds, c.input)
		}
	}
	for _, bad := range []struct {
		first timeline.Ticks
		rate  int
	}{{-90_000, 30}, {timeline.FromMs(timeline.MaxEpochMs) + 90_000, 30}, {boundary, 7}} {
		if p, err := planFrom(bad.first, bad.rate); err == nil {
			t.Errorf("a plan from %d at %d frames a second: %+v", bad.first, bad.rate, p)
		}
	}
}

func TestArgumentsWithAndWithoutSound(t *testing.T) {
	p, err := planFrom(timeline.FromMs(1_763_785_210_500), 30)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Join(arguments(DemonstrationLadder(), 30, p, true), " ")
	without := strings.Join(arguments(DemonstrationLadder(), 30, p, false), " ")
	for _, want := range []string{"pipe:0", "pipe:3", "pipe:4", "pad=640:360", "pad=320:180", "-output_ts_offset 1763785200 ", "gte(pts,945000)"} {
		if !strings.Contains(with, want) || !strings.Contains(without, want) {
			t.Errorf("the command line lacks %q", want)
		}
	}
	for _, want := range []string{"[0:a:0]", "-c:a aac", "first_pts=504000"} {
		if !strings.Contains(with, want) || strings.Contains(without, want) {
			t.Errorf("%q belongs to a command line with sound and to no other", want)
		}
	}
}

func TestCheckLadder(t *testing.T) {
	good := Rung{Name: "360p", Width: 640, Height: 360, VideoKbps: 800, AudioKbps: 96}
	with := func(change func(*Rung)) []Rung {
		r := good
		change(&r)
		return []Rung{r}
	}
	for _, c := range []struct {
		name   string
		ladder []Rung
		want   string
	}{
		{"the default", DefaultLadder(), ""},
		{"the demonstration's", DemonstrationLadder(), ""},
		{"sound beside a picture", []Rung{good, {Name: "audio", AudioKbps: 48}}, ""},
		{"sound alone", []Rung{{Name: "audio", AudioKbps: 48}}, "sound alone"},
		{"sound without a rate", []Rung{good, {Name: "audio"}}, "0 kb/s of sound"},
		{"the publisher's own name", with(func(r *Rung) { r.Name = "source" }), "as it comes"},
		{"none", nil, "0 rungs"},
		{"too many", slices.Repeat([]Rung{good}, 9), "9 rungs"},
		{"twice the same", []Rung{good, good}, `two rungs are called "360p"`},
		{"a name that is a path", with(func(r *Rung) { r.Name = "../x" }), "rung name"},
		{"no name", with(func(r *Rung) { r.Name = "" }), "rung name"},
		{"an odd width", with(func(r *Rung) { r.Width = 641 }), "641×360"},
		{"no height", with(func(r *Rung) { r.Height = 0 }), "640×0"},
		{"too wide", with(func(r *Rung) { r.Width = 8000 }), "8000×360"},
		{"no video rate", with(func(r *Rung) { r.VideoKbps = 0 }), "0 kb/s of video"},
		{"no sound rate", with(func(r *Rung) { r.AudioKbps = 0 }), "0 kb/s of sound"},
	} {
		err := CheckLadder(c.ladder)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Opus goes to ffmpeg as it is.
func TestMuxerWritesOpus(t *testing.T) {
	m := muxerFromZero(t, Config{Opus: true}.sound())
	var stream bytes.Buffer
	packets := [][]byte{{0xfc, 1, 2}, bytes.Repeat([]byte{0xfc}, 600)}
	for i, s := range []sample{
		{video: true, keyframe: true, data: [][]byte{{0x67, 0x42, 0xc0, 0x1e, 1}, {0x68, 1}, {0x65, 1, 2, 3}}},
		{data: packets[:1]}, {pts: 20 * time.Millisecond, data: packets[1:]},
	} {
		b, err := m.write(s)
		if err != nil || len(b) == 0 {
			t.Fatalf("sample %d: %d bytes, %v", i, len(b), err)
		}
		stream.Write(b)
	}
	reader := &mpegts.Reader{R: &stream}
	if err := reader.Initialize(); err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	var times []int64
	for _, track := range reader.Tracks() {
		if codec, ok := track.Codec.(*codecs.Opus); ok {
			if n := codec.Desc.ChannelCount(); n != 2 {
				t.Errorf("%d channels", n)
			}
			reader.OnDataOpus(track, func(pts int64, packets [][]byte) error {
				got, times = append(got, packets...), append(times, pts)
				return nil
			})
		}
	}
	var err error
	for err == nil {
		err = reader.Read()
	}
	if !slices.EqualFunc(got, packets, bytes.Equal) || len(times) != 2 || times[1]-times[0] != 1800 {
		t.Errorf("%x came back, at %d", got, times)
	}
}

// What the muxer writes, another reader reads back: the publisher's times on the plan's clock.
func TestMuxer(t *testing.T) {
	sound := &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2, ChannelCount: 2}
	const firstPTS = 70 * time.Millisecond
	anchor, err := timeline.NewAnchor(firstPTS, 1_763_785_210_500, 30)
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := anchor.Epoch(firstPTS)
	if err != nil {
		t.Fatal(err)
	}
	p, err := planFrom(epoch, 30)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMuxer(p, anchor, Config{Audio: sound}.sound())
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	write := func(s sample) (n int) {
		t.Helper()
		b, err := m.write(s)
		if err != nil {
			t.Fatal(err)
		}
		stream.Write(b)
		return len(b)
	}
	ms := time.Millisecond
	key := [][]byte{{0x67, 0x42, 0xc0, 0x1e, 1}, {0x68, 1}, {0x65, 1, 2, 3}}
	write(sample{video: true, keyframe: true, pts: firstPTS, dts: 3 * ms, data: key})
	write(sample{pts: 60 * ms, dts: 60 * ms, data: [][]byte{{1, 2, 3}}})
	write(sample{video: true, pts: 170 * ms, dts: 37 * ms, data: [][]byte{{0x41, 1}}})
	for name, s := range map[string]sample{
		"a picture whose decoding time stands still": {video: true, pts: 200 * ms, dts: 37 * ms, data: [][]byte{{0x41, 1}}},
		"sound from long before the first picture":   {pts: -200 * ms, dts: -200 * ms, data: [][]byte{{1}}},
		"a picture from before the clock":            {video: true, pts: -time.Minute, dts: -time.Minute, data: [][]byte{{0x41, 1}}},
		"a picture from beyond 33 bits":              {video: true, pts: 27 * time.Hour, dts: 27 * time.Hour, data: [][]byte{{0x41, 1}}},
	} {
		if n := write(s); n != 0 {
			t.Errorf("%s was written: %d bytes", name, n)
		}
	}

	reader := &mpegts.Reader{R: &stream}
	if err := reader.Initialize(); err != nil {
		t.Fatal(err)
	}
	var got [][2]int64
	for _, track := range reader.Tracks() {
		if track.Codec.IsVideo() {
			reader.OnDataH264(track, func(pts, dts int64, _ [][]byte) error {
				got = append(got, [2]int64{pts, dts})
				return nil
			})
		} else {
			reader.OnDataMPEG4Audio(track, func(pts int64, _ [][]byte) error {
				got = append(got, [2]int64{pts, pts})
				return nil
			})
		}
	}
	for reader.Read() == nil {
	}
	const first = 10*90_000 + 45_000 // 10 s, and half a second into the segment
	want := [][2]int64{{first, first - 67*90}, {first - 10*90, first - 10*90}, {first + 100*90, first - 33*90}}
	slices.SortFunc(got, func(a, b [2]int64) int { return int(a[1] - b[1]) })
	slices.SortFunc(want, func(a, b [2]int64) int { return int(a[1] - b[1]) })
	if !slices.Equal(got, want) {
		t.Errorf("read back as %v, want %v", got, want)
	}
}

func TestNumbersNeverRepeatOrGoBack(t *testing.T) {
	var got []string
	deliver := func(kind string, s cmaf.Segment) {
		if s.Discontinuity {
			kind = "|" + kind
		}
		got = append(got, fmt.Sprintf("%s %s %d", kind, s.Rendition, s.Number))
	}
	o := newOutput(Config{
		Channel: "demo", Ladder: DemonstrationLadder(), After: 100, Logger: discard,
		OnSegment: func(channel string, s cmaf.Segment) {
			if channel != "demo" {
				t.Errorf("the channel is %q", channel)
			}
			deliver("segment", s)
		},
		OnPart: func(_ string, p cmaf.Part) { deliver("part", p.Segment) },
	})
	emit := func(rendition string, numbers ...int64) {
		for i, n := range numbers {
			s := cmaf.Segment{Rendition: rendition, Number: n, Discontinuity: i == 0}
			o.emit([]cmaf.Output{{Part: &cmaf.Part{Segment: s}}, {Segment: &s}})
		}
	}
	o.runStarts(nil, 0)
	emit("360p", 100, 101, 102) // 100 was published by whoever ran before
	emit("180p", 101)
	o.runStarts(nil, 0) // ffmpeg died: the next run begins inside of 102
	emit("360p", 102, 103)
	o.emit([]cmaf.Output{{Part: &cmaf.Part{Segment: cmaf.Segment{Rendition: "360p", Number: 104}}}})
	o.runStarts(nil, 0) // it died in the midst of 104, whose first part is out
	emit("360p", 104, 105)
	want := []string{
		"|part 360p 101", "|segment 360p 101", "part 360p 102", "segment 360p 102", "|part 180p 101", "|segment 180p 101",
		"|part 360p 103", "|segment 360p 103", "part 360p 104", "|part 360p 105", "|segment 360p 105",
	}
	if !slices.Equal(got, want) {
		t.Errorf("delivered\n\t%v\nwant\n\t%v", got, want)
	}
}

func TestStall(t *testing.T) {
	p := stall{most: 10 * time.Second}
	for _, c := range []struct {
		pts   time.Duration
		count int64
		want  bool
	}{
		{9 * time.Second, 0, false},
		{10 * time.Second, 1, false}, // a segment came
		{20 * time.Second, 1, false},
		{20*time.Second + 1, 1, true},
	} {
		if got := p.lasts(c.pts, c.count); got != c.want {
			t.Errorf("at %v with %d segments: %v", c.pts, c.count, got)
		}
	}
}

// muxerFromZero is a muxer for a publisher whose clock begins at 0.
func muxerFromZero(t *testing.T, sound codecs.Codec) *muxer {
	t.Helper()
	anchor, err := timeline.NewAnchor(0, 1_763_785_210_500, 30)
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := anchor.Epoch(0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := planFrom(epoch, 30)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMuxer(p, anchor, sound)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The packet of a picture says how long it is, so that whoever reads it need not wait for the next one. One that is too long cannot.
func TestPicturesSayHowLongTheyAre(t *testing.T) {
	m := muxerFromZero(t, nil)
	for i, size := range []int{2, 100, 183, 184, 185, 1000, 65_000, 66_000, 300_000} {
		at := time.Duration(i) * 40 * time.Millisecond
		b, err := m.write(sample{video: true, keyframe: i%2 == 0, pts: at + 40*time.Millisecond, dts: at, data: [][]byte{append([]byte{0x41}, bytes.Repeat([]byte{7}, size-1)...)}})
		if err != nil {
			t.Fatal(err)
		}
		var pes []byte
		for ; len(b) > 0; b = b[188:] {
			if int(b[1]&0x1f)<<8|int(b[2]) != int(m.video.PID) {
				continue
			}
			from := 4
			if b[3]&0x20 != 0 { // an adaptation field
				from += 1 + int(b[4])
			}
			pes = append(pes, b[from:188]...)
		}
		want := len(pes) - 6
		if want > 65_535 {
			want = 0
		}
		if len(pes) <= size || int(pes[4])<<8|int(pes[5]) != want {
			t.Errorf("a picture of %d bytes in a packet of %d says %x", size, len(pes), pes[4:6])
		}
	}
}
