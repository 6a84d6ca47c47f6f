// Package playout keeps the output of a channel going, whatever becomes of its inputs. It stands between package ingest and the encoder:
//
//	primary ──╮
//	backup  ──┼─switcher─▶ one clock ──▶ encoder (package transcode)
//	slate   ──╯
//
// Package switcher decides which of them feeds the encoder. Here is what that takes:
//
// One clock. Each input is placed on the channel's timeline by when it arrived, as the only one would be, and stays there by its own
// timestamps. Where its key frame would lie before what was already sent, it is moved behind that. So the encoder sees one
// stream, and one life of ffmpeg goes from input to slate and back: no discontinuity, whatever the sizes of the pictures. What
// cannot go through one life is sound of another kind (AAC at another rate or with other channels, Opus): that begins a new one, with a
// discontinuity.
//
// Sound. A channel that has had sound keeps its track: where an input has none, or has stopped to send any, silence takes its place.
//
// Slate. A picture, or black, encoded once at the start (NewSlate), is shown ten times a second, from when an input is lost until
// there is one again, for at most Policy.SlateMs. Shown tells of which times it was shown, so that segments can be marked.
//
// The timeline is set to the clock when the channel goes on the air, and again if the clock was set meanwhile when an input begins. Between,
// only distances count.
//
// Without slate and backup a channel goes off the air with its publisher, at once.
package playout

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"slipstream/origin/switcher"
	"slipstream/origin/timeline"
)

// An Encoder takes what the output shows, on one clock. A transcode.Session is one.
type Encoder interface {
	Video(pts, dts time.Duration, accessUnit [][]byte) error
	Audio(pts time.Duration, accessUnit []byte) error
	Close() error
}

// An Encoding is what an encoder has to know at its start.
type Encoding struct {
	Sound    Sound         // what Audio will be given
	FirstPTS time.Duration // the time of the first picture …
	EpochMs  int64         // … and the epoch that it stands for
}

// Config describes a channel's playout.
type Config struct {
	Policy    switcher.Policy // its SlateMs does not count without Slate
	FrameRate int             // of the output
	// WholeSegments sets the timeline so that the first picture begins a segment, up to two seconds before the clock: the publisher's own
	// key frames are to be used.
	WholeSegments bool
	Slate         *Slate // nil: none
	Start         func(Encoding) (Encoder, error)
	After         func() int64 // the last number that was published
	// Changed is told what feeds the output from now on, and over which protocol. It must not call the playout.
	Changed func(on switcher.Source, protocol string)
	Logger  *slog.Logger
	Now     func() time.Time // time.Now
}

// A Playout is that of one channel. It is safe for concurrent use.
type Playout struct {
	cfg    Config
	opened time.Time
	shown  shown

	mu       sync.Mutex
	switcher *switcher.Switcher
	begun    time.Time // the timeline's zero …
	startMs  int64     // … and its epoch
	inputs   [switcher.Slate]*Input
	current  *Input          // of which a picture was the last; nil: slate, or nothing
	encoder  Encoder         // nil: off the air
	on       switcher.Source // what Changed was told
	edge     edge
	sound    soundTrack
	pictures int // of slate, since it began
	closed   bool
}

// An edge is how far the pictures have come that were given to the encoder.
type edge struct {
	any      bool
	pts, dts time.Duration
}

// New returns the playout of a channel that is off the air.
func New(cfg Config) *Playout {
	if cfg.Slate == nil {
		cfg.Policy.SlateMs = 0
	}
	now := cfg.Now()
	return &Playout{cfg: cfg, opened: now, begun: now, switcher: switcher.New(cfg.Policy)}
}

// Run shows slate where it is due, until the context ends. Then the last segments are encoded.
func (p *Playout) Run(ctx context.Context) error {
	ticker := time.NewTicker(slateInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			p.mu.Lock()
			defer p.mu.Unlock()
			p.closed = true
			return p.end("the origin stops")
		case <-ticker.C:
			p.tick()
		}
	}
}

// Shown reports whether slate was shown between two times, in epoch milliseconds. It may be called by the encoder.
func (p *Playout) Shown(fromMs, toMs int64) bool { return p.shown.during(fromMs, toMs) }

