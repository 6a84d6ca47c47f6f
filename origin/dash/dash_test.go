package dash

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/dash-mpd/mpd"
	"pgregory.net/rapid"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden MPD anew; commit only changes that you understand")

const (
	nowMs = int64(1_767_225_600_000)
	first = nowMs/2000 - 8
)

const codecs = "avc1.4d401e,mp4a.40.2"

// entry is a segment that begins phaseMs into its number.
func entry(number, phaseMs, durationMs int64, init byte) hls.Entry {
	startMs := number*2000 + phaseMs
	return hls.Entry{
		Number: number, Codecs: codecs, Init: manifest.Record{Root: manifest.Hash{init}},
		Record: manifest.Record{Sequence: number, StartMs: startMs, DurationMs: durationMs, CreatedMs: startMs + durationMs + 100},
	}
}

// again is the first segment of a new run of the encoder.
func again(e hls.Entry) hls.Entry {
	e.Discontinuity = true
	return e
}

func gap(number int64) hls.Entry { return hls.Entry{Number: number, Gap: true} }

// window has all that can happen: a publication that ends within a segment, a hole, a return with the same encoder's
// settings, another return with other ones.
func window() []hls.Entry {
	return []hls.Entry{
		entry(first, 0, 2000, 1), entry(first+1, 0, 2000, 1), entry(first+2, 0, 1033, 1),
		gap(first + 3),
		again(entry(first+4, 467, 1533, 1)), entry(first+5, 0, 2000, 1),
		again(entry(first+6, 0, 2000, 2)), entry(first+7, 0, 2000, 2),
	}
}

func channel(entries []hls.Entry, sinceMs int64) Channel {
	rendition := func(name string, width, height int, bps int64) Rendition {
		return Rendition{
			Rendition: hls.Rendition{Name: name, Codecs: codecs, Width: width, Height: height, FrameRate: 30, FloorBps: bps},
			AudioBps:  105_600, View: hls.View{Rendition: name, Entries: entries, SinceMs: sinceMs},
		}
	}
	return Channel{WindowMs: 60_000, Renditions: []Rendition{rendition("180p", 320, 180, 380_600), rendition("360p", 640, 360, 985_600)}}
}

func render(t testing.TB, c Channel) (string, *mpd.MPD) {
	t.Helper()
	text, err := MPD(c, nowMs)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mpd.ReadFromString(text)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return text, m
}

func TestMPD(t *testing.T) {
	text, m := render(t, channel(window(), (first-100)*2000))
	path := "testdata/manifest.mpd"
	if *rewrite {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s has changed; it reads now:\n%s", path, text)
	}
	start, err := m.AvailabilityStartTime.ConvertToSeconds()
	if err != nil || start != 0 || m.GetType() != mpd.DYNAMIC_TYPE || len(m.Periods) != 3 {
		t.Errorf("%s from %v (%v), %d periods", m.GetType(), start, err, len(m.Periods))
	}
	published, err := m.PublishTime.ConvertToSeconds()
	if err != nil || int64(published*1000+0.5) != (first+8)*2000+100 {
		t.Errorf("published at %v, %v", published, err)
	}
	for _, p := range m.Periods {
		if n := len(p.AdaptationSets[0].Representations); n != 2 || len(p.AdaptationSets[1].Representations) != 1 {
			t.Errorf("%d pictures and %d sounds", n, len(p.AdaptationSets[1].Representations))
		}
		if best := p.AdaptationSets[0].Representations[0]; best.Id != "360p" || best.Bandwidth != 880_000 || best.Width != 640 || best.Height != 360 {
			t.Errorf("the best is said to be %+v", best)
		}
	}
}

// heard is one segment of a representation, as a player understands the MPD.
type heard struct {
	init, uri           string
	startMs, durationMs int64
}

// listen does what a player does: it expands the timelines. Times are those of the presentation, which are the epoch's.
// periods are the ids of the Periods that addresses belong to.
func listen(t testing.TB, m *mpd.MPD) (tracks map[string][]heard, periods map[string]string) {
	tracks, periods = make(map[string][]heard), make(map[string]string)
	for _, p := range m.Periods {
		startMs := startOf(p)
		for _, set := range p.AdaptationSets {
			for _, r := range set.Representations {
				template := r.SegmentTemplate
				if template.GetTimescale() != 1000 {
					t.Fatalf("%d ticks a second", template.GetTimescale())
				}
				at := uint64(0)
				for _, s := range template.SegmentTimeline.S {
					if s.T != nil {
						at = *s.T
					}
					for range s.R + 1 {
						segment := heard{
							init: template.Initialization, uri: strings.ReplaceAll(template.Media, "$Time$", strconv.FormatUint(at, 10)),
							startMs: startMs + int64(at) - int64(*template.PresentationTimeOffset), durationMs: int64(s.D),
						}
						tracks[r.Id] = append(tracks[r.Id], segment)
						periods[segment.uri] = p.Id
						at += s.D
					}
				}
			}
		}
	}
	return tracks, periods
}

