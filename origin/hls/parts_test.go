package hls

import (
	"math"
	"strings"
	"testing"

	second "github.com/Eyevinn/hls-m3u8/m3u8"

	"slipstream/origin/manifest"
)

// inParts is the view of hls_test.go with parts: the last segment in four, and two of the one after it.
func inParts(t *testing.T) View {
	t.Helper()
	v := view(t)
	v.PartTargetMs = 520
	before, last := v.Entries[len(v.Entries)-2].Record, &v.Entries[len(v.Entries)-1]
	part := func(n int64, index int, startMs, durationMs int64, previous manifest.Record) Part {
		return Part{Independent: index == 0, Record: sign(t, manifest.Record{
			Kind: manifest.KindPart, Rendition: "360p", Sequence: n, Part: index, StartMs: startMs, DurationMs: durationMs, Size: 300,
			Root: manifest.Hash{byte(n), byte(index)}, Init: last.Init.Root, Previous: previous.Hash(), CreatedMs: startMs + durationMs + 100,
		})}
	}
	startMs := last.Record.StartMs
	for i, durationMs := range []int64{520, 520, 520, 473} {
		last.Parts = append(last.Parts, part(last.Number, i, startMs, durationMs, before))
		startMs += durationMs
	}
	v.Open = &Entry{Number: last.Number + 1, Init: last.Init}
	for i := range 2 {
		v.Open.Parts = append(v.Open.Parts, part(v.Open.Number, i, startMs, 520, last.Record))
		startMs += 520
	}
	v.Reports = []Report{{"180p", v.Open.Number, 1}, {"90p", last.Number, -1}}
	return v
}

func TestPlaylistWithParts(t *testing.T) {
	golden(t, "parts.m3u8", media(t, inParts(t)))
}

func TestViewersAcceptParts(t *testing.T) {
	v := inParts(t)
	pl, err := manifest.ReadPlaylist(media(t, v))
	if err != nil {
		t.Fatal(err)
	}
	verifier := manifest.NewVerifier(channelID(), "360p")
	if _, err := verifier.Playlist(pl, nowMs); err != nil {
		t.Fatal(err)
	}
	parts, err := verifier.Parts(pl, nowMs)
	if err != nil || len(parts) != 6 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	if p := parts[5]; p.Part.URI != PartURI(v.Open.Number, 1) || p.Record != v.Open.Parts[1].Record || p.Part.DurationMs != 520 {
		t.Errorf("the newest part is read as %+v", p.Part)
	}
}

// Another implementation, in its strict mode, reads what we mean.
func TestSecondParserAcceptsParts(t *testing.T) {
	v := inParts(t)
	list, _, err := second.DecodeFrom(strings.NewReader(media(t, v)), true)
	if err != nil {
		t.Fatal(err)
	}
	p := list.(*second.MediaPlaylist)
	c := p.ServerControl
	if c == nil || !c.CanBlockReload || c.CanSkipUntil != 12 || c.PartHoldBack != 1.56 || p.PartTargetDuration != 0.52 {
		t.Errorf("server control %+v, part target %v", c, p.PartTargetDuration)
	}
	if n := len(p.PartialSegments); n != 6 {
		t.Fatalf("%d parts", n)
	}
	for i, part := range p.PartialSegments {
		if part.Independent != (i == 0 || i == 4) || part.URI != PartURI(v.Open.Number-1+int64(i/4), i%4) {
			t.Errorf("part %d is read as %+v", i, part)
		}
	}
	if h := p.PreloadHints; h == nil || h.Type != "PART" || h.URI != PartURI(v.Open.Number, 2) {
		t.Errorf("the hint is read as %+v", h)
	}
}

// What is left out lies six target durations and more before the end, and everything else is as in the whole playlist.
func TestDeltaUpdate(t *testing.T) {
	v := inParts(t)
	whole, err := MediaDelta(v, nowMs)
	if err != nil || whole != media(t, v) {
		t.Errorf("in a window of %d s nothing can be left out:\n%s", SkipUntilMs/1000, whole)
	}
	var earlier []Entry
	for n := first - 10; n < first; n++ {
		earlier = append(earlier, Entry{Number: n, Init: v.Entries[0].Init, Record: sign(t, manifest.Record{
			Kind: manifest.KindSegment, Rendition: "360p", Sequence: n, StartMs: n * 2000, DurationMs: 2000, Size: 1000,
			Root: manifest.Hash{byte(n)}, Init: v.Entries[0].Init.Root, CreatedMs: n*2000 + 2100,
		})})
	}
	v.Entries = append(earlier, v.Entries...)
	text, err := MediaDelta(v, nowMs)
	if err != nil {
		t.Fatal(err)
	}
	// The last five entries are 2000 + 1033 + 1434 + 1533 + 2033 ms long; two more make twelve seconds.
	if !strings.Contains(text, "#EXT-X-VERSION:9\n") || !strings.Contains(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS=8\n") {
		t.Errorf("the update reads:\n%s", text)
	}
	full := media(t, v)
	tail := text[strings.Index(text, "\n"+SegmentURI(first-2)+"\n"):]
	if !strings.HasSuffix(full, tail) {
		t.Error("the update and the whole playlist end differently")
	}
	if strings.Contains(text, "\n"+SegmentURI(first-3)+"\n") || len(text) > len(full)*3/4 {
		t.Errorf("the update has %d bytes, the whole %d", len(text), len(full))
	}
}

// Where the run of an encoder begins, what is being filled says so itself.
func TestANewRunBeginsInParts(t *testing.T) {
	v := inParts(t)
	v.Open.Discontinuity, v.Open.Init.Root = true, manifest.Hash{3}
	text := media(t, v)
	edge := text[strings.LastIndex(text, ".m4s\n"):]
	if !strings.Contains(edge, "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-0300000000000000.mp4\"\n#EXT-X-SLIPSTREAM-INIT:") {
		t.Errorf("the edge reads:\n%s", edge)
	}
}

func TestBetweenSegmentsTheFirstPartIsHinted(t *testing.T) {
	v := inParts(t)
	next := v.Open.Number
	v.Open = nil
	if text := media(t, v); !strings.Contains(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\""+PartURI(next, 0)+"\"\n") {
		t.Errorf("it reads:\n%s", text)
	}
}

func TestPlayersStayAsFarBehindAsTheyAreTold(t *testing.T) {
	v := inParts(t)
	for targets, want := range map[float64]string{0: "1.56", 3: "1.56", 2.5: "1.3", 2: "1.04", 12: "6.24"} {
		if v.HoldBack = targets; !strings.Contains(media(t, v), ",PART-HOLD-BACK="+want+"\n") {
			t.Errorf("%v part targets of 0.52 s are not %s s", targets, want)
		}
	}
	for _, targets := range []float64{-1, 0, 1.99, 12.1, math.NaN(), math.Inf(1)} {
		if CheckHoldBack(targets) == nil {
			t.Errorf("%v part targets are possible", targets)
		}
	}
	if err := CheckHoldBack(2.5); err != nil {
		t.Error(err)
	}
}