// now is the time of day for the switcher; at is the same on the timeline.
func (p *Playout) now() (nowMs int64, at time.Duration) {
	now := p.cfg.Now()
	return now.Sub(p.opened).Milliseconds(), now.Sub(p.begun)
}

func (p *Playout) epochMs(at time.Duration) int64 { return p.startMs + at.Milliseconds() }

// begin sets the timeline to the clock. Inputs that are there keep their distance from now.
func (p *Playout) begin(arrivedMs int64) error {
	_, at := p.now()
	for _, in := range p.inputs {
		if in != nil {
			in.start -= at
		}
	}
	startMs, err := timeline.RunStartMs(arrivedMs, max(0, p.cfg.After()))
	if err != nil {
		return err
	}
	if ahead := startMs - arrivedMs; ahead > 0 {
		p.cfg.Logger.Warn("the clock was set back: the timeline goes on ahead of it, because numbers never go back", "aheadMs", ahead)
	}
	if p.cfg.WholeSegments {
		startMs -= startMs % timeline.SegmentMs
	}
	p.begun, p.startMs, p.edge = p.cfg.Now(), startMs, edge{}
	return nil
}

// take changes the output to an input that has a key frame at that time.
func (p *Playout) take(in *Input, pts, dts time.Duration) error {
	in.shift = 0
	if frame := time.Second / time.Duration(p.cfg.FrameRate); p.edge.any {
		in.shift = max(0, p.edge.pts+frame-in.at(pts), p.edge.dts+frame-in.at(dts))
	}
	at := in.at(pts)
	if p.encoder != nil && !p.sound.carries(in.sound) {
		if err := p.end("sound of another kind begins"); err != nil {
			return err
		}
	}
	p.sound.follow(at)
	if p.encoder == nil {
		if in.sound.any() {
			p.sound.kind = in.sound
		}
		encoder, err := p.cfg.Start(Encoding{Sound: p.sound.kind, FirstPTS: at, EpochMs: p.epochMs(at)})
		if err != nil {
			return err
		}
		p.encoder = encoder
		p.sound.begin(at)
	}
	p.current = in
	p.shown.end(p.epochMs(at))
	p.changed(in.source, in.protocol)
	return nil
}

// picture gives the encoder a picture, and silence where sound is missing.
func (p *Playout) picture(pts, dts time.Duration, unit [][]byte, soundComes bool) error {
	p.edge = edge{any: true, pts: max(pts, p.edge.pts), dts: max(dts, p.edge.dts)}
	if err := p.sound.fill(p.encoder, pts, soundComes); err != nil {
		return err
	}
	return p.encoder.Video(pts, dts, unit)
}

// tick shows slate if it is due.
func (p *Playout) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	nowMs, at := p.now()
	if err := p.settle(p.switcher.Tick(nowMs)); err != nil {
		p.cfg.Logger.Error("the output did not end well", "error", err)
	}
	if p.switcher.On() != switcher.Slate || p.encoder == nil || at <= p.edge.pts || at <= p.edge.dts {
		return // an input may have been ahead of its time
	}
	if p.pictures == 0 {
		p.shown.begin(p.epochMs(at))
	}
	if err := p.picture(at, at, p.cfg.Slate.picture(p.pictures), false); err != nil {
		p.cfg.Logger.Error("slate cannot be shown", "error", err)
	}
	p.pictures++
}

// settle does what follows from a decision that no picture made.
func (p *Playout) settle(on switcher.Source) error {
	if on == p.on || on == switcher.Primary || on == switcher.Backup {
		return nil
	}
	p.current, p.pictures = nil, 0
	p.changed(on, "")
	if on == switcher.Slate {
		return nil
	}
	_, at := p.now()
	p.shown.end(p.epochMs(at))
	return p.end("there is no input")
}

// end takes the channel off the air, or makes room for another encoder.
func (p *Playout) end(reason string) error {
	if p.encoder == nil {
		return nil
	}
	p.cfg.Logger.Info("an encoding ends", "reason", reason)
	encoder := p.encoder
	p.encoder = nil
	return encoder.Close()
}

func (p *Playout) changed(on switcher.Source, protocol string) {
	p.cfg.Logger.Info("the output changes", "from", p.on.String(), "to", on.String())
	p.on = on
	p.cfg.Changed(on, protocol)
}