// expected is what should be heard of a rendition's track.
func expected(folder string, entries []hls.Entry) (out []heard) {
	for _, e := range entries {
		if !e.Gap {
			out = append(out, heard{
				init: folder + hls.InitURI(e.Init.Root), uri: fmt.Sprintf("%s%d.m4s", folder, e.Record.StartMs),
				startMs: e.Record.StartMs, durationMs: e.Record.DurationMs,
			})
		}
	}
	return out
}

// Whatever the window, exactly what the store has is listed, at its time, and Periods keep their start while it slides.
func TestWhatIsListedIsWhatThereIs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var all []hls.Entry
		number, init := first, byte(1)
		for range rapid.IntRange(1, 40).Draw(rt, "segments") {
			phase, lasts := int64(0), int64(2000)
			switch rapid.SampledFrom([]string{"next", "next", "next", "next", "late", "short", "hole", "encoder"}).Draw(rt, "what") {
			case "late":
				phase = rapid.Int64Range(1, 1999).Draw(rt, "phase")
				lasts -= phase
			case "short":
				lasts = rapid.Int64Range(1, 1999).Draw(rt, "lasts")
			case "hole":
				if len(all) > 0 {
					for range rapid.IntRange(1, 5).Draw(rt, "hole") {
						all = append(all, gap(number))
						number++
					}
				}
			case "encoder":
				init = byte(rapid.IntRange(1, 3).Draw(rt, "init"))
			}
			next := entry(number, phase, lasts, init)
			if n := len(all); n > 0 && (all[n-1].Gap || all[n-1].Init.Root != next.Init.Root) || rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				next = again(next)
			}
			all = append(all, next)
			number++
		}
		homes := make(map[string]string)
		since := all[0].Record.StartMs
		for from := range all {
			if all[from].Gap { // a window never begins with one
				continue
			}
			if last := before(all, from); all[from].Discontinuity || last.Record.StartMs+last.Record.DurationMs != all[from].Record.StartMs {
				since = all[from].Record.StartMs
			}
			c := channel(all[from:], since)
			c.Renditions[0].View.Entries = all[from:max(from+1, lastButOne(all))] // the other rendition may be a segment behind
			_, m := render(t, c)
			got, periods := listen(t, m)
			for track, want := range map[string][]heard{
				"360p": expected("360p/video/", all[from:]), "360p-audio": expected("360p/audio/", all[from:]),
				"180p": expected("180p/video/", c.Renditions[0].View.Entries),
			} {
				if !slices.Equal(got[track], want) {
					rt.Fatalf("%s is heard as\n%v, want\n%v", track, got[track], want)
				}
			}
			last := int64(-1)
			for _, p := range m.Periods {
				startMs := startOf(p)
				if startMs <= last || p.Id != strconv.FormatInt(startMs, 10) {
					rt.Fatalf("the Period %s begins at %d after one at %d", p.Id, startMs, last)
				}
				last = startMs
			}
			for uri, id := range periods {
				if home, ok := homes[uri]; ok && home != id {
					rt.Fatalf("%s moves from the Period %s to %s", uri, home, id)
				}
				homes[uri] = id
			}
		}
	})
}

// before is the segment before all[i], if there is one.
func before(all []hls.Entry, i int) hls.Entry {
	for i--; i >= 0; i-- {
		if !all[i].Gap {
			return all[i]
		}
	}
	return hls.Entry{}
}

// lastButOne is how many entries remain without the last segment, and the gap before it.
func lastButOne(all []hls.Entry) int {
	n := len(all) - 1
	for n > 0 && all[n-1].Gap {
		n--
	}
	return n
}

// inParts is a channel whose next segment has begun.
func inParts(open hls.Entry, parts int) Channel {
	c := channel(window(), 0)
	for i := range c.Renditions {
		v, open := &c.Renditions[i].View, open
		v.PartTargetMs, v.Open = 500, &open
		for n := range int64(parts) {
			startMs := open.Record.StartMs + n*500
			v.Open.Parts = append(v.Open.Parts, hls.Part{Record: manifest.Record{StartMs: startMs, DurationMs: 500, CreatedMs: startMs + 600}})
		}
	}
	return c
}

// begun is a segment of which only parts are known.
func begun(number, phaseMs int64, init byte) hls.Entry {
	e := entry(number, phaseMs, 0, init)
	e.Codecs = ""
	return e
}

