package sched

import (
	"math/bits"
	"testing"
)

// steady is a viewer in the middle of things: 12 neighbours, each holding two thirds of
// 48 segments of 31 pieces, four of them wanted, some 64 pieces in flight. Each step is
// 7 ms: one leaf arrives, one neighbour gains a leaf, one asks for one, one send
// buffer drains.
type steady struct {
	core    *Core
	nowMs   int64
	wanted  int32
	step    int32
	events  []Event
	actions int
}

const (
	steadyNeighbours = 12
	steadyObjects    = 96
	steadyWanted     = 4
	steadyLeaves     = 31
	steadyPieces     = 31
)

func newSteady() *steady {
	s := &steady{core: New(DefaultConfig(1)), nowMs: epochMs, events: make([]Event, 0, 16)}
	var setup []Event
	for n := range int32(steadyNeighbours) {
		setup = append(setup, Event{Kind: NeighbourAdd, Neighbour: n})
	}
	for o := range int32(steadyObjects) {
		setup = append(setup, Event{Kind: ObjectAdd, Object: o, Sequence: int64(o), Leaves: steadyLeaves,
			Size: steadyLeaves * leafSize})
		for n := range int32(steadyNeighbours) {
			bits := make([]byte, bitfieldLen(steadyPieces))
			for i := range int32(steadyPieces) {
				if mix32(uint32(o<<16|n<<8|i))%3 > 0 {
					setBit(bits, i)
				}
			}
			setup = append(setup, Event{Kind: Have, Neighbour: n, Object: o, Bits: bits})
		}
	}
	s.core.Handle(s.nowMs, setup)
	for range steadyWanted {
		s.wantNext()
	}
	for range 300 { // past the first surprises, and every slice has its size
		s.advance()
	}
	return s
}

func (s *steady) wantNext() {
	s.events = append(s.events, Event{Kind: ObjectWant, Object: s.wanted, Value: s.nowMs + 60_000})
	s.wanted++
}

// done tells that the objects are used up.
func (s *steady) done() bool { return s.wanted == steadyObjects }

func (s *steady) advance() {
	s.step++
	s.nowMs += 7
	from := s.step % steadyNeighbours
	for _, o := range s.core.wanted {
		if leaf := oldestFrom(o, from); leaf >= 0 {
			s.events = append(s.events, Event{Kind: Verified, Neighbour: from, Object: o.id, Leaf: leaf})
			break
		}
	}
	if len(s.core.wanted) > 0 {
		o := s.core.wanted[0]
		s.events = append(s.events,
			Event{Kind: Gain, Neighbour: (from + 3) % steadyNeighbours, Object: o.id, Piece: s.step % steadyPieces},
			Event{Kind: Request, Neighbour: (from + 5) % steadyNeighbours, Object: 0, Piece: s.step % steadyPieces, Mask: 15},
			Event{Kind: Buffered, Neighbour: (from + 7) % steadyNeighbours, Value: 0})
	}
	if s.step%7 == 0 {
		s.events = append(s.events, Event{Kind: Tick})
	}
	s.actions += len(s.core.Handle(s.nowMs, s.events))
	s.events = s.events[:0]
	if len(s.core.wanted) < steadyWanted && !s.done() {
		s.wantNext()
	}
}

func oldestFrom(o *object, from int32) int32 {
	oldest := int32(-1)
	for i := range o.pieces {
		if o.piece[i].from == from && (oldest < 0 || o.piece[i].sentMs < o.piece[oldest].sentMs) {
			oldest = i
		}
	}
	if oldest < 0 {
		return oldest
	}
	return oldest*o.each + int32(bits.TrailingZeros8(o.piece[oldest].owed))
}

func (s *steady) inFlight() int {
	n := 0
	for _, o := range s.core.wanted {
		for i := range o.pieces {
			if o.piece[i].from >= 0 {
				n++
			}
		}
	}
	return n
}

// TestSteadyStateAllocatesNothing holds the core to what a simulator of a million
// viewers needs.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	s := newSteady()
	fewest, most := 1<<30, 0
	allocs := testing.AllocsPerRun(1000, func() {
		s.advance()
		fewest, most = min(fewest, s.inFlight()), max(most, s.inFlight())
	})
	if s.done() {
		t.Fatal("the objects were used up: this is not the steady state")
	}
	if fewest < 48 || most > 100 {
		t.Fatalf("%d to %d leaves in flight, about 64 are wanted", fewest, most)
	}
	if allocs != 0 {
		t.Fatalf("%v allocations per call", allocs)
	}
	checkBooks(t, s.core)
}

// BenchmarkHandle prints the time of one call and of one decision (an action).
func BenchmarkHandle(b *testing.B) {
	s := newSteady()
	actions, flights, calls := 0, 0, 0
	b.ReportAllocs()
	for range b.N {
		if s.done() {
			b.StopTimer()
			actions += s.actions
			s = newSteady()
			b.StartTimer()
		}
		s.advance()
		calls++
	}
	b.StopTimer()
	flights = s.inFlight()
	actions += s.actions
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(actions, 1)), "ns/decision")
	b.ReportMetric(float64(actions)/float64(calls), "decisions/op")
	b.ReportMetric(float64(flights), "inflight")
}
