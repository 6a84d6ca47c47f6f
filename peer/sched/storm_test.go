package sched

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestStorm throws events at a core, sensible ones and nonsense, and after each
// call recounts the books and compares the actions with a model of what anybody
// outside could know. The same storm twice must give the same actions.
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
			if again := b.Handle(nowMs, events); !reflect.DeepEqual(actions, append([]Action(nil), again...)) {
				rt.Fatalf("the same input twice:\n%v\n%v", describe(actions), describe(again))
			}
		}
	})
}

type (
	leafID struct{ object, leaf int32 }
	ask    struct{ neighbour, object, leaf int32 }
	share  struct{ neighbour, object int32 }
	run    struct{ object, leaf, last int32 }
)

// model knows what went over the wires, not what the core thinks.
type model struct {
	t      *rapid.T
	cfg    Config
	nowMs  int64
	strays bool // ends of fetches that were never started

	objects    [6]int32 // the ids that are drawn; a new one after each removal
	neighbours [5]int32

	leaves    map[int32]int32 // objects
	size      map[int32]int64
	here      map[int32]bool // neighbours
	held      map[leafID]bool
	announced map[ask]bool   // a neighbour announced a leaf
	asked     map[ask]int    // a neighbour asked for a leaf, not answered yet
	told      map[share]bool // we sent a HAVE
	pending   map[ask]int64  // we asked for a leaf then
	fetches   []run
	sent      int64 // bytes, under a cap
}

