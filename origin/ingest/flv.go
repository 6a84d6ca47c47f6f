package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// What the body of an audio or video message can be.
type tagKind int

const (
	tagOther   tagKind = iota // nothing for us: end of sequence, metadata, an empty picture
	tagConfig                 // parameters
	tagFrame                  // a picture or a frame of sound
	tagFurther                // of another track than the first
)

// A tag is the body of an audio or video message (FLV 10.1, E.4.2 and E.4.3; Enhanced
// RTMP 2, "Extended VideoTagHeader"). Its slices point into the body.
type tag struct {
	kind   tagKind
	offset time.Duration // of the presentation from the decoding time
	data   []byte
}

// maxUnits bounds the NAL units of one picture: sliced encoders write a few dozen.
const maxUnits = 256

var videoCodecs = map[byte]string{2: "Sorenson H.263", 3: "Screen Video", 4: "VP6", 5: "VP6 with alpha", 6: "Screen Video 2", 12: "H.265"}

var audioCodecs = map[byte]string{0: "PCM", 1: "ADPCM", 2: "MP3", 3: "PCM", 4: "Nellymoser", 5: "Nellymoser", 6: "Nellymoser", 7: "G.711", 8: "G.711", 11: "Speex", 13: "Opus", 14: "MP3"}

func readVideo(body []byte) (tag, error) {
	if len(body) == 0 {
		return tag{}, nil
	}
	if body[0]&0x80 != 0 {
		return readExVideo(body)
	}
	const infoFrame, h264Codec = 5, 7
	if body[0]>>4 == infoFrame {
		return tag{}, nil
	}
	if codec := body[0] & 0x0f; codec != h264Codec {
		return tag{}, refuse("the video codec %s is not supported: publish H.264", named(videoCodecs, codec))
	}
	if len(body) < 5 {
		return tag{}, errors.New("a video message is cut off")
	}
	switch body[1] {
	case 0:
		return tag{kind: tagConfig, data: body[5:]}, nil
	case 1:
		return tag{kind: tagFrame, offset: offsetOf(body[2:]), data: body[5:]}, nil
	}
	return tag{}, nil // the end of the sequence
}

// offsetOf reads a signed number of 24 bits, in milliseconds.
func offsetOf(b []byte) time.Duration {
	return time.Duration(int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8)>>8) * time.Millisecond
}

func readAudio(body []byte) (tag, error) {
	if len(body) == 0 {
		return tag{}, nil
	}
	const aacCodec, exHeader = 10, 9
	switch codec := body[0] >> 4; {
	case codec == exHeader:
		return readExAudio(body)
	case codec != aacCodec:
		return tag{}, refuse("the audio codec %s is not supported: publish AAC", named(audioCodecs, codec))
	case len(body) < 2:
		return tag{}, errors.New("an audio message is cut off")
	case len(body) == 2: // OBS and others send empty ones
		return tag{}, nil
	case body[1] == 0:
		return tag{kind: tagConfig, data: body[2:]}, nil
	case body[1] == 1:
		return tag{kind: tagFrame, data: body[2:]}, nil
	}
	return tag{}, nil
}

func named(names map[byte]string, codec byte) string {
	if name, ok := names[codec]; ok {
		return name
	}
	return fmt.Sprintf("number %d", codec)
}

// parameterSets are the SPS and PPS of an AVCDecoderConfigurationRecord (ISO/IEC
// 14496-15, 5.3.3.1).
func parameterSets(config []byte) ([][]byte, error) {
	record, err := avc.DecodeAVCDecConfRec(config)
	if err != nil {
		return nil, fmt.Errorf("the H.264 parameters make no sense: %w", err)
	}
	var sets [][]byte
	for _, set := range append(record.SPSnalus, record.PPSnalus...) {
		if len(set) > 0 {
			sets = append(sets, bytes.Clone(set))
		}
	}
	if len(record.SPSnalus) == 0 || len(record.PPSnalus) == 0 || len(sets) < 2 {
		return nil, errors.New("the H.264 parameters lack a parameter set")
	}
	return sets, nil
}

// accessUnit splits a picture into NAL units and puts the parameter sets in front of a
// key frame that has none. Delimiters are dropped: each stage writes its own.
func accessUnit(data []byte, parameters [][]byte) (units [][]byte, keyframe bool, err error) {
	hasSPS := false
	for len(data) > 0 {
		if len(data) < 4 {
			return nil, false, errors.New("a picture is cut off")
		}
		size := binary.BigEndian.Uint32(data)
		data = data[4:]
		if uint64(size) > uint64(len(data)) {
			return nil, false, errors.New("a picture is cut off")
		}
		unit := data[:size]
		data = data[size:]
		if size == 0 {
			continue
		}
		switch h264.NALUType(unit[0] & 0x1f) {
		case h264.NALUTypeAccessUnitDelimiter:
			continue
		case h264.NALUTypeSPS:
			hasSPS = true
		case h264.NALUTypeIDR:
			keyframe = true
		}
		if len(units) == maxUnits {
			return nil, false, fmt.Errorf("a picture has more than %d parts", maxUnits)
		}
		units = append(units, unit)
	}
	if keyframe && !hasSPS {
		units = append(append([][]byte(nil), parameters...), units...)
	}
	return units, keyframe, nil
}

// soundConfig reads an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1). The profiles that
// ADTS cannot carry are refused.
func soundConfig(config []byte) (*mpeg4audio.AudioSpecificConfig, error) {
	var c mpeg4audio.AudioSpecificConfig
	if err := c.Unmarshal(config); err != nil {
		return nil, refuse("the AAC parameters are not supported (%v): publish AAC-LC", err)
	}
	trial := mpeg4audio.ADTSPackets{{Type: c.Type, SampleRate: c.SampleRate, ChannelConfig: c.ChannelConfig, AU: []byte{0}}}
	if _, err := trial.Marshal(); err != nil || c.ChannelConfig == 0 {
		return nil, refuse("sound at %d Hz with the channel layout %d is not supported: publish AAC-LC, mono or stereo, at 44100 or 48000 Hz", c.SampleRate, c.ChannelConfig)
	}
	return &c, nil
}
