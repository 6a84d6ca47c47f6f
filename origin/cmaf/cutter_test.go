package cmaf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"pgregory.net/rapid"

	"slipstream/origin/cmaf"
)

func recorded(t testing.TB) []byte {
	t.Helper()
	return stored(t, "testdata/run.mp4")
}

func stored(t testing.TB, path string) []byte {
	t.Helper()
	stream, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// cutParts cuts stream in pieces that next sizes.
func cutParts(stream []byte, next func() int) ([]cmaf.Output, error) {
	return feed(cmaf.NewCutter("360p"), stream, next)
}

// feed gives stream to a cutter in pieces that next sizes, and closes it.
func feed(c interface {
	Write([]byte) ([]cmaf.Output, error)
	Close() []cmaf.Output
}, stream []byte, next func() int) ([]cmaf.Output, error) {
	var all []cmaf.Output
	for len(stream) > 0 {
		n := min(next(), len(stream))
		outputs, err := c.Write(stream[:n])
		all = append(all, outputs...)
		if err != nil {
			return append(all, c.Close()...), err
		}
		stream = stream[n:]
	}
	return append(all, c.Close()...), nil
}

// cutAll is cutParts for those who look at segments only.
func cutAll(stream []byte, next func() int) ([]cmaf.Segment, error) {
	outputs, err := cutParts(stream, next)
	return segmentsOf(outputs), err
}

func segmentsOf(outputs []cmaf.Output) (segments []cmaf.Segment) {
	for _, o := range outputs {
		if o.Segment != nil {
			segments = append(segments, *o.Segment)
		}
	}
	return segments
}

func whole() int { return 1 << 20 }

func TestCutsWhatFFmpegWrites(t *testing.T) {
	stream := recorded(t)
	segments, err := cutAll(stream, whole)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		number, startMs, durationMs int64
		discontinuity               bool
	}{
		{881_892_605, 1_763_785_210_900, 1100, true}, // partial: the run began here
		{881_892_606, 1_763_785_212_000, 2000, false},
		{881_892_607, 1_763_785_214_000, 1300, false}, // partial: the run ended here
	}
	if len(segments) != len(want) {
		t.Fatalf("%d segments, want %d", len(segments), len(want))
	}
	rest := stream
	for i, s := range segments {
		w := want[i]
		if s.Number != w.number || s.StartMs != w.startMs || s.DurationMs != w.durationMs || s.Discontinuity != w.discontinuity {
			t.Errorf("segment %d is %d from %d ms for %d ms, discontinuity %v; want %+v", i, s.Number, s.StartMs, s.DurationMs, s.Discontinuity, w)
		}
		if s.Rendition != "360p" || s.Codecs != "avc1.4d400a,mp4a.40.2" || s.Width != 96 || s.Height != 54 || s.FrameRate != 30 {
			t.Errorf("segment %d is described as %q %q %d×%d at %v", i, s.Rendition, s.Codecs, s.Width, s.Height, s.FrameRate)
		}
		if i == 0 {
			if !bytes.Equal(s.Init, stream[:len(s.Init)]) {
				t.Error("the init section is not the head of the stream")
			}
			rest = rest[len(s.Init):]
		} else if !bytes.Equal(s.Init, segments[0].Init) {
			t.Errorf("segment %d has an init section of its own", i)
		}
		// Segments are the stream itself, cut: nothing is lost, added or reordered.
		if !bytes.HasPrefix(rest, s.Data) {
			t.Fatalf("segment %d is not the next %d bytes of the stream", i, len(s.Data))
		}
		rest = rest[len(s.Data):]
		if _, err := mp4.DecodeFile(bytes.NewReader(append(bytes.Clone(s.Init), s.Data...))); err != nil {
			t.Errorf("init and segment %d together make no MP4 file: %v", i, err)
		}
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes of the stream are in no segment", len(rest))
	}
}

func TestASegmentIsReturnedWithItsLastByte(t *testing.T) {
	stream := recorded(t)
	segments, err := cutAll(stream, whole)
	if err != nil {
		t.Fatal(err)
	}
	end := len(segments[0].Init) + len(segments[0].Data)
	c := cmaf.NewCutter("360p")
	if early, err := c.Write(stream[:end-1]); err != nil || len(segmentsOf(early)) != 0 {
		t.Fatalf("%d segments, %v before the last byte", len(segmentsOf(early)), err)
	}
	got, err := c.Write(stream[end-1 : end])
	if err != nil || len(got) != 2 || got[0].Part == nil || got[1].Segment == nil || got[1].Segment.Number != 881_892_605 {
		t.Fatalf("with its last byte: %d outputs, %v; the cutter waits for the next fragment", len(got), err)
	}
}