func TestASegmentIsListedWhileItIsMade(t *testing.T) {
	text, m := render(t, inParts(begun(first+8, 0, 2), 1))
	tracks, _ := listen(t, m)
	whole := entry(first+8, 0, 2000, 2)
	for track, folder := range map[string]string{"360p": "360p/video/", "180p": "180p/video/", "360p-audio": "360p/audio/"} {
		if want := expected(folder, append(window(), whole)); !slices.Equal(tracks[track], want) {
			t.Errorf("%s is heard as %v, want %v", track, tracks[track], want)
		}
	}
	if further, _ := render(t, inParts(begun(first+8, 0, 2), 3)); further != text {
		t.Errorf("with each part it changes, and players would read it again:\n%s", further)
	}
	for _, set := range m.Periods[2].AdaptationSets {
		template := set.Representations[0].SegmentTemplate
		if template.AvailabilityTimeOffset != 1.5 || template.AvailabilityTimeComplete == nil || *template.AvailabilityTimeComplete {
			t.Errorf("available %v s early, complete %v", template.AvailabilityTimeOffset, template.AvailabilityTimeComplete)
		}
		at := set.ProducerReferenceTimes[0]
		if clock, err := time.Parse(time.RFC3339, at.WallClockTime); err != nil || uint64(clock.UnixMilli()) != at.PresentationTime {
			t.Errorf("%d is %s: %v", at.PresentationTime, at.WallClockTime, err)
		}
	}
	latency := m.ServiceDescription[0].Latencies[0]
	if *latency.Target != 2500 || *latency.Min > *latency.Target || *latency.Max < *latency.Target || m.MinimumUpdatePeriod.String() != "PT0.5S" {
		t.Errorf("%+v, read again after %s", latency, m.MinimumUpdatePeriod)
	}
	published, err := m.PublishTime.ConvertToSeconds()
	if err != nil || int64(published*1000+0.5) != (first+8)*2000+600 {
		t.Errorf("published at %v, %v", published, err)
	}
}

func TestASegmentThatBeginsAPeriodIsListedWhole(t *testing.T) {
	for name, open := range map[string]hls.Entry{
		"another encoder": begun(first+8, 0, 3), "a restart": again(begun(first+8, 0, 2)), "a hole": begun(first+9, 0, 2), "begins late": begun(first+8, 300, 2),
	} {
		_, m := render(t, inParts(open, 2))
		if tracks, _ := listen(t, m); !slices.Equal(tracks["360p"], expected("360p/video/", window())) {
			t.Errorf("%s: heard as %v", name, tracks["360p"])
		}
	}
}

func TestSoundIsListedOnceForEachBitrate(t *testing.T) {
	c := channel(window(), 0)
	c.Renditions[0].AudioBps = 0
	c.Renditions[0].View.Entries = window()[:6]
	_, m := render(t, c)
	for i, want := range []string{"[360p-audio:105600 180p-audio:128000]", "[360p-audio:105600 180p-audio:128000]", "[360p-audio:105600]"} {
		var got []string
		for _, r := range m.Periods[i].AdaptationSets[1].Representations {
			got = append(got, fmt.Sprintf("%s:%d", r.Id, r.Bandwidth))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("Period %d has the sound %v, want %s", i, got, want)
		}
	}
}

func TestWithoutSoundThereIsNoSoundTrack(t *testing.T) {
	entries := window()
	for i := range entries {
		if entries[i].Number < first+6 {
			entries[i].Codecs = "avc1.4d401e"
		}
	}
	_, m := render(t, channel(entries, 0))
	if len(m.Periods[1].AdaptationSets) != 1 || len(m.Periods[2].AdaptationSets) != 2 {
		t.Errorf("%d and %d adaptation sets: only the last encoder had sound", len(m.Periods[1].AdaptationSets), len(m.Periods[2].AdaptationSets))
	}
}

// When only one rendition has a new init section the others are cut there too, and nothing is lost.
func TestOneRenditionMayChangeAlone(t *testing.T) {
	c := channel(window(), 0)
	one := slices.Clone(c.Renditions[0].View.Entries)
	for i := range one {
		one[i].Init.Root, one[i].Discontinuity = manifest.Hash{1}, one[i].Discontinuity && one[i].Number < first+6
	}
	c.Renditions[0].View.Entries = one
	_, m := render(t, c)
	if tracks, _ := listen(t, m); len(m.Periods) != 3 || !slices.Equal(tracks["180p"], expected("180p/video/", one)) {
		t.Errorf("%d periods, 180p is heard as %v", len(m.Periods), tracks["180p"])
	}
}

func TestOffAir(t *testing.T) {
	c := channel(window(), 0)
	newest := c.Renditions[0].View.Entries[7].Record.CreatedMs
	if _, err := MPD(c, newest+hls.OffAirMs); err != nil {
		t.Errorf("a publisher may be away for minutes: %v", err)
	}
	if _, err := MPD(c, newest+hls.OffAirMs+1); !errors.Is(err, hls.ErrOffAir) {
		t.Errorf("HLS is off the air by now: %v", err)
	}
	c.Renditions[1].View.Entries = nil
	if _, err := MPD(c, nowMs); !errors.Is(err, hls.ErrOffAir) {
		t.Errorf("half of the ladder: %v", err)
	}
	if _, err := MPD(Channel{}, nowMs); !errors.Is(err, hls.ErrOffAir) {
		t.Errorf("no rendition: %v", err)
	}
}

func TestFrameRate(t *testing.T) {
	for fps, want := range map[float64]string{30: "30", 25.0001: "25", 29.97002997: "30000/1001", 23.976: "24000/1001", 12.5: "12500/1000", 0: "", -1: "", 1e9: ""} {
		if got := frameRate(fps); string(got) != want {
			t.Errorf("%v: %q, want %q", fps, got, want)
		}
	}
}

// startOf rounds, because the library reads seconds as binary fractions and cuts them off.
func startOf(p *mpd.Period) int64 { return (int64(*p.Start) + 500_000) / 1_000_000 }
