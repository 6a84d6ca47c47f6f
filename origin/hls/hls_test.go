package hls

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	second "github.com/Eyevinn/hls-m3u8/m3u8"

	"slipstream/origin/manifest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden playlists anew; commit only changes that you understand")

const (
	nowMs = int64(1_767_225_600_000)
	first = nowMs/2000 - 6
)

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) // root and signing key in one; enough for playlists

func channelID() manifest.Hash { return manifest.ChannelID(key.Public().(ed25519.PublicKey)) }

func sign(t *testing.T, rec manifest.Record) manifest.Record {
	t.Helper()
	signed, err := manifest.SignRecord(rec, channelID(), key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// view is a window with all that can happen: a short last segment of a publication, a gap, a new init section.
func view(t *testing.T) View {
	t.Helper()
	d := manifest.Delegation{LastSequence: 1 << 40, NotBeforeMs: nowMs - 3_600_000, NotAfterMs: nowMs + 3_600_000}
	copy(d.SigningKey[:], key.Public().(ed25519.PublicKey))
	d, err := manifest.SignDelegation(d, key)
	if err != nil {
		t.Fatal(err)
	}
	init := func(n byte) manifest.Record {
		return sign(t, manifest.Record{Kind: manifest.KindInit, Rendition: "360p", Sequence: first, Size: 700, Root: manifest.Hash{n}, CreatedMs: nowMs - 10_000})
	}
	inits := [2]manifest.Record{init(1), init(2)}
	v := View{Rendition: "360p", Delegations: []manifest.Delegation{d}, DiscontinuitySequence: 4}
	previous := manifest.Hash{}
	add := func(n, startMs, durationMs int64, init manifest.Record, discontinuity bool) {
		rec := sign(t, manifest.Record{
			Kind: manifest.KindSegment, Rendition: "360p", Sequence: n, StartMs: startMs, DurationMs: durationMs, Size: 1000,
			Root: manifest.Hash{byte(n)}, Init: init.Root, Previous: previous, CreatedMs: startMs + durationMs + 100,
		})
		previous = rec.Hash()
		v.Entries = append(v.Entries, Entry{Number: n, Record: rec, Init: init, Discontinuity: discontinuity})
	}
	add(first, first*2000, 2000, inits[0], false)
	add(first+1, first*2000+2000, 1033, inits[0], false)
	v.Entries = append(v.Entries, Entry{Number: first + 2, Gap: true})
	add(first+3, first*2000+6467, 1533, inits[1], true)
	add(first+4, first*2000+8000, 2033, inits[1], false)
	return v
}

func media(t *testing.T, v View) string {
	t.Helper()
	text, err := Media(v, nowMs)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has changed; it reads now:\n%s", path, got)
	}
}

func TestMediaPlaylist(t *testing.T) {
	text := media(t, view(t))
	golden(t, "media.m3u8", text)
	for range 50 {
		if again := media(t, view(t)); again != text {
			t.Fatalf("the same view gave another playlist:\n%s", again)
		}
	}
}

func TestViewersAcceptIt(t *testing.T) {
	pl, err := manifest.ReadPlaylist(media(t, view(t)))
	if err != nil {
		t.Fatal(err)
	}
	list, err := manifest.NewVerifier(channelID(), "360p").Playlist(pl, nowMs)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d segments, %v", len(list), err)
	}
	if list[1].Segment.MapURI != "init-0100000000000000.mp4" || list[2].Segment.MapURI != "init-0200000000000000.mp4" {
		t.Errorf("init sections at %s and %s", list[1].Segment.MapURI, list[2].Segment.MapURI)
	}
}

// Another implementation, in its strict mode, reads what we mean.
func TestSecondParserAcceptsTheMediaPlaylist(t *testing.T) {
	list, kind, err := second.DecodeFrom(strings.NewReader(media(t, view(t))), true)
	if err != nil || kind != second.MEDIA {
		t.Fatalf("%v, kind %v", err, kind)
	}
	p := list.(*second.MediaPlaylist)
	if p.Version() != 6 || p.SeqNo != uint64(first) || p.TargetDuration != 2 || p.DiscontinuitySeq != 4 || p.Closed || p.Count() != 5 {
		t.Errorf("version %d, sequence %d, target %d, discontinuities %d, closed %t, %d segments",
			p.Version(), p.SeqNo, p.TargetDuration, p.DiscontinuitySeq, p.Closed, p.Count())
	}
	seg := p.Segments[3]
	if seg.SeqId != uint64(first+3) || !seg.Discontinuity || seg.Duration != 1.533 || seg.ProgramDateTime.UnixMilli() != first*2000+6467 || seg.Map == nil {
		t.Errorf("the segment after the gap is read as %+v", seg)
	}
	if !p.Segments[2].Gap || p.Segments[1].Gap {
		t.Error("the gap is not understood")
	}
}

