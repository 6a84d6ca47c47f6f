package sched

import "math/bits"

// Who a piece is expected from.
const (
	nobody  int32 = -2
	fromCDN       = CDN
)

// piece is what is under way of one piece. Masks are of its leaves.
type piece struct {
	from     int32 // pending at: nobody, fromCDN or a neighbour
	late     int32 // a neighbour that was asked before and may still deliver
	sentMs   int64 // when from was asked
	dueMs    int64 // when from is expected to have delivered
	comingMs int64 // until then a neighbour's word counts that it is on its way there
	parked   uint8 // neighbours that wait for it
	advance  bool  // from had not announced it yet when it was asked
	missing  uint8 // leaves that are not verified
	owed     uint8 // leaves asked of from and not sent by it yet
	lateOwed uint8 // leaves that may still come from late
}

// object is a segment, an init section or a part whose signed record is known.
type object struct {
	// What every decision looks at lies together.
	missing        int32 // leaves not held
	onWay          int32 // leaves of those that are pending anywhere
	id, each       int32 // each: leaves of a piece
	deadlineMs     int64 // 0: not wanted
	addedMs        int64 // or when it was wanted anew
	fetchBlockedMs int64 // it is not fetched before then
	books          set   // all sets of pieces, one after the other: see below

	pieces, words int32 // words: of a set
	lacking       int32 // pieces not held
	leaves        int32
	holders       []int32 // by piece: neighbours that hold it and are not mute
	piece         []piece

	sequence, size int64
	lastGainMs     int64
	newsMs         int64 // when the first of fresh came
	born           int64 // the how-manieth it is
	rendition      int32
	rescued        uint32 // stripes that we had to rescue
	fetchFailures  int32  // CDN requests that failed in a row
	news           bool   // fresh is not empty, see Core.news
	knows          []bool // by seat: it has spoken of the object
	told           []bool // by seat: a HAVE was sent, gains may follow

	_ [3]int64 // four lines of the cache each
}

// The books of an object hold these sets, and then those of each seat.
const (
	openSet     int32 = iota // pieces that are not held and not pending anywhere
	aroundSet                // pieces that some neighbour has spoken of, be it long ago
	dutySet                  // pieces that are ours to fetch from the CDN
	actingSet                // likewise, untold: see acting.go
	standingSet              // pieces that we would fetch untold and leave to others this time
	freshSet                 // pieces verified since the last announcement
	ownSets
)

const (
	heldSet     int32 = iota // the pieces that a neighbour holds
	promisedSet              // the pieces that it once said are coming
	hopedSet                 // of those, what it may be asked for in advance
	seatSets
)

// setAt is the at-th of the books.
func (o *object) setAt(at int32) set { return o.books[at*o.words:][:o.words] }

func (o *object) open() set     { return o.setAt(openSet) }
func (o *object) around() set   { return o.setAt(aroundSet) }
func (o *object) duty() set     { return o.setAt(dutySet) }
func (o *object) acting() set   { return o.setAt(actingSet) }
func (o *object) standing() set { return o.setAt(standingSet) }
func (o *object) fresh() set    { return o.setAt(freshSet) }

func (o *object) heldBy(n *neighbour) set { return o.setAt(ownSets + n.seat*seatSets + heldSet) }
func (o *object) promisedBy(n *neighbour) set {
	return o.setAt(ownSets + n.seat*seatSets + promisedSet)
}
func (o *object) hopedOf(n *neighbour) set { return o.setAt(ownSets + n.seat*seatSets + hopedSet) }

// addSeat makes room for a neighbour more.
func (o *object) addSeat() {
	o.books = append(o.books, make(set, seatSets*o.words)...)
	o.told = append(o.told, false)
	o.knows = append(o.knows, false)
}

// reset makes an object of what may have been another before: its memory is used again.
func (o *object) reset(e *Event, seats int32, nowMs int64) {
	each, pieces := PieceLeaves(e.Leaves), Pieces(e.Leaves)
	words := setWords(pieces)
	*o = object{
		id: e.Object, rendition: e.Rendition, leaves: e.Leaves, pieces: pieces, each: each,
		sequence: e.Sequence, size: e.Size, addedMs: nowMs, deadlineMs: e.Value,
		missing: e.Leaves, lacking: pieces, words: words,
		books: zeroed(o.books, words*(ownSets+seats*seatSets)), holders: zeroed(o.holders, pieces), piece: zeroed(o.piece, pieces),
		told: zeroed(o.told, seats), knows: zeroed(o.knows, seats),
	}
	for i := range pieces {
		o.piece[i] = piece{from: nobody, late: nobody, missing: o.all(i)}
		o.open().add(i)
	}
}

// zeroed is n zero values, in the memory of s if that is enough.
func zeroed[S ~[]T, T any](s S, n int32) S {
	if int(n) > cap(s) {
		return make(S, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// all is the mask of all leaves of a piece.
func (o *object) all(i int32) uint8 { return 1<<min(o.each, o.leaves-i*o.each) - 1 }

func (o *object) has(i int32) bool { return o.piece[i].missing == 0 }

// pieceOf is the piece that a leaf is in, and its bit there.
func (o *object) pieceOf(leaf int32) (i int32, bit uint8) { return leaf / o.each, 1 << (leaf % o.each) }

func (o *object) hasLeaf(leaf int32) bool {
	i, bit := o.pieceOf(leaf)
	return o.piece[i].missing&bit == 0
}

// leafBytes is the size of one leaf: all are full but the last.
func (o *object) leafBytes(leaf int32) int64 {
	return min(leafSize, o.size-int64(leaf)*leafSize)
}

// bytes is the size of some leaves of a piece.
func (o *object) bytes(i int32, mask uint8) int64 {
	n := int64(bits.OnesCount8(mask)) * leafSize
	if last := o.leaves - 1 - i*o.each; last < o.each && mask>>last&1 != 0 {
		n -= int64(o.leaves)*leafSize - o.size
	}
	return n
}

// askable tells whether a neighbour may have any piece that is to be asked for.
func (o *object) askable() bool {
	around := o.around()
	for w, open := range o.open() {
		if open&around[w] != 0 {
			return true
		}
	}
	return false
}
