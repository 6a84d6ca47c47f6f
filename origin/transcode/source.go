package transcode

import (
	"bytes"
	"fmt"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"slipstream/origin/timeline"
)

// source is what a publisher's parameter sets say of its picture. The zero value: nothing is known.
type source struct {
	width, height int
	sps           h264.SPS
	parameters    []byte // the sets themselves
}

// sourceOf reads the sequence parameter set in front of a key frame.
func sourceOf(unit [][]byte) source {
	s := read(unit)
	s.parameters = parametersOf(unit)
	return s
}

// parametersOf are the parameter sets of an access unit, one after the other; not nil.
func parametersOf(unit [][]byte) []byte {
	out := []byte{}
	for _, nal := range unit {
		if len(nal) > 0 && (h264.NALUType(nal[0]&0x1f) == h264.NALUTypeSPS || h264.NALUType(nal[0]&0x1f) == h264.NALUTypePPS) {
			out = append(out, nal...)
		}
	}
	return out
}

func read(unit [][]byte) source {
	for _, nal := range unit {
		if len(nal) == 0 || h264.NALUType(nal[0]&0x1f) != h264.NALUTypeSPS {
			continue
		}
		var s source
		if s.sps.Unmarshal(nal) != nil {
			continue
		}
		s.width, s.height = s.sps.Width(), s.sps.Height()
		const most = 16_384 // of level 6.2; more is nonsense
		if s.width < 1 || s.width > most || s.height < 1 || s.height > most {
			continue
		}
		return s
	}
	return source{}
}

// fills reports whether a rung can be made of the source without scaling up: the whole picture is fitted into the rung, so
// its tighter side decides.
func (s source) fills(r Rung) bool {
	return s.width == 0 || r.Width <= s.width || r.Height <= s.height
}

// fault says why the source's picture cannot be passed on to viewers as it is, or nothing. What it says of itself must be
// what every player decodes, and still be so; whether its key frames lie where segments begin shows later (alignment).
func (s source) fault(now source) string {
	const baseline, main, high, maxLevel, maxWidth, maxHeight = 66, 77, 100, 52, 4096, 2304
	switch {
	case !bytes.Equal(s.parameters, now.parameters):
		return another
	case s.width == 0:
		return "its parameters are not understood"
	case s.sps.ProfileIdc != baseline && s.sps.ProfileIdc != main && s.sps.ProfileIdc != high:
		return fmt.Sprintf("not every player has the H.264 profile %d: publish Baseline, Main or High", s.sps.ProfileIdc)
	case !s.sps.FrameMbsOnlyFlag:
		return "it is interlaced"
	case s.sps.LevelIdc > maxLevel || s.width > maxWidth || s.height > maxHeight:
		return fmt.Sprintf("its size of %d×%d at level %d.%d is too much for many players", s.width, s.height, s.sps.LevelIdc/10, s.sps.LevelIdc%10)
	}
	return ""
}

const (
	another    = "another picture has come on, of a backup, slate or a publisher that returned: until the channel goes off the air it is transcoded"
	noKeyframe = "it has no key frame at every multiple of two seconds from its first: set the publisher's key-frame interval to 2 s or 1 s"
)

// snap is how far a key frame may lie beside a boundary to be put on it: less than a picture lasts, and more than
// timestamps of whole milliseconds are off.
const snap = timeline.TicksPerSecond * 5 / 1000

// alignment watches whether a picture that is passed on can be cut on the epoch grid. Nothing is shown after a key frame (IDR) that
// was sent before it, so B-frames do not matter: ffmpeg moves all decoding times by the delay of the first picture (+cmaf has
// offsets that may be negative), and those of key frames are when they are shown.
type alignment struct {
	number  timeline.Ticks // of the segment that the newest picture lies in
	delay   time.Duration  // of the first picture, between decoding and showing it
	started bool

	parameters []byte // of the first picture
}

// check says why a picture does not fit, or nothing. A key frame that lies a little beside a boundary is put on it.
func (a *alignment) check(m *sample, anchor timeline.Anchor) (fault string) {
	if !a.started {
		a.delay, a.parameters = m.pts-m.dts, parametersOf(m.data)
	}
	if m.keyframe && !bytes.Equal(parametersOf(m.data), a.parameters) {
		return another
	}
	epoch, err := anchor.Epoch(m.pts)
	if err != nil {
		return err.Error()
	}
	nearest := (epoch + segmentTicks/2) / segmentTicks * segmentTicks
	if off := epoch - nearest; m.keyframe && off >= -snap && off <= snap {
		epoch = nearest
		m.pts = anchor.Source(epoch)
		m.dts = m.pts - a.delay // which timestamps of whole milliseconds may make a little longer or shorter
	}
	number := (epoch + snap) / segmentTicks
	begins := m.keyframe && epoch == number*segmentTicks
	if a.started && number != a.number && !begins {
		return noKeyframe
	}
	a.number, a.started = number, true
	return ""
}
