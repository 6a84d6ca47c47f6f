package cmaf

import (
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/mp4"
)

// Samples are what a segment has of one kind.
type Samples struct {
	Timescale int64 // of all times, per second
	// Shift is what an edit list moves the presentation by: it is added to decoding and presentation times alike.
	Shift int64
	// SPS and PPS are those of H.264, whose samples are NAL units behind 4 bytes of length each.
	SPS, PPS [][]byte
	// AudioConfig is the AudioSpecificConfig of AAC (ISO/IEC 14496-3).
	AudioConfig []byte
	List        []Sample
}

// A Sample is one picture, or one frame of sound.
type Sample struct {
	DTS, PTS int64
	Data     []byte // a piece of the segment
}

// HasTrack reports whether an init section describes a track of a kind.
func HasTrack(init []byte, kind Kind) bool {
	_, err := findTrack(init, kind)
	return err == nil
}

// TrackSamples takes the samples of one kind out of a segment, in decoding order, for other containers.
func TrackSamples(init, segment []byte, kind Kind) (Samples, error) {
	t, err := findTrack(init, kind)
	if err != nil {
		return Samples{}, err
	}
	out, err := t.describeSamples()
	if err != nil {
		return Samples{}, err
	}
	rest := segment
	err = eachBox(segment, func(name string, box []byte) error {
		defer func() { rest = rest[len(box):] }()
		if name != "moof" {
			return nil
		}
		started, at := (*mp4.TrafBox)(nil), uint64(0)
		_, err := t.eachRun(box, rest, func(traf *mp4.TrafBox, run *mp4.TrunBox, data []byte) error {
			if traf.Tfdt == nil {
				return errors.New("a fragment does not say when it starts (no tfdt)")
			}
			if traf != started {
				started, at = traf, traf.Tfdt.BaseMediaDecodeTime()
			}
			for _, sample := range run.Samples {
				if at > 1<<62 {
					return errors.New("a fragment lies outside of the epoch")
				}
				dts := int64(at) + out.Shift
				out.List = append(out.List, Sample{DTS: dts, PTS: dts + int64(sample.CompositionTimeOffset), Data: data[:sample.Size:sample.Size]})
				data, at = data[sample.Size:], at+uint64(sample.Dur)
			}
			return nil
		})
		return err
	})
	return out, err
}

// describeSamples reads what an init section says about the samples of a track.
func (t *track) describeSamples() (Samples, error) {
	for _, trak := range t.moov.Traks {
		if trak.Tkhd == nil || trak.Tkhd.TrackID != t.id {
			continue
		}
		if trak.Mdia == nil || trak.Mdia.Mdhd == nil || trak.Mdia.Mdhd.Timescale == 0 {
			return Samples{}, errors.New("a track of the init section has no timescale")
		}
		if _, err := describe(trak); err != nil {
			return Samples{}, err
		}
		out := Samples{Timescale: int64(trak.Mdia.Mdhd.Timescale), Shift: editShift(trak)}
		stsd := trak.Mdia.Minf.Stbl.Stsd
		if stsd.AvcX != nil && stsd.AvcX.AvcC != nil {
			out.SPS, out.PPS = stsd.AvcX.AvcC.SPSnalus, stsd.AvcX.AvcC.PPSnalus
		} else {
			out.AudioConfig = stsd.Mp4a.Esds.DecConfigDescriptor.DecSpecificInfo.DecConfig
		}
		return out, nil
	}
	return Samples{}, fmt.Errorf("the init section has no track %d", t.id)
}

// editShift reads an edit list that begins somewhere within the media, as encoders write for the delay of B-frames and
// for priming (ISO/IEC 14496-12, 8.6.6). Other edits have no place in a live stream.
func editShift(trak *mp4.TrakBox) int64 {
	if trak.Edts == nil {
		return 0
	}
	for _, list := range trak.Edts.Elst {
		for _, entry := range list.Entries {
			if entry.MediaTime > 0 && entry.MediaTime < 1<<40 {
				return -entry.MediaTime
			}
		}
	}
	return 0
}
