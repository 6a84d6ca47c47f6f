package ingest

import (
	"bytes"
	"fmt"
	"log/slog"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"slipstream/origin/timeline"
)

const (
	// soundWait is how long a session waits, on the publisher's clock, for the parameters
	// of sound that was announced.
	soundWait = time.Second
	// aheadMs is how far ahead of its time a picture may arrive; more is held back.
	aheadMs = 1000
	// jumpMs is how far ahead, or back against the picture before, is a jump in time.
	jumpMs = 5000
	// driftMs is how late even the promptest pictures may become before the anchor is
	// made anew.
	driftMs = 2000
	// maxSoundFrame is what the 13 bits of an ADTS header can express.
	maxSoundFrame = 8191 - 7
)

// A feed turns the messages of one connection into sessions. It has no goroutine: time
// comes with each message.
type feed struct {
	channel  string // or BackupOf one
	protocol string
	start    func(p Publication) (Session, error)
	logger   *slog.Logger

	parameters [][]byte // SPS and PPS
	rawVideo   []byte   // as they were announced, to notice a change
	rawSound   []byte
	sound      *mpeg4audio.AudioSpecificConfig
	opus       bool // sound is Opus, which needs no parameters
	announced  bool // the metadata promises sound
	further    bool // there are tracks that are left out
	firstDTS   time.Duration
	seen       bool // firstDTS is valid

	session Session // nil: waiting for a key frame
	origin  time.Time
	anchor  timeline.Anchor
	epochMs int64 // at origin
	lastDTS time.Duration
	drift   timeline.Drift
}

// take handles one message that arrived at now. It returns for how long the next one
// should be left in the publisher's hands.
func (f *feed) take(m *rawmessage.Message, now time.Time) (holdBack time.Duration, err error) {
	switch message.Type(m.Type) {
	case message.TypeDataAMF0:
		f.takeMetadata(m.Body)
	case message.TypeCommandAMF0, message.TypeCommandAMF3:
		cmd, ok, err := readCommand(m)
		if err != nil {
			return 0, err
		}
		if ok && (cmd.name == "deleteStream" || cmd.name == "FCUnpublish" || cmd.name == "closeStream") {
			return 0, errEnded
		}
	case message.TypeVideo:
		return f.takeVideo(m, now)
	case message.TypeAudio:
		return 0, f.takeAudio(m)
	}
	return 0, nil
}

// takeMetadata learns from onMetaData whether sound will come. Metadata that makes no
// sense is ignored: nothing depends on it but half a second at the start.
func (f *feed) takeMetadata(body []byte) {
	values, err := decodeValues(body)
	if err != nil {
		return
	}
	for _, value := range values {
		var o amf0.Object
		switch v := value.(type) {
		case amf0.Object:
			o = v
		case amf0.ECMAArray:
			o = amf0.Object(v)
		}
		// A number in FLV, a four-letter code in Enhanced RTMP; 0 stands for none.
		if codec, ok := o.Get("audiocodecid"); ok && codec != nil && codec != float64(0) && codec != "" {
			f.announced = true
		}
	}
}

func (f *feed) takeAudio(m *rawmessage.Message) error {
	t, err := readAudio(m.Body)
	if err != nil {
		return err
	}
	switch t.kind {
	case tagConfig:
		return f.setSound(t.data)
	case tagFrame:
		return f.frame(m.Timestamp, t.data)
	case tagFurther:
		f.leaveOut()
	}
	return nil
}

// leaveOut takes note of a track that has no place in a channel.
func (f *feed) leaveOut() {
	if !f.further {
		f.logger.Warn("one picture and one sound are enough: further tracks of the publisher are left out")
	}
	f.further = true
}

// setSound takes an AudioSpecificConfig.
func (f *feed) setSound(config []byte) (err error) {
	if bytes.Equal(config, f.rawSound) {
		return nil
	}
	if f.sound, err = soundConfig(config); err != nil {
		return err
	}
	f.rawSound = bytes.Clone(config)
	return f.end("the publisher's sound has begun or changed")
}

