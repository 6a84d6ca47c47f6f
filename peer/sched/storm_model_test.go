package sched

import (
	"fmt"

	"pgregory.net/rapid"
)

type (
	leafID struct{ object, leaf int32 }
	ask    struct{ neighbour, object, leaf int32 }
	topic  struct{ neighbour, object, piece int32 }
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
	announced map[topic]bool  // a neighbour announced a piece
	promised  map[topic]bool  // a neighbour said that a piece is coming
	asked     map[topic]int32 // a neighbour asked for leaves of a piece, not answered yet
	told      map[share]bool  // we sent a HAVE
	pending   map[ask]int64   // we asked for a leaf then
	fetches   []run
}

func newModel(t *rapid.T, cfg Config) *model {
	return &model{
		objects: [6]int32{0, 1, 2, 3, 4, 5}, neighbours: [5]int32{0, 1, 2, 3, 4},
		t: t, cfg: cfg, leaves: map[int32]int32{}, size: map[int32]int64{}, here: map[int32]bool{},
		held: map[leafID]bool{}, announced: map[topic]bool{}, promised: map[topic]bool{}, asked: map[topic]int32{}, told: map[share]bool{},
		pending: map[ask]int64{},
	}
}

// learn books what an event says, as somebody outside would.
func (m *model) learn(e *Event) {
	leaves, known := m.leaves[e.Object]
	inRange := known && e.Leaf >= 0 && e.Leaf < leaves
	k := topic{e.Neighbour, e.Object, e.Piece}
	pieceInRange := known && e.Piece >= 0 && e.Piece < Pieces(leaves)
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
		if known && m.here[e.Neighbour] && len(e.Bits) == bitfieldLen(Pieces(leaves)) {
			for i := range Pieces(leaves) {
				m.announced[topic{e.Neighbour, e.Object, i}] = hasBit(e.Bits, i)
			}
		}
	case Gain:
		m.announced[k] = m.announced[k] || pieceInRange && m.here[e.Neighbour]
	case Coming:
		m.promised[k] = m.promised[k] || pieceInRange && m.here[e.Neighbour]
	case Lost:
		for leaf := range leaves {
			delete(m.announced, topic{e.Neighbour, e.Object, leaf})
			delete(m.pending, ask{e.Neighbour, e.Object, leaf})
		}
	case Request:
		if pieceInRange && m.here[e.Neighbour] {
			m.asked[k] |= e.Mask
		}
	case Cancel:
		delete(m.asked, k)
	case Refuse:
		if pieceInRange {
			m.each(e.Object, e.Piece, 15, func(leaf int32) { delete(m.pending, ask{e.Neighbour, e.Object, leaf}) })
		}
	case Verified:
		if inRange {
			m.held[leafID{e.Object, e.Leaf}] = true
		}
	case Unsolicited:
		if inRange && !m.held[leafID{e.Object, e.Leaf}] { // of no use to the shell: it is asked for again
			m.each(e.Object, e.Leaf/PieceLeaves(leaves), 15, func(leaf int32) { delete(m.pending, ask{e.Neighbour, e.Object, leaf}) })
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

// each visits some leaves of a piece.
func (m *model) each(object, piece, mask int32, visit func(leaf int32)) {
	leaves := m.leaves[object]
	each := PieceLeaves(leaves)
	for i := range min(each, leaves-piece*each) {
		if mask>>i&1 != 0 {
			visit(piece*each + i)
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
	for k := range m.promised {
		if about(k.neighbour, k.object) {
			delete(m.promised, k)
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
	k := topic{a.Neighbour, a.Object, a.Piece}
	if (a.Kind == SendGain || a.Kind == SendComing || a.Kind == SendRequest || a.Kind == SendLeaf) && !m.here[a.Neighbour] {
		return "the neighbour is not here" // the other kinds may be answers to somebody who left in the same call
	}
	if m.cfg.NoUpload && (a.Kind == SendHave || a.Kind == SendGain || a.Kind == SendComing || a.Kind == SendLost || a.Kind == SendLeaf) {
		return "but nothing is to be uploaded"
	}
	switch a.Kind {
	case SendRequest:
		if !m.announced[k] && !m.promised[k] {
			return "it neither holds nor expects that"
		}
		if a.Mask == 0 {
			return "but names no leaf"
		}
		fault := ""
		m.each(a.Object, a.Piece, a.Mask, func(leaf int32) { fault += m.checkWanted(a.Object, leaf) })
		return fault
	case SendGain:
		fault := ""
		m.each(a.Object, a.Piece, 15, func(leaf int32) {
			if !m.held[leafID{a.Object, leaf}] {
				fault = "but we do not hold all of that"
			}
		})
		if !m.told[share{a.Neighbour, a.Object}] {
			fault = "before any HAVE"
		}
		return fault
	case SendLeaf:
		each := PieceLeaves(m.leaves[a.Object])
		if !m.held[leafID{a.Object, a.Leaf}] {
			return "but we do not hold that"
		}
		if m.asked[topic{a.Neighbour, a.Object, a.Leaf / each}]>>(a.Leaf%each)&1 == 0 {
			return "but nobody asked"
		}
	case Fetch:
		return m.checkFetch(a)
	}
	return ""
}

// checkWanted says why a leaf should not be asked for.
func (m *model) checkWanted(object, leaf int32) string {
	if m.held[leafID{object, leaf}] {
		return "but we hold that"
	}
	for n := range m.here {
		if sentMs, ok := m.pending[ask{n, object, leaf}]; ok && m.nowMs-sentMs < m.cfg.ProgressMs {
			return fmt.Sprintf("but it is pending at neighbour %d", n)
		}
	}
	for _, f := range m.fetches {
		if f.object == object && f.leaf <= leaf && leaf <= f.last && !m.strays {
			return "but it is pending at the CDN"
		}
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
	k := topic{a.Neighbour, a.Object, a.Piece}
	switch a.Kind {
	case SendHave:
		m.told[share{a.Neighbour, a.Object}] = true
	case SendLost:
		delete(m.told, share{a.Neighbour, a.Object})
	case SendRequest:
		m.each(a.Object, a.Piece, a.Mask, func(leaf int32) { m.pending[ask{a.Neighbour, a.Object, leaf}] = m.nowMs })
	case SendCancel:
		m.each(a.Object, a.Piece, 15, func(leaf int32) { delete(m.pending, ask{a.Neighbour, a.Object, leaf}) })
	case SendLeaf:
		each := PieceLeaves(m.leaves[a.Object])
		m.asked[topic{a.Neighbour, a.Object, a.Leaf / each}] &^= 1 << (a.Leaf % each)
	case SendRefuse:
		delete(m.asked, k)
	case Fetch:
		m.fetches = append(m.fetches, run{a.Object, a.Leaf, a.Last})
	case Drop:
		m.gone(a.Neighbour)
	}
}
