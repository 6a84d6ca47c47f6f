package transcode

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"slipstream/origin/timeline"
)

// A sample is one picture or one frame of sound, on the publisher's clock.
type sample struct {
	video    bool
	keyframe bool
	pts, dts time.Duration
	data     [][]byte // NAL units, or one AAC access unit or Opus packet
	size     int
}

// A muxer writes samples as MPEG-TS on the clock of a plan.
type muxer struct {
	plan         plan
	anchor       timeline.Anchor
	buffer       bytes.Buffer
	writer       mpegts.Writer
	video, audio *mpegts.Track
	lastDTS      timeline.Ticks
}

// sound is the codec of the sound in MPEG-TS, nil if there is none.
func (cfg Config) sound() codecs.Codec {
	switch {
	case cfg.Opus:
		const stereo = 2 // RFC 7587: over RTP it is always said to be; each packet says what it is
		return &codecs.Opus{Desc: &substructs.OpusAudioDescriptor{ChannelConfigCode: stereo}}
	case cfg.Audio != nil:
		return &codecs.MPEG4Audio{Config: *cfg.Audio}
	}
	return nil
}

func newMuxer(p plan, anchor timeline.Anchor, sound codecs.Codec) (*muxer, error) {
	m := &muxer{plan: p, anchor: anchor, video: &mpegts.Track{Codec: &codecs.H264{}}}
	m.writer.W = &m.buffer
	m.writer.Tracks = []*mpegts.Track{m.video}
	if sound != nil {
		m.audio = &mpegts.Track{Codec: sound}
		m.writer.Tracks = append(m.writer.Tracks, m.audio)
	}
	return m, m.writer.Initialize()
}

// write returns the bytes for a sample, which are valid until the next call, and none for
// a sample that has no place in the run.
func (m *muxer) write(s sample) ([]byte, error) {
	m.buffer.Reset()
	pts, ptsOK := m.clock(s.pts)
	dts, dtsOK := m.clock(s.dts)
	if !ptsOK || !dtsOK {
		return nil, nil
	}
	if s.video {
		if dts <= m.lastDTS { // ffmpeg would drop it too, with a warning for each
			return nil, nil
		}
		m.lastDTS = dts
		err := m.writer.WriteH264(m.video, int64(pts), int64(dts), s.data)
		sayLength(m.buffer.Bytes(), m.video.PID)
		return m.buffer.Bytes(), err
	}
	if m.audio == nil || pts < m.plan.input(m.plan.start)-timeline.FromMs(100) {
		return nil, nil // sound from before the first picture
	}
	write := m.writer.WriteMPEG4Audio
	if _, opus := m.audio.Codec.(*codecs.Opus); opus {
		write = m.writer.WriteOpus
	}
	err := write(m.audio, int64(pts), s.data)
	return m.buffer.Bytes(), err
}

// sayLength has the PES packet of a picture say how long it is, if it can. The library leaves that open, as it may; then ffmpeg knows that
// the picture is complete when the next one begins, and all that is live is a picture later.
func sayLength(packets []byte, pid uint16) {
	const size, longest = 188, 1<<16 - 1 // of a TS packet (ISO/IEC 13818-1, 2.4.3.2), and of what a PES packet may say (2.4.3.6)
	var header []byte
	length := 0
	for ; len(packets) >= size; packets = packets[size:] {
		if binary.BigEndian.Uint16(packets[1:])&0x1fff != pid {
			continue
		}
		payload := packets[4:size]
		if packets[3]&0x20 != 0 { // an adaptation field is before it
			payload = payload[min(1+int(payload[0]), len(payload)):]
		}
		if header == nil {
			header = payload
		}
		length += len(payload)
	}
	const fixed = 6 // start code, stream id and the length itself
	if length -= fixed; length > 0 && length <= longest && len(header) >= fixed {
		binary.BigEndian.PutUint16(header[4:], uint16(length))
	}
}

// clock converts a publisher's timestamp to the clock of the MPEG-TS, which must stay
// within 33 bits.
func (m *muxer) clock(source time.Duration) (timeline.Ticks, bool) {
	epoch, err := m.anchor.Epoch(source)
	if err != nil {
		return 0, false
	}
	t := m.plan.input(epoch)
	return t, t >= timeline.FromMs(leadMs/10) && t < 1<<33
}