func TestHowTheBytesAreSplitDoesNotMatter(t *testing.T) {
	stream := recorded(t)
	want, err := cutAll(stream, whole)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.SampledFrom([]int{1, 7, 100, 4096}).Draw(t, "most")
		got, err := cutAll(bytes.Clone(stream), func() int { return rapid.IntRange(1, most).Draw(t, "piece") })
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d segments, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i].Number != want[i].Number || !bytes.Equal(got[i].Data, want[i].Data) {
				t.Fatalf("segment %d differs", i)
			}
		}
	})
}

// The cutter must not hand out memory that it goes on using.
func TestSegmentsDoNotShareTheCallersBuffer(t *testing.T) {
	stream := recorded(t)
	want, err := cutAll(stream, whole)
	if err != nil {
		t.Fatal(err)
	}
	c := cmaf.NewCutter("360p")
	var got []cmaf.Segment
	piece := make([]byte, 1000)
	for r := bytes.NewReader(stream); ; {
		n, _ := r.Read(piece)
		if n == 0 {
			break
		}
		outputs, err := c.Write(piece[:n])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, segmentsOf(outputs)...)
		clear(piece)
	}
	got = append(got, segmentsOf(c.Close())...)
	for i := range got {
		if !bytes.Equal(got[i].Data, want[i].Data) || !bytes.Equal(got[i].Init, want[i].Init) {
			t.Errorf("segment %d changed after it was returned", i)
		}
	}
}

// The parts of a segment come before it, make it up, and share out its time.
func TestPartsMakeUpTheirSegment(t *testing.T) {
	outputs, err := cutParts(recorded(t), whole)
	if err != nil {
		t.Fatal(err)
	}
	story, nextMs := "", int64(0)
	var data []byte
	for _, o := range outputs {
		if s := o.Segment; s != nil {
			story += "| "
			if !bytes.Equal(data, s.Data) {
				t.Errorf("the parts of segment %d have %d bytes, it has %d, or others", s.Number, len(data), len(s.Data))
			}
			if nextMs != s.StartMs+s.DurationMs {
				t.Errorf("the parts of segment %d end at %d ms, it ends at %d ms", s.Number, nextMs, s.StartMs+s.DurationMs)
			}
			data, nextMs = nil, 0
			continue
		}
		p := o.Part
		story += fmt.Sprintf("%d.%d:%d ", p.Number%10, p.Index, p.DurationMs)
		if (nextMs != 0 && p.StartMs != nextMs) || p.Independent != (p.Index == 0) || p.Rendition != "360p" || len(p.Init) == 0 {
			t.Errorf("part %d of %d: from %d ms after %d ms, independent %v", p.Index, p.Number, p.StartMs, nextMs, p.Independent)
		}
		data, nextMs = append(data, p.Data...), p.StartMs+p.DurationMs
	}
	if want := "5.0:500 5.1:500 5.2:100 | 6.0:500 6.1:500 6.2:500 6.3:500 | 7.0:500 7.1:500 7.2:300 | "; story != want {
		t.Errorf("the story is %s, want %s", story, want)
	}
}

func TestAfterClose(t *testing.T) {
	c := cmaf.NewCutter("360p")
	if got := c.Close(); len(got) != 0 {
		t.Errorf("an empty stream has %d segments", len(got))
	}
	if _, err := c.Write(recorded(t)); err == nil {
		t.Error("bytes were accepted after Close")
	}
	if got := c.Close(); len(got) != 0 {
		t.Errorf("a second Close returned %d segments", len(got))
	}
}

