package sched

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestStorm throws events at a core, sensible ones and nonsense, and after each
// call recounts the books and compares the actions with a model of what anybody
// outside could know. The same storm must give the same actions to a core that never
// knows that it need not look at something.
func TestStorm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := DefaultConfig(rapid.Uint32().Draw(rt, "seed"))
		cfg.NoUpload = rapid.IntRange(0, 9).Draw(rt, "no upload") == 0
		if rapid.IntRange(0, 3).Draw(rt, "capped") == 0 {
			cfg.UploadBytesPerSec = rapid.Int64Range(1, 10<<20).Draw(rt, "cap")
		}
		a, b := New(cfg), New(cfg)
		m := newModel(rt, cfg)
		m.strays = rapid.Bool().Draw(rt, "strays")
		nowMs := int64(epochMs)
		for range rapid.IntRange(1, 150).Draw(rt, "calls") {
			nowMs += rapid.Int64Range(0, 300).Draw(rt, "elapsed")
			m.nowMs = nowMs
			var events []Event
			for range rapid.IntRange(0, 6).Draw(rt, "events") {
				e := m.event(nowMs)
				m.learn(&e)
				events = append(events, e)
			}
			if rapid.IntRange(0, 2).Draw(rt, "tick") == 0 {
				events = append(events, Event{Kind: Tick})
			}
			actions := append([]Action(nil), a.Handle(nowMs, events)...)
			checkBooks(rt, a)
			m.after(actions)
			m.checkExpected(a)
			b.askMs, b.quietMs = 0, 0 // it looks at everything in each call
			if again := b.Handle(nowMs, events); !reflect.DeepEqual(actions, append([]Action(nil), again...)) {
				rt.Fatalf("the same input twice:\n%v\n%v", describe(actions), describe(again))
			}
		}
	})
}

func (m *model) pick(name string, weights ...int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	at := rapid.IntRange(0, total-1).Draw(m.t, name)
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	return 0
}

// event draws an event; one id in twenty is nonsense.
func (m *model) event(nowMs int64) Event {
	e := Event{
		Kind: EventKind(m.pick("kind", 1, 6, 4, 1, 6, 1, 8, 12, 6, 1, 12, 3, 6, 20, 1, 2, 8, 3, 6, 3, 1)),
	}
	neighbour, object := rapid.IntRange(0, 4).Draw(m.t, "neighbour"), rapid.IntRange(0, 5).Draw(m.t, "object")
	e.Neighbour, e.Object = m.neighbours[neighbour], m.objects[object]
	switch rapid.IntRange(0, 39).Draw(m.t, "nonsense") {
	case 0: // gone, or never there
		if e.Kind != NeighbourAdd {
			e.Neighbour -= 5
		}
	case 1:
		if e.Kind != ObjectAdd {
			e.Object -= 6
		}
	case 2:
		e.Neighbour = rapid.SampledFrom([]int32{-2, -1}).Draw(m.t, "no neighbour")
	case 3:
		e.Object = rapid.SampledFrom([]int32{-2, -1}).Draw(m.t, "no object")
	}
	leaves := max(m.leaves[e.Object], 1)
	e.Leaf = rapid.Int32Range(0, leaves-1).Draw(m.t, "leaf")
	if rapid.IntRange(0, 39).Draw(m.t, "bad leaf") == 0 {
		e.Leaf = rapid.SampledFrom([]int32{-1, leaves, 1 << 30}).Draw(m.t, "no leaf")
	}
	e.Piece = e.Leaf / PieceLeaves(leaves)
	e.Mask = rapid.Int32Range(0, 15).Draw(m.t, "mask")
	if rapid.IntRange(0, 39).Draw(m.t, "bad piece") == 0 {
		e.Piece = rapid.SampledFrom([]int32{-1, Pieces(leaves), 1 << 30}).Draw(m.t, "no piece")
	}
	if rapid.Bool().Draw(m.t, "an answer") {
		m.answer(&e)
	}
	e.Last, e.Leaves, e.Rendition = e.Leaf, leaves, int32(rapid.IntRange(0, 1).Draw(m.t, "rendition"))
	switch e.Kind {
	case NeighbourAdd:
		if m.here[e.Neighbour] {
			e.Kind = Tick // it may be dropped in this very call, and ids are never reused
		}
	case ObjectAdd:
		m.object(&e, nowMs)
	case ObjectWant:
		e.Value = m.deadline(nowMs)
	case Have:
		m.bits(&e, leaves)
	case Refuse:
		e.Value = rapid.Int64Range(-1, 4).Draw(m.t, "reason")
	case Verified:
		if rapid.IntRange(0, 2).Draw(m.t, "from CDN") == 0 {
			e.Neighbour = CDN
		}
	case FetchDone, FetchFailed:
		m.fetchEnd(&e)
	case Buffered:
		e.Value = rapid.Int64Range(-1, 300<<10).Draw(m.t, "buffered")
	case Duty:
		e.Value = rapid.Int64Range(0, 1<<16-1).Draw(m.t, "stripes")
	case Cap:
		e.Value = rapid.SampledFrom([]int64{0, 1, 30_000, 200_000, 10 << 20, 125_000_000_000}).Draw(m.t, "cap")
	}
	return e
}

