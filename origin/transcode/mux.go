package transcode

import (
	"bytes"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"slipstream/origin/timeline"
)

// A sample is one picture or one frame of sound, on the publisher's clock.
type sample struct {
	video    bool
	keyframe bool
	pts, dts time.Duration
	data     [][]byte // NAL units, or one AAC access unit
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

func newMuxer(p plan, anchor timeline.Anchor, audio *mpeg4audio.AudioSpecificConfig) (*muxer, error) {
	m := &muxer{plan: p, anchor: anchor, video: &mpegts.Track{Codec: &codecs.H264{}}}
	m.writer.W = &m.buffer
	m.writer.Tracks = []*mpegts.Track{m.video}
	if audio != nil {
		m.audio = &mpegts.Track{Codec: &codecs.MPEG4Audio{Config: *audio}}
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
		return m.buffer.Bytes(), err
	}
	if m.audio == nil || pts < m.plan.input(m.plan.start)-timeline.FromMs(100) {
		return nil, nil // sound from before the first picture
	}
	err := m.writer.WriteMPEG4Audio(m.audio, int64(pts), s.data)
	return m.buffer.Bytes(), err
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
