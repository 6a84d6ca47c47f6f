package playout

import (
	"math"
	"sync"
)

// mostShown bounds what is remembered: segments come out seconds after their pictures went in.
const mostShown = 64

// shown is when slate was on the output, in epoch milliseconds. It has a lock of its own: the encoder asks while it is being closed.
type shown struct {
	mu    sync.Mutex
	spans []span // in order; the last may be open
}

type span struct{ from, to int64 }

func (s *shown) begin(ms int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spans) == mostShown {
		s.spans = append(s.spans[:0], s.spans[1:]...)
	}
	s.spans = append(s.spans, span{ms, math.MaxInt64})
}

func (s *shown) end(ms int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.spans); n > 0 && s.spans[n-1].to == math.MaxInt64 {
		s.spans[n-1].to = ms
	}
}

func (s *shown) during(from, to int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		if span.from < to && from < span.to {
			return true
		}
	}
	return false
}