// frame passes an AAC access unit on.
func (f *feed) frame(pts time.Duration, data []byte) error {
	if f.session == nil || f.sound == nil {
		return nil
	}
	if len(data) > maxSoundFrame {
		return fmt.Errorf("a frame of sound has %d bytes: AAC has at most %d", len(data), maxSoundFrame)
	}
	return f.session.Audio(pts, data)
}

func (f *feed) takeVideo(m *rawmessage.Message, now time.Time) (holdBack time.Duration, err error) {
	t, err := readVideo(m.Body)
	if err != nil {
		return 0, err
	}
	switch t.kind {
	case tagConfig:
		return 0, f.setPicture(t.data)
	case tagFrame:
		units, keyframe, err := accessUnit(t.data, f.parameters)
		if err != nil || len(units) == 0 {
			return 0, err
		}
		return f.picture(units, keyframe, m.Timestamp, m.Timestamp+t.offset, now)
	case tagFurther:
		f.leaveOut()
	}
	return 0, nil
}

// setPicture takes an AVCDecoderConfigurationRecord.
func (f *feed) setPicture(config []byte) (err error) {
	if bytes.Equal(config, f.rawVideo) {
		return nil
	}
	if f.parameters, err = parameterSets(config); err != nil {
		return err
	}
	f.rawVideo = bytes.Clone(config)
	return f.end("the publisher's picture has changed")
}

// picture passes a picture on, to a new session if it is time for one.
func (f *feed) picture(units [][]byte, keyframe bool, dts, pts time.Duration, now time.Time) (holdBack time.Duration, err error) {
	if f.session != nil {
		if holdBack, err = f.judge(dts, now); err != nil {
			return 0, err
		}
	}
	f.lastDTS = dts
	if f.session == nil {
		if !f.seen {
			f.firstDTS, f.seen = dts, true
		}
		waiting := f.announced && f.sound == nil && dts-f.firstDTS < soundWait
		if !keyframe || waiting || len(f.parameters) == 0 {
			return 0, nil
		}
		if err := f.begin(dts, pts, now); err != nil {
			return 0, err
		}
	}
	return holdBack, f.session.Video(pts, dts, units)
}

// judge compares a picture's time with the wall clock, and ends the session where the two
// no longer fit together.
func (f *feed) judge(dts time.Duration, now time.Time) (holdBack time.Duration, err error) {
	// The monotonic clock: a publication is not torn apart when the wall clock is set.
	nowMs := f.epochMs + now.Sub(f.origin).Milliseconds()
	late := f.anchor.LatenessMs(dts, nowMs)
	switch least, judged := f.drift.Observe(nowMs, late); {
	case f.lastDTS-dts > jumpMs*time.Millisecond || late < -jumpMs:
		return 0, f.end("the publisher's time has jumped")
	case judged && least > driftMs:
		return 0, f.end("the publisher's clock is slow, its pictures come ever later")
	}
	return time.Duration(max(0, -late-aheadMs)) * time.Millisecond, nil
}

func (f *feed) begin(dts, pts time.Duration, now time.Time) error {
	channel, backup := SplitPlace(f.channel)
	p := Publication{Channel: channel, Backup: backup, Protocol: f.protocol, Audio: f.sound, Opus: f.opus, FirstPTS: pts, ArrivedMs: now.UnixMilli()}
	const anyRate = 30 // only distances matter here
	anchor, err := timeline.NewAnchor(dts, p.ArrivedMs, anyRate)
	if err != nil {
		return err
	}
	session, err := f.start(p)
	if err != nil {
		return refuse("the channel cannot be published at the moment: %v", err)
	}
	f.session, f.anchor, f.origin, f.epochMs, f.drift = session, anchor, now, p.ArrivedMs, timeline.Drift{}
	f.logger.Info("a publication begins", "sound", f.sound != nil || f.opus, "arrivedMs", p.ArrivedMs)
	return nil
}

// end closes the session, if there is one; the next key frame begins another.
func (f *feed) end(reason string) error {
	if f.session == nil {
		return nil
	}
	f.logger.Info("a publication ends", "reason", reason)
	session := f.session
	f.session = nil
	return session.Close()
}

// hangUp ends what is left of a publication when its connection has ended.
func (f *feed) hangUp(c *claim) {
	c.end()
	if err := f.end("the publisher has gone"); err != nil {
		f.logger.Error("a session did not end well", "error", err)
	}
}