func TestBadBytesGiveASentence(t *testing.T) {
	stream := recorded(t)
	init, fragments := split(t, stream)
	box := func(size uint32, name, rest string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, size), name+rest...)
	}
	for _, c := range []struct {
		name   string
		stream []byte
		want   string
	}{
		{"text", []byte("GET / HTTP/1.1\r\n\r\n"), "outside of"},
		{"noise", []byte{0, 0, 1, 0, 1, 2, 3, 4}, "no MP4 stream"},
		{"a box too great", box(cmaf.MaxBoxSize+1, "mdat", ""), "outside of 8 to 33554432 bytes"},
		{"a header too great", box(2<<20, "moov", ""), "outside of 8 to 1048576 bytes"},
		{"a box smaller than its header", box(7, "free", ""), "outside of"},
		{"a box without an end", box(0, "mdat", ""), "without an end"},
		{"a 64-bit size that is a lie", box(1, "mdat", "\xff\xff\xff\xff\xff\xff\xff\xff"), "outside of"},
		{"no ftyp", init[28:], "does not begin with an ftyp box"},
		{"no init section", fragments[0], "before the init section"},
		{"two init sections", join(init, init), "a second ftyp box"},
		{"two moov boxes", join(init, init[28:]), "a second moov box"},
		{"a moov of zeros", join(init[:28], box(16, "moov", "\x00\x00\x00\x00\x00\x00\x00\x00")), "a moov box makes no sense"},
		{"an empty moov", join(init[:28], box(8, "moov", "")), "0 video and 0 sound tracks"},
		{"media data alone", join(init, box(8, "mdat", "")), "without its moof box"},
		{"two moof boxes", join(init, moofOf(fragments[0]), moofOf(fragments[0])), "no mdat box"},
		{"time runs backwards", join(init, fragments[0], fragments[0]), "time went backwards"},
		{"no key frame at the start", join(init, fragments[1]), "does not start with a key frame"},
		{"no key frame at a boundary", join(init, fragments[0], shifted(fragments[1], +30720)), "881892606 does not start with a key frame"},
		{"a boundary was missed", join(init, shifted(fragments[0], +12000)), "runs over the boundary of segment 881892606"},
		{"a time beyond the epoch", join(init, setTime(fragments[0], 1<<63)), "outside of the epoch"},
		{"a time that wraps around", join(init, setTime(fragments[0], 1<<64-10)), "outside of the epoch"},
	} {
		_, err := cutAll(c.stream, whole)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestAnErrorIsForEver(t *testing.T) {
	c := cmaf.NewCutter("360p")
	_, first := c.Write([]byte("this is no MP4 stream at all"))
	if first == nil {
		t.Fatal("no error")
	}
	if _, again := c.Write(recorded(t)); again != first {
		t.Errorf("after the error %q the cutter says %v", first, again)
	}
}

// What was complete before the bad bytes is still worth publishing.
func TestSegmentsBeforeBadBytesAreReturned(t *testing.T) {
	stream := recorded(t)
	good, err := cutAll(stream, whole)
	if err != nil {
		t.Fatal(err)
	}
	head := len(good[0].Init) + len(good[0].Data) + len(good[1].Data)
	got, err := cutAll(join(stream[:head], []byte("\x00\x00\x00\x00mdat")), whole)
	if err == nil || len(got) != 2 {
		t.Fatalf("%d segments and the error %v, want 2 and an error", len(got), err)
	}
}

// A hole in the stream costs its own segments, not the numbering of those after it.
func TestAHoleKeepsTheGrid(t *testing.T) {
	init, fragments := split(t, recorded(t))
	// 0–2 are segment …605, 3–6 …606, 7–9 …607: lose the end of …605 and all of …606.
	got, err := cutAll(join(init, fragments[0], fragments[1], fragments[7]), whole)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Number != 881_892_605 || got[0].DurationMs != 1000 || got[1].Number != 881_892_607 || got[1].StartMs != 1_763_785_214_000 {
		t.Fatalf("got %d segments: %+v", len(got), numbers(got))
	}
}

// Boxes that say something about the fragment after them travel with it; boxes that are
// about positions in a file do not.
func TestWhichBoxesAreKept(t *testing.T) {
	init, fragments := split(t, recorded(t))
	styp := []byte("\x00\x00\x00\x10stypmsdh\x00\x00\x00\x00")
	free := []byte("\x00\x00\x00\x0cfree....")
	got, err := cutAll(join(init, free, styp, fragments[0], free, fragments[1], fragments[2]), whole)
	if err != nil {
		t.Fatal(err)
	}
	if want := join(styp, fragments[0], fragments[1], fragments[2]); len(got) != 1 || !bytes.Equal(got[0].Data, want) {
		t.Fatalf("the segment is not styp and its three fragments")
	}
}

func numbers(segments []cmaf.Segment) (n []int64) {
	for _, s := range segments {
		n = append(n, s.Number)
	}
	return n
}

// split takes the recorded stream apart into its init section and its fragments.
func split(t testing.TB, stream []byte) (init []byte, fragments [][]byte) {
	t.Helper()
	for len(stream) >= 8 {
		size := binary.BigEndian.Uint32(stream)
		box := bytes.Clone(stream[:size])
		switch string(stream[4:8]) {
		case "ftyp", "moov":
			init = append(init, box...)
		case "moof":
			fragments = append(fragments, box)
		case "mdat":
			fragments[len(fragments)-1] = append(fragments[len(fragments)-1], box...)
		default:
			t.Fatalf("unexpected box %q", stream[4:8])
		}
		stream = stream[size:]
	}
	return init, fragments
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func moofOf(fragment []byte) []byte { return fragment[:binary.BigEndian.Uint32(fragment)] }

// setTime changes the first tfdt of a fragment, which is the video's.
func setTime(fragment []byte, t uint64) []byte {
	fragment = bytes.Clone(fragment)
	at := bytes.Index(fragment, []byte("tfdt")) + 8
	binary.BigEndian.PutUint64(fragment[at:], t)
	return fragment
}

func shifted(fragment []byte, by uint64) []byte {
	at := bytes.Index(fragment, []byte("tfdt")) + 8
	return setTime(fragment, binary.BigEndian.Uint64(fragment[at:])+by)
}
