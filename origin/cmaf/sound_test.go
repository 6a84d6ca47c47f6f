package cmaf_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"pgregory.net/rapid"

	"slipstream/origin/cmaf"
)

// recordedSound is what ffmpeg 5.1 wrote for sound alone, in fragments of a tenth of a second:
//
//	ffmpeg -f lavfi -i sine=sample_rate=48000 -t 5 -c:a aac -b:a 32k -output_ts_offset 1763785211.5
//	  -movflags +cmaf+empty_moov+default_base_moof+frag_keyframe+frag_discont+skip_trailer -frag_duration 100000 -f mp4
func recordedSound(t testing.TB) []byte {
	t.Helper()
	return stored(t, "testdata/sound.mp4")
}

func cutSound(stream []byte, next func() int) ([]cmaf.Output, error) {
	return feed(cmaf.NewSoundCutter("audio"), stream, next)
}

// sounds are the frames of a piece of the stream, with their times.
func sounds(t *testing.T, init, data []byte) []mp4.FullSample {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(append(bytes.Clone(init), data...)))
	if err != nil {
		t.Fatal(err)
	}
	var out []mp4.FullSample
	for _, s := range f.Segments {
		for _, fragment := range s.Fragments {
			samples, err := fragment.GetFullSamples(f.Init.Moov.Mvex.Trex)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, samples...)
		}
	}
	return out
}

func TestSoundAloneIsCutOnTheGrid(t *testing.T) {
	stream := recordedSound(t)
	outputs, err := cutSound(stream, whole)
	if err != nil {
		t.Fatal(err)
	}
	segments := segmentsOf(outputs)
	if len(segments) != 4 || segments[0].Number != 881_892_605 {
		t.Fatalf("%d segments from %d on", len(segments), segments[0].Number)
	}
	next, endMs := uint64(0), segments[0].StartMs
	for i, s := range segments {
		const boundary = 2 * 48_000
		frames := sounds(t, s.Init, s.Data)
		if s.Rendition != "audio" || s.Codecs != "mp4a.40.2" || s.Width != 0 || s.Height != 0 || s.FrameRate != 0 || s.Discontinuity != (i == 0) {
			t.Errorf("segment %d is described as %q %q %dx%d at %v, discontinuity %v", s.Number, s.Rendition, s.Codecs, s.Width, s.Height, s.FrameRate, s.Discontinuity)
		}
		if i > 0 && (s.Number != segments[i-1].Number+1 || s.StartMs != endMs) {
			t.Errorf("segment %d from %d ms follows %d, which ends at %d ms", s.Number, s.StartMs, segments[i-1].Number, endMs)
		}
		endMs = s.StartMs + s.DurationMs
		for _, f := range frames {
			if next != 0 && f.DecodeTime != next {
				t.Fatalf("a frame at %d follows one that ends at %d", f.DecodeTime, next)
			}
			if f.DecodeTime/boundary != uint64(s.Number) {
				t.Errorf("a frame at %d is in segment %d", f.DecodeTime, s.Number)
			}
			next = f.DecodeTime + uint64(f.Dur)
		}
		if off := frames[0].DecodeTime % boundary; i > 0 && off >= 1024 {
			t.Errorf("segment %d begins %d samples after its boundary", s.Number, off)
		}
		if n := len(frames); 0 < i && i < 3 && n != 93 && n != 94 {
			t.Errorf("segment %d has %d frames", s.Number, n)
		}
	}
	if first := sounds(t, segments[0].Init, segments[0].Data)[0].DecodeTime; first != 1_763_785_211_500*48 {
		t.Errorf("the first frame is at %d, not where the run begins", first)
	}
	checkPartsOf(t, outputs, segments)

	// Every byte of sound but the encoder's first frame is there, in order.
	head := segments[0].Init
	all := sounds(t, head, stream[len(head):])[1:]
	var got []mp4.FullSample
	for _, s := range segments {
		got = append(got, sounds(t, s.Init, s.Data)...)
	}
	if len(got) != len(all) {
		t.Fatalf("of %d frames %d came", len(all), len(got))
	}
	for i := range all {
		if !bytes.Equal(got[i].Data, all[i].Data) || got[i].DecodeTime != all[i].DecodeTime {
			t.Fatalf("frame %d is another one", i)
		}
	}
}

// checkPartsOf: a segment is its parts, each but its last as long as the others.
func checkPartsOf(t *testing.T, outputs []cmaf.Output, segments []cmaf.Segment) {
	t.Helper()
	data, index, startMs := []byte{}, 0, int64(0)
	for i, o := range outputs {
		if o.Segment != nil {
			if !bytes.Equal(data, o.Segment.Data) {
				t.Errorf("segment %d is not its parts", o.Segment.Number)
			}
			data, index = nil, 0
			continue
		}
		p := o.Part
		if p.Index != index || !p.Independent || index > 0 && p.StartMs != startMs {
			t.Errorf("part %d of %d from %d ms, independent %v", p.Index, p.Number, p.StartMs, p.Independent)
		}
		if last := outputs[i+1].Segment != nil; !last && p.DurationMs != 512 || p.DurationMs > 513 {
			t.Errorf("part %d of %d lasts %d ms", p.Index, p.Number, p.DurationMs)
		}
		data, index, startMs = append(data, p.Data...), index+1, p.StartMs+p.DurationMs
	}
}

