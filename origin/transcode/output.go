package transcode

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"

	"slipstream/origin/cmaf"
)

// An output hands parts and segments to the caller: of a rendition one at a time, and no number twice. Renditions do not wait for each other,
// because what the caller does may take the time of a disk.
type output struct {
	cfg    Config
	logger *slog.Logger
	rungs  map[string]*progress // by rendition
	total  atomic.Int64         // outputs that came from ffmpeg, delivered or not

	mu   sync.Mutex
	made []string // those of the present run
}

// progress is how far a rendition has come.
type progress struct {
	endMs atomic.Int64 // of the newest media

	mu      sync.Mutex // held while the caller has something in hands
	last    int64      // numbers up to this one are used
	begun   int64      // the number that parts were delivered of most recently
	resumed bool       // the segment that comes next is a discontinuity
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
	o.made = made
	o.mu.Unlock()
	for _, p := range o.rungs {
		p.reaches(startMs)
		p.mu.Lock()
		p.last, p.resumed = max(p.last, p.begun), true
		p.mu.Unlock()
	}
}

// reached is the time up to which there is media of all that is made.
func (o *output) reached() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	reached := int64(math.MaxInt64)
	for _, name := range o.made {
		reached = min(reached, o.rungs[name].endMs.Load())
	}
	return reached
}

// reaches is called by one goroutine at a time: that of the rendition, or the one that starts runs while there is none.
func (p *progress) reaches(ms int64) { p.endMs.Store(max(p.endMs.Load(), ms)) }

func (o *output) emit(outputs []cmaf.Output) {
	for _, out := range outputs {
		o.total.Add(1)
		if out.Part != nil {
			o.part(*out.Part)
		} else {
			o.segment(*out.Segment)
		}
	}
}

func (o *output) part(part cmaf.Part) {
	p := o.rungs[part.Rendition]
	p.reaches(part.StartMs + part.DurationMs)
	p.mu.Lock()
	defer p.mu.Unlock()
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
	p.reaches(segment.StartMs + segment.DurationMs)
	p.mu.Lock()
	defer p.mu.Unlock()
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

func (o *output) count() int64 { return o.total.Load() }
