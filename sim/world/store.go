package world

import (
	"math/bits"

	"slipstream/peer/sched"
)

// held is what a viewer knows and holds of one segment.
type held struct {
	bits    []byte // leaves, BEP 3 order
	missing int32
	list    bool // has the leaf list
	startup bool // was in the first playlist
	wantMs  int64
}

func (h *held) has(leaf int32) bool { return h.bits[leaf>>3]&(0x80>>(leaf&7)) != 0 }

// objects are the segments that a viewer knows: those from first on, without a gap.
type objects struct {
	first int32
	held  []held
}

func (o *objects) at(object int32) *held {
	i := object - o.first
	if i < 0 || i >= int32(len(o.held)) {
		return nil
	}
	return &o.held[i]
}

// next is the first segment that is not known yet.
func (o *objects) next() int32 { return o.first + int32(len(o.held)) }

// addObject makes a new segment known to the viewer, and to its core together
// with what neighbours have announced of it already.
func (v *viewer) addObject(object int32, wantMs int64, startup bool) {
	s := &v.w.stream
	v.objects.held = append(v.objects.held, held{
		bits: make([]byte, (s.leaves+7)/8), missing: s.leaves, startup: startup, wantMs: wantMs,
	})
	v.tell(sched.Event{
		Kind: sched.ObjectAdd, Object: object, Leaves: s.leaves, Size: s.size,
		Sequence: s.sequence(object), Value: wantMs,
	})
	if v.counts() && !startup && wantMs > 0 {
		stats := v.w.segmentStats(object)
		stats.slackMs += wantMs - s.publishedMs(object)
		stats.slacks++
	}
	v.lies(object)
	for n := range v.ends {
		e := &v.ends[n]
		for i := range e.early {
			if e.early[i].object == object && len(e.early[i].pieces) > 0 && e.open {
				v.tellHave(int32(n), object, e.early[i].pieces)
				for w, which := range e.early[i].coming {
					v.tellPieces(int32(n), &saying{object: object, first: uint16(w * 32), what: which}, sched.Coming)
				}
			}
		}
		v.forgetEarly(int32(n), object)
	}
}

// removeObject forgets the oldest segment.
func (v *viewer) removeObject() {
	v.tell(sched.Event{Kind: sched.ObjectRemove, Object: v.objects.first})
	v.objects.held = v.objects.held[1:]
	v.objects.first++
}

// heard takes a HAVE. One about a segment that is not in our playlist yet says
// that there is a newer playlist.
func (v *viewer) heard(n int32, s *saying) {
	if s.first == 0 {
		v.w.heard = v.w.heard[:0]
	}
	v.w.heard = append(v.w.heard, s.what)
	switch {
	case s.flag: // the rest follows
	case v.objects.at(s.object) != nil:
		v.tellHave(n, s.object, v.w.heard)
	case s.object >= v.objects.next() && v.playlist.loaded:
		if e := v.earlyFor(n, s.object); e != nil {
			e.pieces = append(e.pieces[:0], v.w.heard...)
			e.coming = append(e.coming[:0], make([]uint32, len(e.pieces))...)
		}
		v.ask(n, s.object)
		v.playlistIsOld()
	}
}

// tellHave tells the core all that a neighbour holds of a segment.
func (v *viewer) tellHave(n, object int32, pieces []uint32) {
	from := len(v.w.bits)
	for i := range sched.Pieces(v.w.stream.leaves) {
		if i%8 == 0 {
			v.w.bits = append(v.w.bits, 0)
		}
		v.w.bits[len(v.w.bits)-1] |= byte(pieces[i>>5]>>(i&31)&1) << (7 - i%8)
	}
	v.tell(sched.Event{Kind: sched.Have, Neighbour: n, Object: object, Bits: v.w.bits[from:len(v.w.bits):len(v.w.bits)]})
}

// gained takes a GAIN.
func (v *viewer) gained(n int32, s *saying) {
	switch {
	case v.objects.at(s.object) != nil:
		v.tellPieces(n, s, sched.Gain)
	case s.object >= v.objects.next():
		if known := v.earlyFor(n, s.object); known != nil && len(known.pieces) > 0 { // without a HAVE before it, it says nothing
			known.pieces[s.first>>5] |= s.what
		}
	}
}

// promised takes a COMING.
func (v *viewer) promised(n int32, s *saying) {
	switch {
	case v.objects.at(s.object) != nil:
		v.tellPieces(n, s, sched.Coming)
	case s.object >= v.objects.next():
		if known := v.earlyFor(n, s.object); known != nil && len(known.coming) > 0 {
			known.coming[s.first>>5] |= s.what
		}
	}
}

// earlyFor finds or makes the note of what a neighbour announced too early.
func (v *viewer) earlyFor(n, object int32) *early {
	from := &v.ends[n]
	for i := range from.early {
		if from.early[i].object == object {
			return &from.early[i]
		}
	}
	if len(from.early) >= maxEarly {
		return nil
	}
	from.early = append(from.early, early{object: object})
	return &from.early[len(from.early)-1]
}

func (v *viewer) forgetEarly(n, object int32) {
	from := &v.ends[n]
	for i := range from.early {
		if from.early[i].object == object {
			from.early = append(from.early[:i], from.early[i+1:]...)
			return
		}
	}
}

// store puts a verified leaf away and tells the core, the books and the player.
func (v *viewer) store(h *held, object, leaf, from int32) {
	if h.has(leaf) {
		v.w.audit.fail("viewer %d stores leaf %d of segment %d twice", v.number, leaf, object)
		return
	}
	h.bits[leaf>>3] |= 0x80 >> (leaf & 7)
	h.missing--
	v.tell(sched.Event{Kind: sched.Verified, Neighbour: from, Object: object, Leaf: leaf})
	v.count(object, leaf, from)
	if h.missing > 0 {
		return
	}
	if n := countBits(h.bits); n != v.w.stream.leaves {
		v.w.audit.fail("viewer %d takes segment %d for complete with %d of %d leaves", v.number, object, n, v.w.stream.leaves)
	}
	v.completed(object)
	v.fetchInOrder()
}

// pieces says which pieces are whole, 32 to a word.
func (h *held) pieces(leaves int32, into []uint32) []uint32 {
	each, pieces := sched.PieceLeaves(leaves), sched.Pieces(leaves)
	into = into[:0]
	for i := range pieces {
		whole := uint32(1)
		for leaf := i * each; leaf < min((i+1)*each, leaves); leaf++ {
			if !h.has(leaf) {
				whole = 0
			}
		}
		if i%32 == 0 {
			into = append(into, 0)
		}
		into[i/32] |= whole << (i % 32)
	}
	return into
}

func countBits(b []byte) (n int32) {
	for _, x := range b {
		n += int32(bits.OnesCount8(x))
	}
	return n
}