// Where the encoder's fragments end, and how its bytes arrive, does not matter; nor, from the first boundary on, where it began.
func TestSoundIsCutAlikeHoweverItComes(t *testing.T) {
	stream := recordedSound(t)
	want, err := cutSound(stream, whole)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		got, err := cutSound(stream, func() int { return rapid.IntRange(1, 3000).Draw(t, "piece") })
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d outputs and %v, want %d", len(got), err, len(want))
		}
		for i := range want {
			if want[i].Segment != nil && !bytes.Equal(got[i].Segment.Data, want[i].Segment.Data) {
				t.Fatalf("segment %d is another one", want[i].Segment.Number)
			}
		}
	})
	init, fragments := split(t, stream)
	later, err := cutSound(join(init, join(fragments[2:]...)), whole)
	if err != nil {
		t.Fatal(err)
	}
	a, b := segmentsOf(want), segmentsOf(later)
	for i := 1; i < len(a); i++ {
		if !bytes.Equal(a[i].Data, b[i].Data) {
			t.Errorf("segment %d is another one for who began to listen later", a[i].Number)
		}
	}
}

func TestSoundThatMakesNoSense(t *testing.T) {
	stream := recordedSound(t)
	init, fragments := split(t, stream)
	picture := recorded(t)
	pictureInit, _ := split(t, picture)
	for name, c := range map[string]struct {
		stream []byte
		says   string
	}{
		"no MP4":                       {[]byte("\x00\x00\x00\x01\x01\x02\x03\x04 and more"), "no MP4 stream"},
		"a fragment first":             {fragments[0], "before the init section"},
		"no ftyp":                      {init[bytes.Index(init, []byte("moov"))-4:], "does not begin with an ftyp"},
		"two tracks":                   {pictureInit, "has 2 tracks"},
		"a second moov":                {join(init, init), "a second moov"},
		"time goes back":               {join(init, fragments[4], fragments[3]), "time went backwards"},
		"a fragment without its media": {join(init, fragments[0][:bytes.Index(fragments[0], []byte("mdat"))-4], fragments[1]), "has a moof box but no mdat"},
	} {
		if _, err := cutSound(c.stream, whole); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestAHoleInTheSoundIsKept(t *testing.T) {
	init, fragments := split(t, recordedSound(t))
	outputs, err := cutSound(join(init, join(fragments[:3]...), join(fragments[4:]...)), whole)
	if err != nil {
		t.Fatal(err)
	}
	segment := segmentsOf(outputs)[0]
	frames := sounds(t, segment.Init, segment.Data)
	holes := 0
	for i := 1; i < len(frames); i++ {
		if frames[i].DecodeTime != frames[i-1].DecodeTime+uint64(frames[i-1].Dur) {
			holes++
		}
	}
	if holes != 1 {
		t.Errorf("%d holes", holes)
	}
}

// FuzzSound is FuzzDamage for sound alone.
func FuzzSound(f *testing.F) {
	stream := recordedSound(f)
	f.Add([]byte{0, 60, 1})
	f.Add([]byte{4, 0xe0, 0xff, 5, 0x10, 0})
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Fuzz(func(t *testing.T, damage []byte) {
		damaged := join(stream)
		inflict(damage, damaged)
		outputs, _ := cutSound(damaged, whole)
		last := int64(-1)
		for _, s := range segmentsOf(outputs) {
			if s.Number <= last || s.DurationMs < 0 || s.DurationMs > 2200 || s.StartMs/2000 != s.Number {
				t.Fatalf("segment %d after %d: from %d ms for %d ms", s.Number, last, s.StartMs, s.DurationMs)
			}
			last = s.Number
		}
	})
}

// Who packages what was cut elsewhere gets the same segments and parts.
func TestSoundThatWasCutIsCutAgainTheSame(t *testing.T) {
	outputs, err := cutSound(recordedSound(t), whole)
	if err != nil {
		t.Fatal(err)
	}
	var parts []cmaf.Part
	for _, out := range outputs {
		if out.Part != nil {
			parts = append(parts, *out.Part)
			continue
		}
		c := cmaf.NewSoundCutter("audio")
		c.Continue()
		again, err := c.Write(join(out.Segment.Init, out.Segment.Data))
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, c.Close()...)
		if len(again) != len(parts)+1 {
			t.Fatalf("segment %d: %d parts became %d outputs", out.Segment.Number, len(parts), len(again))
		}
		for i, p := range parts {
			if got := again[i].Part; got == nil || got.StartMs != p.StartMs || got.DurationMs != p.DurationMs || !bytes.Equal(got.Data, p.Data) {
				t.Errorf("segment %d: part %d is another one", p.Number, i)
			}
		}
		if got := again[len(parts)].Segment; got == nil || got.Number != out.Segment.Number || got.StartMs != out.Segment.StartMs ||
			got.DurationMs != out.Segment.DurationMs || !bytes.Equal(got.Data, out.Segment.Data) || !bytes.Equal(got.Init, out.Segment.Init) {
			t.Errorf("segment %d is another one", out.Segment.Number)
		}
		parts = nil
	}
}
