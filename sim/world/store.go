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
			if e.early[i].object == object && e.open {
				v.tell(sched.Event{Kind: sched.Have, Neighbour: int32(n), Object: object, Bits: e.early[i].bits})
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
func (v *viewer) heard(n, object int32, bits []byte) {
	switch {
	case v.objects.at(object) != nil:
		own := append([]byte(nil), bits...) // the message's are used again before the core reads them
		v.tell(sched.Event{Kind: sched.Have, Neighbour: n, Object: object, Bits: own})
	case object >= v.objects.next() && v.playlist.loaded:
		e := v.earlyFor(n, object)
		if e != nil {
			e.bits = append(e.bits[:0], bits...)
		}
		v.playlistIsOld()
	}
}

// gained takes a GAIN.
func (v *viewer) gained(e *event) {
	switch {
	case v.objects.at(e.object) != nil:
		v.tellEach(e, sched.Gain, 0)
	case e.object >= v.objects.next():
		known := v.earlyFor(e.end, e.object)
		if known == nil || len(known.bits) == 0 {
			return // a GAIN without a HAVE before it says nothing
		}
		if e.batch == 0 {
			known.bits[e.leaf>>3] |= 0x80 >> (e.leaf & 7)
			return
		}
		for _, piece := range *v.w.batches.list(e.batch) {
			known.bits[piece>>3] |= 0x80 >> (piece & 7)
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

// pieceBits says which pieces are whole.
func (h *held) pieceBits(leaves int32, into []byte) []byte {
	each, pieces := sched.PieceLeaves(leaves), sched.Pieces(leaves)
	into = append(into[:0], make([]byte, (pieces+7)/8)...)
	for i := range pieces {
		whole := true
		for leaf := i * each; leaf < min((i+1)*each, leaves); leaf++ {
			whole = whole && h.has(leaf)
		}
		if whole {
			into[i>>3] |= 0x80 >> (i & 7)
		}
	}
	return into
}

func countBits(b []byte) (n int32) {
	for _, x := range b {
		n += int32(bits.OnesCount8(x))
	}
	return n
}
