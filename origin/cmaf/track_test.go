package cmaf_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"slipstream/origin/cmaf"
)

// trackSamples are all samples of one handler's track in a file, as mp4ff reads them.
func trackSamples(t *testing.T, file []byte, handler string) (samples []mp4.FullSample) {
	t.Helper()
	decoded, err := mp4.DecodeFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, trak := range decoded.Init.Moov.Traks {
		if trak.Mdia.Hdlr.HandlerType != handler {
			continue
		}
		for _, trex := range decoded.Init.Moov.Mvex.Trexs {
			if trex.TrackID != trak.Tkhd.TrackID {
				continue
			}
			for _, segment := range decoded.Segments {
				for _, fragment := range segment.Fragments {
					found, err := fragment.GetFullSamples(trex)
					if err != nil {
						t.Fatal(err)
					}
					samples = append(samples, found...)
				}
			}
		}
	}
	return samples
}

func TestATrackHasEverySampleOfItsKindAndNothingElse(t *testing.T) {
	segments, err := cutAll(recorded(t), whole)
	if err != nil {
		t.Fatal(err)
	}
	for kind, handler := range map[cmaf.Kind]string{cmaf.Video: "vide", cmaf.Audio: "soun"} {
		for i, s := range segments {
			init, err := cmaf.TrackInit(s.Init, kind)
			if err != nil {
				t.Fatal(err)
			}
			pieces, err := cmaf.TrackSegment(s.Init, s.Data, kind)
			if err != nil {
				t.Fatal(err)
			}
			own := append(bytes.Clone(init), bytes.Join(pieces, nil)...)
			got, want := trackSamples(t, own, handler), trackSamples(t, append(bytes.Clone(s.Init), s.Data...), handler)
			if len(got) == 0 || len(got) != len(want) {
				t.Fatalf("%s of segment %d: %d samples, want %d", kind, i, len(got), len(want))
			}
			for n := range got {
				if got[n].DecodeTime != want[n].DecodeTime || got[n].Sample != want[n].Sample || !bytes.Equal(got[n].Data, want[n].Data) {
					t.Fatalf("%s of segment %d: sample %d is another one", kind, i, n)
				}
			}
			file, err := mp4.DecodeFile(bytes.NewReader(own))
			if err != nil || len(file.Init.Moov.Traks) != 1 || len(file.Init.Moov.Mvex.Trexs) != 1 || file.Init.Moov.Trak.Mdia.Hdlr.HandlerType != handler {
				t.Errorf("%s: the init section describes other tracks too (%v)", kind, err)
			}
		}
	}
}

func TestASegmentWithoutSoundIsAnEmptyFile(t *testing.T) {
	segments, err := cutAll(recorded(t), whole)
	if err != nil {
		t.Fatal(err)
	}
	video, err := cmaf.TrackSegment(segments[1].Init, segments[1].Data, cmaf.Video)
	if err != nil {
		t.Fatal(err)
	}
	silent, err := cmaf.TrackSegment(segments[1].Init, bytes.Join(video, nil), cmaf.Audio)
	if err != nil || !strings.Contains(string(bytes.Join(silent, nil)), "styp") {
		t.Fatalf("%q, %v", silent, err)
	}
	if _, err := mp4.DecodeFile(bytes.NewReader(bytes.Join(silent, nil))); err != nil {
		t.Error(err)
	}
}

func TestWhatHasNoSuchTrackSaysSo(t *testing.T) {
	segments, err := cutAll(recorded(t), whole)
	if err != nil {
		t.Fatal(err)
	}
	s := segments[1]
	silent, err := cmaf.TrackInit(s.Init, cmaf.Video)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]error{
		`there is no "audio" track`:      second(cmaf.TrackInit(silent, cmaf.Audio)),
		`there is no "text" track`:       second(cmaf.TrackSegment(s.Init, s.Data, "text")),
		"no moov box":                    second(cmaf.TrackInit(nil, cmaf.Video)),
		"longer than what holds it":      second(cmaf.TrackSegment(s.Init, s.Data[:len(s.Data)-1], cmaf.Video)),
		"lie outside of their segment":   second(cmaf.TrackSegment(s.Init, s.Data[:bytes.Index(s.Data, []byte("mdat"))-4], cmaf.Video)),
		"this is no MP4 stream":          second(cmaf.TrackSegment(s.Init, make([]byte, 100), cmaf.Video)),
		"init section has no moov box":   second(cmaf.TrackSegment(s.Init[:bytes.Index(s.Init, []byte("moov"))-4], s.Data, cmaf.Video)),
		"a box is longer than what hold": second(cmaf.TrackInit(s.Init[:len(s.Init)-5], cmaf.Video)),
	} {
		if got == nil || !strings.Contains(got.Error(), name) {
			t.Errorf("%v, want %q", got, name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// FuzzTrack damages a real segment: nothing may panic, and no more may come out than went in.
func FuzzTrack(f *testing.F) {
	segments, err := cutAll(recorded(f), whole)
	if err != nil {
		f.Fatal(err)
	}
	s := segments[0]
	f.Add([]byte{0, 60, 1}, false)
	f.Add([]byte{0, 120, 0xff, 0, 121, 0xff}, true)
	f.Fuzz(func(t *testing.T, damage []byte, init bool) {
		moov, data := bytes.Clone(s.Init), bytes.Clone(s.Data)
		target := data
		if init {
			target = moov
		}
		inflict(damage, target)
		for _, kind := range []cmaf.Kind{cmaf.Video, cmaf.Audio} {
			_, _ = cmaf.TrackInit(moov, kind)
			pieces, err := cmaf.TrackSegment(moov, data, kind)
			size := 0
			for _, piece := range pieces {
				size += len(piece)
			}
			if err == nil && size > 8*len(data) {
				t.Fatalf("%d bytes became %d", len(data), size)
			}
		}
	})
}

func BenchmarkTrackSegment(b *testing.B) {
	segments, err := cutAll(recorded(b), whole)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cmaf.TrackSegment(segments[1].Init, segments[1].Data, cmaf.Video); err != nil {
			b.Fatal(err)
		}
	}
}