func newModel(t *rapid.T, cfg Config) *model {
	return &model{
		objects: [6]int32{0, 1, 2, 3, 4, 5}, neighbours: [5]int32{0, 1, 2, 3, 4},
		t: t, cfg: cfg, leaves: map[int32]int32{}, size: map[int32]int64{}, here: map[int32]bool{},
		held: map[leafID]bool{}, announced: map[ask]bool{}, asked: map[ask]int{}, told: map[share]bool{},
		pending: map[ask]int64{},
	}
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
		Kind: EventKind(m.pick("kind", 1, 6, 4, 1, 6, 1, 8, 12, 1, 12, 3, 6, 20, 1, 2, 8, 3, 6, 3)),
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
		}
	case Request, Cancel:
		held := slices.SortedFunc(maps.Keys(m.held), func(a, b leafID) int {
			return cmp.Or(cmp.Compare(a.object, b.object), cmp.Compare(a.leaf, b.leaf))
		})
		if len(held) > 0 {
			l := held[rapid.IntRange(0, len(held)-1).Draw(m.t, "held")]
			e.Object, e.Leaf = l.object, l.leaf
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
	n := bitfieldLen(leaves)
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

// learn books what an event says, as somebody outside would.
func (m *model) learn(e *Event) {
	leaves, known := m.leaves[e.Object]
	inRange := known && e.Leaf >= 0 && e.Leaf < leaves
	k := ask{e.Neighbour, e.Object, e.Leaf}
	switch e.Kind {
	case ObjectAdd:
		if !known && e.Object >= 0 && e.Leaves >= 1 && e.Leaves <= 4096 && e.Sequence >= 0 &&
			e.Size > int64(e.Leaves-1)*leafSize && e.Size <= int64(e.Leaves)*leafSize {
			m.leaves[e.Object], m.size[e.Object] = e.Leaves, e.Size
		}
	case ObjectRemove:
		if !known {
			return
		}
		m.forget(func(neighbour, object int32) bool { return object == e.Object })
		delete(m.leaves, e.Object)
		m.objects[e.Object%6] += 6
	case NeighbourAdd:
		m.here[e.Neighbour] = m.here[e.Neighbour] || e.Neighbour >= 0
	case NeighbourRemove:
		m.gone(e.Neighbour)
	case Have:
		if known && m.here[e.Neighbour] && len(e.Bits) == bitfieldLen(leaves) {
			for leaf := range leaves {
				m.announced[ask{e.Neighbour, e.Object, leaf}] = hasBit(e.Bits, leaf)
			}
		}
	case Gain:
		m.announced[k] = m.announced[k] || inRange && m.here[e.Neighbour]
	case Lost:
		for leaf := range leaves {
			delete(m.announced, ask{e.Neighbour, e.Object, leaf})
			delete(m.pending, ask{e.Neighbour, e.Object, leaf})
		}
	case Request:
		if inRange && m.here[e.Neighbour] {
			m.asked[k]++
		}
	case Cancel:
		delete(m.asked, k)
	case Refuse:
		delete(m.pending, k)
	case Verified:
		if inRange {
			m.held[leafID{e.Object, e.Leaf}] = true
		}
	case Rejected:
		// leads to Drop, if at all
	case FetchDone, FetchFailed:
		for i, f := range m.fetches {
			if f == (run{e.Object, e.Leaf, e.Last}) {
				m.fetches = append(m.fetches[:i], m.fetches[i+1:]...)
				break
			}
		}
	}
}

func (m *model) gone(neighbour int32) {
	if !m.here[neighbour] {
		return
	}
	delete(m.here, neighbour)
	m.neighbours[neighbour%5] += 5
	m.forget(func(n, object int32) bool { return n == neighbour })
}

func (m *model) forget(about func(neighbour, object int32) bool) {
	for k := range m.announced {
		if about(k.neighbour, k.object) {
			delete(m.announced, k)
		}
	}
	for k := range m.asked {
		if about(k.neighbour, k.object) {
			delete(m.asked, k)
		}
	}
	for k := range m.pending {
		if about(k.neighbour, k.object) {
			delete(m.pending, k)
		}
	}
	for k := range m.told {
		if about(k.neighbour, k.object) {
			delete(m.told, k)
		}
	}
	for k := range m.held {
		if about(-9, k.object) {
			delete(m.held, k)
		}
	}
}

// after checks actions against the model and books them.
func (m *model) after(actions []Action) {
	for _, a := range actions {
		if err := m.check(a); err != "" {
			m.t.Fatalf("%v: %s", describe([]Action{a}), err)
		}
		m.book(a)
	}
	if len(m.fetches) > m.cfg.MaxFetches && !m.strays {
		m.t.Fatalf("%d fetches at once", len(m.fetches))
	}
}

// checkExpected asks for what must still be welcome.
func (m *model) checkExpected(c *Core) {
	for k, sentMs := range m.pending {
		welcome := m.nowMs-sentMs < m.cfg.ProgressMs && !m.held[leafID{k.object, k.leaf}]
		if welcome && !c.Expects(k.neighbour, k.object, k.leaf) {
			m.t.Fatalf("leaf %d of object %d was asked of neighbour %d and is not expected", k.leaf, k.object, k.neighbour)
		}
	}
	for l := range m.held {
		if c.Expects(0, l.object, l.leaf) || c.Expects(CDN, l.object, l.leaf) {
			m.t.Fatalf("leaf %d of object %d is held and expected", l.leaf, l.object)
		}
	}
}

// check says what is wrong with an action, or nothing. Actions of one call are in
// order, but their causes are not known in order here: what an event of the same call
// ended may rightly be the object of an action.
func (m *model) check(a Action) string {
	k, leaf := ask{a.Neighbour, a.Object, a.Leaf}, leafID{a.Object, a.Leaf}
	if (a.Kind == SendGain || a.Kind == SendRequest || a.Kind == SendLeaf) && !m.here[a.Neighbour] {
		return "the neighbour is not here" // the other kinds may be answers to somebody who left in the same call
	}
	if m.cfg.NoUpload && (a.Kind == SendHave || a.Kind == SendGain || a.Kind == SendLost || a.Kind == SendLeaf) {
		return "but nothing is to be uploaded"
	}
	switch a.Kind {
	case SendRequest:
		if !m.announced[k] {
			return "it does not hold that"
		}
		if m.held[leaf] {
			return "but we hold that"
		}
		for n := range m.here {
			if sentMs, ok := m.pending[ask{n, a.Object, a.Leaf}]; ok && m.nowMs-sentMs < m.cfg.ProgressMs {
				return fmt.Sprintf("but it is pending at neighbour %d", n)
			}
		}
		for _, f := range m.fetches {
			if f.object == a.Object && f.leaf <= a.Leaf && a.Leaf <= f.last && !m.strays {
				return "but it is pending at the CDN"
			}
		}
	case SendGain, SendLeaf:
		if !m.held[leaf] {
			return "but we do not hold that"
		}
		if a.Kind == SendLeaf && m.asked[k] == 0 {
			return "but nobody asked"
		}
		if a.Kind == SendGain && !m.told[share{a.Neighbour, a.Object}] {
			return "before any HAVE"
		}
	case Fetch:
		return m.checkFetch(a)
	}
	return ""
}

func (m *model) checkFetch(a Action) string {
	if a.Leaf < 0 || a.Last < a.Leaf || a.Last >= m.leaves[a.Object] {
		return "no such leaves"
	}
	for leaf := a.Leaf; leaf <= a.Last; leaf++ {
		if m.held[leafID{a.Object, leaf}] {
			return "but we hold some of that"
		}
	}
	for _, f := range m.fetches {
		if f.object == a.Object && f.leaf <= a.Last && a.Leaf <= f.last && !m.strays && m.missing(f) {
			return fmt.Sprintf("but %v is under way", f)
		}
	}
	return ""
}

// missing tells whether a fetch still has something to bring that is missing.
func (m *model) missing(f run) bool {
	for leaf := f.leaf; leaf <= f.last; leaf++ {
		if !m.held[leafID{f.object, leaf}] {
			return true
		}
	}
	return false
}

func (m *model) book(a Action) {
	k := ask{a.Neighbour, a.Object, a.Leaf}
	switch a.Kind {
	case SendHave:
		m.told[share{a.Neighbour, a.Object}] = true
	case SendLost:
		delete(m.told, share{a.Neighbour, a.Object})
	case SendRequest:
		m.pending[k] = m.nowMs
	case SendCancel:
		delete(m.pending, k)
	case SendLeaf, SendRefuse:
		delete(m.asked, k)
	case Fetch:
		m.fetches = append(m.fetches, run{a.Object, a.Leaf, a.Last})
	case Drop:
		m.gone(a.Neighbour)
	}
}
