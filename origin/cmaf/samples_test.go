package cmaf_test

import (
	"bytes"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"slipstream/origin/cmaf"
)

func TestSamplesAreThoseOfTheSegment(t *testing.T) {
	segments, err := cutAll(recorded(t), whole)
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[cmaf.Kind]struct {
		handler   string
		timescale int64
	}{cmaf.Video: {"vide", 15360}, cmaf.Audio: {"soun", 48000}} {
		for i, s := range segments {
			got, err := cmaf.TrackSamples(s.Init, s.Data, kind)
			if err != nil {
				t.Fatal(err)
			}
			all := trackSamples(t, append(bytes.Clone(s.Init), s.Data...), want.handler)
			if len(got.List) != len(all) || len(all) == 0 || got.Timescale != want.timescale || got.Shift != 0 {
				t.Fatalf("%s of segment %d: %d samples, want %d, at %d a second, shifted by %d", kind, i, len(got.List), len(all), got.Timescale, got.Shift)
			}
			for n, sample := range got.List {
				if sample.DTS != int64(all[n].DecodeTime) || sample.PTS != int64(all[n].PresentationTime()) || !bytes.Equal(sample.Data, all[n].Data) {
					t.Fatalf("%s of segment %d: sample %d is at %d (%d), want %d (%d)", kind, i, n, sample.DTS, sample.PTS, all[n].DecodeTime, all[n].PresentationTime())
				}
			}
			if parameters := len(got.SPS) == 1 && len(got.PPS) == 1; parameters != (kind == cmaf.Video) || (len(got.AudioConfig) > 0) != (kind == cmaf.Audio) {
				t.Errorf("%s is configured by %d SPS, %d PPS, %x", kind, len(got.SPS), len(got.PPS), got.AudioConfig)
			}
		}
	}
}

// Encoders with B-frames let the presentation begin within the media, so that decoding may begin before it.
func TestAnEditListMovesSamples(t *testing.T) {
	segments, err := cutAll(recorded(t), whole)
	if err != nil {
		t.Fatal(err)
	}
	s := segments[1]
	file, err := mp4.DecodeFile(bytes.NewReader(s.Init))
	if err != nil {
		t.Fatal(err)
	}
	for _, trak := range file.Init.Moov.Traks {
		edts := &mp4.EdtsBox{}
		edts.AddChild(&mp4.ElstBox{Entries: []mp4.ElstEntry{{MediaTime: -1, SegmentDuration: 3, MediaRateInteger: 1}, {MediaTime: 1024, MediaRateInteger: 1}}})
		trak.AddChild(edts)
		trak.Edts = edts
	}
	var edited bytes.Buffer
	if err := file.Init.Encode(&edited); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []cmaf.Kind{cmaf.Video, cmaf.Audio} {
		plain, err := cmaf.TrackSamples(s.Init, s.Data, kind)
		if err != nil {
			t.Fatal(err)
		}
		moved, err := cmaf.TrackSamples(edited.Bytes(), s.Data, kind)
		if err != nil || moved.List[0].PTS != plain.List[0].PTS-1024 || moved.List[0].DTS != plain.List[0].DTS-1024 {
			t.Errorf("%s: %v, %d instead of %d", kind, err, moved.List[0].PTS, plain.List[0].PTS)
		}
	}
}