// Durations and dates of a gap fill exactly the time between its neighbours, as far as the target duration permits.
func TestGapsFillTheirTime(t *testing.T) {
	at := func(startMs, durationMs int64) Entry {
		return Entry{Record: manifest.Record{StartMs: startMs, DurationMs: durationMs}}
	}
	gap := Entry{Gap: true}
	for _, c := range []struct {
		name    string
		entries []Entry
		want    string
	}{
		{"whole segments around it", []Entry{at(0, 2000), gap, gap, at(6000, 2000)}, "[{0 2000} {2000 2000} {4000 2000} {6000 2000}]"},
		{"a short and a late one", []Entry{at(0, 1533), gap, gap, at(6467, 1533)}, "[{0 1533} {1533 2467} {4000 2467} {6467 1533}]"},
		{"too short and too late", []Entry{at(0, 500), gap, at(5500, 500)}, "[{0 500} {500 2499} {5500 500}]"},
		{"three", []Entry{at(0, 2000), gap, gap, gap, at(8001, 1000)}, "[{0 2000} {2000 2000} {4000 2000} {6000 2001} {8001 1000}]"},
		{"two gaps", []Entry{at(0, 2000), gap, at(4000, 2000), gap, at(8000, 2000)}, "[{0 2000} {2000 2000} {4000 2000} {6000 2000} {8000 2000}]"},
		{"neighbours that overlap", []Entry{at(0, 9000), gap, at(4000, 2000)}, "[{0 9000} {9000 0} {4000 2000}]"},
	} {
		if got := fmt.Sprint(spansOf(c.entries)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestOffAir(t *testing.T) {
	v := view(t)
	newest := v.Entries[len(v.Entries)-1].Record.CreatedMs
	if _, err := Media(v, newest+OffAirMs); err != nil {
		t.Errorf("a publisher may be away for minutes: %v", err)
	}
	if _, err := Media(v, newest+OffAirMs+1); !errors.Is(err, ErrOffAir) {
		t.Errorf("viewers would call it a replay: %v", err)
	}
	if _, err := Media(View{}, nowMs); !errors.Is(err, ErrOffAir) {
		t.Errorf("an empty window: %v", err)
	}
	if _, err := Multivariant(Channel{}); !errors.Is(err, ErrOffAir) {
		t.Errorf("no rendition: %v", err)
	}
}

// RFC 8216bis section 4.4.3.1: rounded to the nearest second, no segment is longer than the target.
func TestTargetDuration(t *testing.T) {
	for durationMs, want := range map[int64]string{1000: ":2\n", 2033: ":2\n", 2499: ":2\n", 2500: ":3\n", 4000: ":4\n"} {
		v := view(t)
		v.Entries = v.Entries[:1]
		v.Entries[0].Record.DurationMs = durationMs
		if text := media(t, v); !strings.Contains(text, "#EXT-X-TARGETDURATION"+want) {
			t.Errorf("%d ms:\n%s", durationMs, text)
		}
	}
}

func channel() Channel {
	return Channel{
		ID: channelID(), Tracker: "/tracker", Token: "/live/demo/token",
		Renditions: []Rendition{
			{Name: "180p", Codecs: "avc1.42c00d,mp4a.40.2", Width: 320, Height: 180, FrameRate: 30, PeakBps: 390_000, AverageBps: 330_000, FloorBps: 346_000},
			{Name: "360p", Codecs: "avc1.4d401e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 30, PeakBps: 100_000, AverageBps: 90_000, FloorBps: 900_000},
		},
	}
}

func TestMultivariantPlaylist(t *testing.T) {
	text, err := Multivariant(channel())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "multivariant.m3u8", text)

	ours, err := manifest.ReadMultivariant(text)
	if err != nil || !manifest.IsMultivariant(text) {
		t.Fatal(err)
	}
	if ours.Channel != channelID() || ours.Tracker != "/tracker" || ours.Token != "/live/demo/token" || len(ours.Variants) != 2 ||
		ours.Variants[0].Rendition != "360p" || ours.Variants[0].Bandwidth != 900_000 || ours.Variants[1].Bandwidth != 390_000 {
		t.Errorf("a viewer reads %+v", ours)
	}

	list, kind, err := second.DecodeFrom(strings.NewReader(text), true)
	if err != nil || kind != second.MASTER {
		t.Fatalf("%v, kind %v", err, kind)
	}
	p := list.(*second.MasterPlaylist)
	if len(p.Variants) != 2 || len(p.SessionDatas) != 3 || !p.IndependentSegments() {
		t.Fatalf("the second parser reads %d variants, %d session data", len(p.Variants), len(p.SessionDatas))
	}
	v := p.Variants[0]
	if v.URI != "360p/index.m3u8" || v.Resolution != "640x360" || v.Codecs != "avc1.4d401e,mp4a.40.2" || v.FrameRate != 30 || v.Bandwidth != 900_000 || v.AverageBandwidth != 90_000 {
		t.Errorf("the second parser reads %+v", v.VariantParams)
	}
}

func TestWithoutTrackerThereIsNoSwarm(t *testing.T) {
	c := channel()
	c.Tracker = ""
	text, err := Multivariant(c)
	if err != nil || strings.Contains(text, "slipstream.token") || !strings.Contains(text, "slipstream.channel") {
		t.Errorf("%v\n%s", err, text)
	}
	c.Tracker = "\"\n#EXT-X-ENDLIST"
	if _, err := Multivariant(c); err == nil {
		t.Error("a tracker URL wrote tags of its own")
	}
}
