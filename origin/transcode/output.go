package transcode

import (
	"log/slog"
	"sync"

	"slipstream/origin/cmaf"
)

// An output hands segments to the caller: one at a time, and no number twice.
type output struct {
	channel string
	deliver func(channel string, segment cmaf.Segment)
	logger  *slog.Logger

	mu      sync.Mutex
	last    map[string]int64 // the last number, by rendition
	resumed map[string]bool  // the next segment of a rendition is a discontinuity
	total   int              // segments that came from ffmpeg, delivered or not
}

func newOutput(cfg Config) *output {
	o := &output{channel: cfg.Channel, deliver: cfg.OnSegment, logger: cfg.Logger, last: make(map[string]int64), resumed: make(map[string]bool)}
	for _, rung := range cfg.Ladder {
		o.last[rung.Name] = cfg.After
	}
	return o
}

// runStarts marks what comes next as a discontinuity, even if the run's own first segment
// has to be dropped.
func (o *output) runStarts() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.last {
		o.resumed[name] = true
	}
}

func (o *output) emit(segments []cmaf.Segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, segment := range segments {
		o.total++
		if last := o.last[segment.Rendition]; segment.Number <= last {
			o.logger.Debug("a segment was dropped because its number is used", "rendition", segment.Rendition, "number", segment.Number, "last", last)
			continue
		}
		segment.Discontinuity = o.resumed[segment.Rendition]
		o.resumed[segment.Rendition] = false
		o.last[segment.Rendition] = segment.Number
		if o.deliver != nil {
			o.deliver(o.channel, segment)
		}
	}
}

func (o *output) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total
}
