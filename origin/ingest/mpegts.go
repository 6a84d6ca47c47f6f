package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"slipstream/origin/child"
)

// A transport reads an MPEG transport stream (ISO/IEC 13818-1) into a feed.
type transport struct {
	*feed
	ctx      context.Context
	progress func() // is called with each picture

	clock mpegts.TimeDecoder // unwraps 33 bits; one for picture and sound, which are near each other
}

// read goes on until the stream ends or breaks a rule. It always returns an error.
func (t *transport) read(from io.Reader) error {
	r := &mpegts.Reader{R: from}
	if err := r.Initialize(); err != nil {
		return fmt.Errorf("this is no MPEG transport stream: %w", err)
	}
	if err := t.choose(r); err != nil {
		return err
	}
	r.OnDecodeError(func(err error) { t.logger.Debug("a part of the transport stream is lost", "error", err) })
	for {
		if err := r.Read(); err != nil {
			return err
		}
	}
}

// choose takes the first picture and the first sound that there are.
func (t *transport) choose(r *mpegts.Reader) error {
	pictures, sounds := 0, 0
	for _, track := range r.Tracks() {
		switch codec := track.Codec.(type) {
		case *codecs.H264:
			if pictures++; pictures == 1 {
				r.OnDataH264(track, t.takePicture)
			}
		case *codecs.MPEG4Audio:
			if sounds++; sounds > 1 {
				continue
			}
			if err := t.expectSound(codec.Config); err != nil {
				return err
			}
			r.OnDataMPEG4Audio(track, t.takeSound)
		}
	}
	if pictures == 0 {
		return fmt.Errorf("the stream has %d tracks, but no H.264 picture: publish H.264 and AAC", len(r.Tracks()))
	}
	return nil
}

func (t *transport) expectSound(config mpeg4audio.AudioSpecificConfig) error {
	raw, err := config.Marshal()
	if err == nil {
		t.sound, err = soundConfig(raw)
	}
	return err
}

// time converts a time stamp to the publisher's time, which does not wrap.
func (t *transport) time(stamp int64) time.Duration {
	ticks := t.clock.Decode(stamp)
	return time.Duration(ticks/90_000)*time.Second + time.Duration(ticks%90_000)*time.Second/90_000
}

func (t *transport) takePicture(pts, dts int64, unit [][]byte) error {
	t.progress()
	units, keyframe, err := t.sort(unit)
	if err != nil || len(units) == 0 {
		return err
	}
	decoded := t.time(dts)
	holdBack, err := t.picture(units, keyframe, decoded, t.time(pts), time.Now())
	if err != nil {
		return err
	}
	if holdBack > 0 && !child.Sleep(t.ctx, holdBack) {
		return t.ctx.Err()
	}
	return nil
}

// sort leaves delimiters out, and notices other parameter sets: they begin another session.
func (f *feed) sort(unit [][]byte) (units [][]byte, keyframe bool, err error) {
	var parameters [][]byte
	for _, u := range unit {
		if len(u) == 0 {
			continue
		}
		switch h264.NALUType(u[0] & 0x1f) {
		case h264.NALUTypeAccessUnitDelimiter:
			continue
		case h264.NALUTypeSPS, h264.NALUTypePPS:
			parameters = append(parameters, u)
		case h264.NALUTypeIDR:
			keyframe = true
		}
		units = append(units, u)
	}
	if raw := bytes.Join(parameters, nil); len(parameters) > 1 && !bytes.Equal(raw, f.rawVideo) {
		if err := f.end("the publisher's picture has changed"); err != nil {
			return nil, false, err
		}
		f.rawVideo, f.parameters = raw, nil
		for _, p := range parameters {
			f.parameters = append(f.parameters, bytes.Clone(p))
		}
	}
	if keyframe && len(parameters) == 0 {
		units = append(append([][]byte(nil), f.parameters...), units...)
	}
	return units, keyframe, nil
}

func (t *transport) takeSound(pts int64, frames [][]byte) error {
	if t.session == nil {
		return nil
	}
	at := t.time(pts)
	for i, frame := range frames {
		if len(frame) > maxSoundFrame {
			return fmt.Errorf("a frame of sound has %d bytes: AAC has at most %d", len(frame), maxSoundFrame)
		}
		const samples = mpeg4audio.SamplesPerAccessUnit
		if err := t.session.Audio(at+time.Duration(i*samples)*time.Second/time.Duration(t.sound.SampleRate), frame); err != nil {
			return err
		}
	}
	return nil
}
