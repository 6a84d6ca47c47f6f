package playout

import (
	"bytes"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
)

// A Sound is the kind of sound that an input sends. The zero value: none.
type Sound struct {
	AAC  *mpeg4audio.AudioSpecificConfig
	Opus bool
}

func (s Sound) any() bool { return s.Opus || s.AAC != nil }

// same reports whether an encoder notices no difference.
func (s Sound) same(other Sound) bool {
	if s.Opus != other.Opus || (s.AAC == nil) != (other.AAC == nil) {
		return false
	}
	if s.AAC == nil {
		return true
	}
	mine, err := s.AAC.Marshal()
	theirs, otherErr := other.AAC.Marshal()
	return err == nil && otherErr == nil && bytes.Equal(mine, theirs)
}

// length is how long a frame lasts.
func (s Sound) length(frame []byte) time.Duration {
	if s.Opus {
		return time.Duration(opus.PacketDuration2(frame)) * time.Second / 48_000
	}
	return mpeg4audio.SamplesPerAccessUnit * time.Second / time.Duration(s.AAC.SampleRate)
}

// silence is a frame of it, nil where we have none. Of AAC-LC it is all that is left when every band of every channel is empty, for 1 to
// 6 channels; of Opus, a packet of 20 ms that says nothing.
func (s Sound) silence() []byte {
	switch {
	case s.Opus:
		return []byte{0xfc, 0xff, 0xfe}
	case s.AAC != nil && s.AAC.Type == mpeg4audio.ObjectTypeAACLC && s.AAC.ChannelConfig >= 1 && int(s.AAC.ChannelConfig) <= len(silentAAC):
		return silentAAC[s.AAC.ChannelConfig-1]
	}
	return nil
}

// silentAAC is, by the number of channels less one, a raw_data_block (ISO/IEC 14496-3, table 4.3) without sound.
var silentAAC = [][]byte{
	{0x00, 0xc8, 0x00, 0x80, 0x23, 0x80},
	{0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80},
	{0x00, 0xc8, 0x00, 0x80, 0x20, 0x84, 0x01, 0x26, 0x40, 0x08, 0x64, 0x00, 0x8e},
	{0x00, 0xc8, 0x00, 0x80, 0x20, 0x84, 0x01, 0x26, 0x40, 0x08, 0x64, 0x00, 0x80, 0x2c, 0x80, 0x08, 0x02, 0x38},
	{0x00, 0xc8, 0x00, 0x80, 0x20, 0x84, 0x01, 0x26, 0x40, 0x08, 0x64, 0x00, 0x82, 0x30, 0x04, 0x99, 0x00, 0x21, 0x90, 0x02, 0x38},
	{0x00, 0xc8, 0x00, 0x80, 0x20, 0x84, 0x01, 0x26, 0x40, 0x08, 0x64, 0x00, 0x82, 0x30, 0x04, 0x99, 0x00, 0x21, 0x90, 0x02, 0x00, 0xb2, 0x00, 0x20, 0x08, 0xe0},
}

const (
	// soundPatience is how long the pictures go on alone before silence takes the place of sound that was promised.
	soundPatience = time.Second
	// mostSilence is the longest hole that is filled by us; the encoder's resampler fills it too, once sound comes again.
	mostSilence = 5 * time.Second
)

// A soundTrack is the sound that an encoder is given.
type soundTrack struct {
	kind  Sound         // stays when the channel goes off the air: who returns without sound gets silence
	end   time.Duration // where what was given ends
	heard time.Duration // where the pictures were when the input was last heard
	muted time.Duration // what an input gives from before this was filled already
}

// carries reports whether the encoder can go on with an input's sound.
func (s *soundTrack) carries(sound Sound) bool { return !sound.any() || sound.same(s.kind) }

// begin is called with each encoder, and follow with each input.
func (s *soundTrack) begin(at time.Duration) { s.end, s.muted = at, at-time.Hour }

func (s *soundTrack) follow(at time.Duration) { s.heard, s.muted = at, max(s.muted, s.end) }

// hear takes note of an input's frame, and reports whether it has a place.
func (s *soundTrack) hear(at, pictures time.Duration, frame []byte) bool {
	s.heard = pictures
	length := s.kind.length(frame)
	if at < s.muted-length/2 {
		return false
	}
	s.end = at + length
	return true
}

// fill gives the encoder silence up to a picture, if sound is missing there.
func (s *soundTrack) fill(encoder Encoder, at time.Duration, comes bool) error {
	silence := s.kind.silence()
	if silence == nil || comes && at-s.heard <= soundPatience {
		return nil
	}
	s.end = max(s.end, at-mostSilence)
	for length := s.kind.length(silence); s.end+length <= at; s.end += length {
		if err := encoder.Audio(s.end, silence); err != nil {
			return err
		}
	}
	s.muted = s.end
	return nil
}
