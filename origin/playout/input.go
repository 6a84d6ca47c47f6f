package playout

import (
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"slipstream/origin/switcher"
)

// clockMs is how far the timeline and the clock may be apart.
const clockMs = 60_000

// A Publication is what is known when an input begins.
type Publication struct {
	Backup    bool
	Protocol  string // for people
	Sound     Sound
	FirstPTS  time.Duration // its own time of its first picture, a key frame …
	ArrivedMs int64         // … and when that arrived, in epoch milliseconds
}

// An Input is one publication. Its methods are those of a session of package ingest, for one goroutine. What it gives while another
// input feeds the output goes nowhere.
type Input struct {
	playout  *Playout
	source   switcher.Source
	protocol string
	sound    Sound
	start    time.Duration // where on the timeline its own zero lies …
	shift    time.Duration // … and how far behind that it was moved when it came on
}

// Join adds an input. There may be one primary and one backup at a time.
func (p *Playout) Join(pub Publication) (*Input, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := &Input{playout: p, source: switcher.Primary, protocol: pub.Protocol, sound: pub.Sound}
	if pub.Backup {
		in.source, in.protocol = switcher.Backup, pub.Protocol+", backup"
	}
	switch {
	case p.closed:
		return nil, errors.New("the origin is stopping")
	case p.inputs[in.source] != nil:
		return nil, fmt.Errorf("there is a %v input already", in.source)
	}
	if err := p.set(pub.ArrivedMs); err != nil {
		return nil, err
	}
	nowMs, at := p.now()
	in.start = at - pub.FirstPTS
	p.inputs[in.source] = in
	p.switcher.Join(in.source, nowMs)
	return in, nil
}

// set sets the timeline to the clock if nothing lies on it, or if the clock was set since: what is numbered by a wrong clock is not signed.
func (p *Playout) set(arrivedMs int64) error {
	_, at := p.now()
	off := arrivedMs - p.epochMs(at)
	switch {
	case p.switcher.On() == switcher.Nothing && p.inputs[switcher.Primary] == nil && p.inputs[switcher.Backup] == nil:
	case off < -clockMs || off > clockMs:
		if err := p.end("the clock was set"); err != nil {
			return err
		}
	default:
		return nil
	}
	return p.begin(arrivedMs)
}

// at is the time on the timeline of one of the input's own.
func (in *Input) at(pts time.Duration) time.Duration { return in.start + in.shift + pts }

// Video takes an access unit, as transcode.Session does.
func (in *Input) Video(pts, dts time.Duration, unit [][]byte) error {
	p := in.playout
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inputs[in.source] != in || p.closed {
		return errors.New("the input has ended")
	}
	nowMs, now := p.now()
	key := startsDecoding(unit)
	late := now - in.start - pts
	if !p.switcher.Picture(in.source, nowMs, switcher.Picture{Key: key, LateMs: late.Milliseconds()}) {
		return nil
	}
	if p.current != in || p.encoder == nil {
		if !key {
			return nil
		}
		if err := p.take(in, pts, dts); err != nil {
			return err
		}
	}
	return p.picture(in.at(pts), in.at(dts), unit, in.sound.any())
}

// Audio takes an AAC access unit or an Opus packet.
func (in *Input) Audio(pts time.Duration, unit []byte) error {
	p := in.playout
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != in || p.encoder == nil || !in.sound.any() {
		return nil
	}
	at := in.at(pts)
	if !p.sound.hear(at, p.edge.pts, unit) {
		return nil
	}
	return p.encoder.Audio(at, unit)
}

// Close ends the input. The channel's last segments are out when it returns, if nothing else feeds the output.
func (in *Input) Close() error {
	p := in.playout
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inputs[in.source] != in {
		return nil
	}
	p.inputs[in.source] = nil
	if p.current == in {
		p.current = nil
	}
	nowMs, _ := p.now()
	return p.settle(p.switcher.Leave(in.source, nowMs))
}

// startsDecoding reports whether a decoder can begin with an access unit.
func startsDecoding(unit [][]byte) bool {
	for _, nal := range unit {
		if len(nal) > 0 && h264.NALUType(nal[0]&0x1f) == h264.NALUTypeIDR {
			return true
		}
	}
	return false
}
