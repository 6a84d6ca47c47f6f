package cmaf

import (
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"

	"slipstream/origin/timeline"
)

// initSection is what a moov says about the fragments that follow.
type initSection struct {
	codecs       string
	video        Track
	videoID      uint32
	timescale    uint64 // of the video
	segmentTicks uint64 // a segment's duration in the video's timescale
	trex         *mp4.TrexBox
}

// parseInit reads a moov box.
func parseInit(box []byte) (*initSection, error) {
	moov, err := decodeMoov(box)
	if err != nil {
		return nil, err
	}
	s := &initSection{}
	var video, sound []string // codecs; the video is named first, whatever the tracks' order
	for _, trak := range moov.Traks {
		if trak.Tkhd == nil || trak.Mdia == nil || trak.Mdia.Mdhd == nil || trak.Mdia.Hdlr == nil {
			return nil, errors.New("a track of the init section lacks its header")
		}
		track, err := describe(trak)
		if err != nil {
			return nil, err
		}
		if trak.Mdia.Hdlr.HandlerType != "vide" {
			sound = append(sound, track.Codec)
			continue
		}
		video = append(video, track.Codec)
		s.video = track
		s.videoID = trak.Tkhd.TrackID
		s.timescale = uint64(trak.Mdia.Mdhd.Timescale)
	}
	if len(video) != 1 || len(sound) > 1 {
		return nil, fmt.Errorf("the init section has %d video and %d sound tracks: one video track and at most one sound track are needed", len(video), len(sound))
	}
	s.codecs = video[0]
	if len(sound) == 1 {
		s.codecs += "," + sound[0]
	}
	if s.timescale == 0 || s.timescale*timeline.SegmentMs%1000 != 0 {
		return nil, fmt.Errorf("the video's timescale %d cannot express a segment of %d ms", s.timescale, timeline.SegmentMs)
	}
	s.segmentTicks = s.timescale * timeline.SegmentMs / 1000
	if moov.Mvex != nil {
		for _, trex := range moov.Mvex.Trexs {
			if trex.TrackID == s.videoID {
				s.trex = trex
			}
		}
	}
	return s, nil
}

// describe names the codec and the size of a track. Only H.264 and AAC are published.
func describe(trak *mp4.TrakBox) (Track, error) {
	if trak.Mdia.Minf == nil || trak.Mdia.Minf.Stbl == nil || trak.Mdia.Minf.Stbl.Stsd == nil {
		return Track{}, errors.New("a track of the init section lacks its sample description")
	}
	stsd := trak.Mdia.Minf.Stbl.Stsd
	switch kind := trak.Mdia.Hdlr.HandlerType; {
	case kind == "vide" && stsd.AvcX != nil && stsd.AvcX.AvcC != nil:
		config := stsd.AvcX.AvcC.DecConfRec
		return Track{
			Codec:  fmt.Sprintf("%s.%02x%02x%02x", stsd.AvcX.Type(), config.AVCProfileIndication, config.ProfileCompatibility, config.AVCLevelIndication),
			Width:  int(stsd.AvcX.Width),
			Height: int(stsd.AvcX.Height),
		}, nil
	case kind == "soun" && stsd.Mp4a != nil && stsd.Mp4a.Esds != nil && stsd.Mp4a.Esds.DecConfigDescriptor != nil:
		codec, err := soundCodec(stsd.Mp4a.Esds.DecConfigDescriptor)
		return Track{Codec: codec}, err
	default:
		return Track{}, fmt.Errorf("a track of the kind %q is %w", kind, ErrCodec)
	}
}

// soundCodec is RFC 6381's name: the object type of ISO/IEC 14496-1, then, for MPEG-4
// audio, the audio object type that opens the AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
func soundCodec(d *mp4.DecoderConfigDescriptor) (string, error) {
	const mpeg4Audio, escape = 0x40, 31
	if d.ObjectType != mpeg4Audio || d.DecSpecificInfo == nil || len(d.DecSpecificInfo.DecConfig) < 2 {
		return "", fmt.Errorf("the sound track has the object type 0x%02x, which is %w", d.ObjectType, ErrCodec)
	}
	objectType := int(d.DecSpecificInfo.DecConfig[0] >> 3)
	if objectType == escape {
		objectType = 32 + int(d.DecSpecificInfo.DecConfig[0]&7)<<3 + int(d.DecSpecificInfo.DecConfig[1]>>5)
	}
	return fmt.Sprintf("mp4a.40.%d", objectType), nil
}

// decodeMoov reads the moov box of an init section.
func decodeMoov(box []byte) (*mp4.MoovBox, error) {
	decoded, err := decode(box)
	if err != nil {
		return nil, err
	}
	moov, ok := decoded.(*mp4.MoovBox)
	if !ok {
		return nil, errors.New("the init section has no moov box")
	}
	return moov, nil
}

// decodeMoof reads the moof box of a fragment.
func decodeMoof(box []byte) (*mp4.MoofBox, error) {
	decoded, err := decode(box)
	if err != nil {
		return nil, err
	}
	moof, ok := decoded.(*mp4.MoofBox)
	if !ok {
		return nil, errors.New("a fragment has no moof box")
	}
	return moof, nil
}

// decode parses one box with mp4ff.
func decode(box []byte) (mp4.Box, error) {
	decoded, err := mp4.DecodeBoxSR(0, bits.NewFixedSliceReader(box))
	if err != nil {
		return nil, fmt.Errorf("a %s box makes no sense: %w", box[4:8], err)
	}
	return decoded, nil
}
