package ingest

import (
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// An rtpFeed takes what comes over WebRTC: H.264 and Opus.
type rtpFeed struct {
	*feed
	progress func() // is called with each picture
}

// SoundBegins implements rtc.Receiver. Opus over RTP needs no parameters: it is there or not.
func (f rtpFeed) SoundBegins() error {
	f.opus = true
	return f.end("the publisher's sound has begun")
}

// Picture implements rtc.Receiver. Nothing can be held back: RTP is sent in real time or lost.
func (f rtpFeed) Picture(pts time.Duration, units [][]byte, at time.Time) (waiting bool, err error) {
	f.progress()
	units, keyframe, err := f.sort(units)
	if err == nil && shows(units) {
		_, err = f.picture(units, keyframe, pts, pts, at)
	}
	return f.session == nil, err
}

// shows reports whether there is a picture among NAL units: some encoders send parameter sets by themselves.
func shows(units [][]byte) bool {
	for _, u := range units {
		if kind := h264.NALUType(u[0] & 0x1f); kind >= h264.NALUTypeNonIDR && kind <= h264.NALUTypeIDR {
			return true
		}
	}
	return false
}

// Sound implements rtc.Receiver.
func (f rtpFeed) Sound(pts time.Duration, packet []byte) error {
	if f.session == nil {
		return nil
	}
	return f.session.Audio(pts, packet)
}
