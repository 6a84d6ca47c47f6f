package transcode

import (
	"log/slog"
	"math"
	"sync"

	"slipstream/origin/cmaf"
)

// An output hands parts and segments to the caller: one at a time, and no number twice.
type output struct {
	cfg    Config
	logger *slog.Logger

	mu    sync.Mutex
	rungs map[string]*progress // by rendition
	made  []string             // those of the present run
	total int                  // outputs that came from ffmpeg, delivered or not
}

// progress is how far a rendition has come.
type progress struct {
	last    int64 // numbers up to this one are used
	begun   int64 // the number that parts were delivered of most recently
	resumed bool  // the segment that comes next is a discontinuity
	endMs   int64 // of the newest media
}

func newOutput(cfg Config) *output {
	o := &output{cfg: cfg, logger: cfg.Logger, rungs: make(map[string]*progress)}
	for _, name := range append(names(cfg.Ladder), SourceRung) {
		o.rungs[name] = &progress{last: cfg.After}
	}
	return o
}

// runStarts marks what comes next as a discontinuity, even if the run's own first segment has to be dropped. A segment
// of which the run before delivered parts can not be completed by this one: its pictures are others.
func (o *output) runStarts(made []string, startMs int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.made = made
	for _, p := range o.rungs {
		p.last, p.resumed, p.endMs = max(p.last, p.begun), true, max(p.endMs, startMs)
	}
}

// reached is the time up to which there is media of all that is made.
func (o *output) reached() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	reached := int64(math.MaxInt64)
	for _, name := range o.made {
		reached = min(reached, o.rungs[name].endMs)
	}
	return reached
}

func (o *output) emit(outputs []cmaf.Output) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, out := range outputs {
		o.total++
		media := out.Segment
		if out.Part != nil {
			media = &out.Part.Segment
		}
		p := o.rungs[media.Rendition]
		p.endMs = max(p.endMs, media.StartMs+media.DurationMs)
		if out.Part != nil {
			o.part(*out.Part)
		} else {
			o.segment(*out.Segment)
		}
	}
}

func (o *output) part(part cmaf.Part) {
	p := o.rungs[part.Rendition]
	if part.Number <= p.last {
		return
	}
	part.Discontinuity = p.resumed
	p.begun = part.Number
	if o.cfg.OnPart != nil {
		o.cfg.OnPart(o.cfg.Channel, part)
	}
}

func (o *output) segment(segment cmaf.Segment) {
	p := o.rungs[segment.Rendition]
	if segment.Number <= p.last {
		o.logger.Debug("a segment was dropped because its number is used", "rendition", segment.Rendition, "number", segment.Number, "last", p.last)
		return
	}
	segment.Discontinuity = p.resumed
	p.last, p.resumed = segment.Number, false
	if o.cfg.OnSegment != nil {
		o.cfg.OnSegment(o.cfg.Channel, segment)
	}
}

func (o *output) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total
}