// answer makes an event one that refers to something real: to a request of ours, or to a
// leaf that we hold.
func (m *model) answer(e *Event) {
	switch e.Kind {
	case Refuse, Verified, Rejected, Unsolicited:
		open := slices.SortedFunc(maps.Keys(m.pending), func(a, b ask) int {
			return cmp.Or(cmp.Compare(a.neighbour, b.neighbour), cmp.Compare(a.object, b.object), cmp.Compare(a.leaf, b.leaf))
		})
		if len(open) > 0 {
			k := open[rapid.IntRange(0, len(open)-1).Draw(m.t, "request")]
			e.Neighbour, e.Object, e.Leaf = k.neighbour, k.object, k.leaf
			e.Piece = e.Leaf / PieceLeaves(m.leaves[e.Object])
		}
	case Request, Cancel:
		held := slices.SortedFunc(maps.Keys(m.held), func(a, b leafID) int {
			return cmp.Or(cmp.Compare(a.object, b.object), cmp.Compare(a.leaf, b.leaf))
		})
		if len(held) > 0 {
			l := held[rapid.IntRange(0, len(held)-1).Draw(m.t, "held")]
			e.Object, e.Leaf = l.object, l.leaf
			e.Piece = e.Leaf / PieceLeaves(m.leaves[e.Object])
		}
	}
}

func (m *model) object(e *Event, nowMs int64) {
	e.Leaves = rapid.SampledFrom([]int32{1, 2, 7, 16, 40, 100}).Draw(m.t, "leaves")
	e.Size = int64(e.Leaves)*leafSize - rapid.Int64Range(0, leafSize-1).Draw(m.t, "short")
	e.Sequence = rapid.Int64Range(0, 1<<53-1).Draw(m.t, "sequence")
	e.Value = m.deadline(nowMs)
	switch rapid.IntRange(0, 29).Draw(m.t, "bad object") {
	case 0:
		e.Leaves = rapid.SampledFrom([]int32{-1, 0, 4097}).Draw(m.t, "no leaves")
	case 1:
		e.Size = rapid.SampledFrom([]int64{-1, 0, 1 << 40}).Draw(m.t, "no size")
	case 2:
		e.Sequence = -1
	}
}

func (m *model) deadline(nowMs int64) int64 {
	switch rapid.IntRange(0, 9).Draw(m.t, "deadline") {
	case 0:
		return 0
	case 1:
		return -1
	}
	return nowMs + rapid.Int64Range(-1000, 8000).Draw(m.t, "due in")
}

func (m *model) bits(e *Event, leaves int32) {
	n := bitfieldLen(Pieces(leaves))
	if rapid.IntRange(0, 19).Draw(m.t, "wrong length") == 0 {
		n = rapid.IntRange(0, 20).Draw(m.t, "length")
	}
	e.Bits = rapid.SliceOfN(rapid.Byte(), n, n).Draw(m.t, "bits")
}

func (m *model) fetchEnd(e *Event) {
	e.Value, e.ElapsedMs = rapid.Int64Range(0, 1<<21).Draw(m.t, "bytes"), rapid.Int64Range(0, 3000).Draw(m.t, "took")
	if len(m.fetches) > 0 {
		f := m.fetches[rapid.IntRange(0, len(m.fetches)-1).Draw(m.t, "which")]
		e.Object, e.Leaf, e.Last = f.object, f.leaf, f.last
	} else if !m.strays {
		e.Kind = Tick
	}
}
