package sched

// Who a leaf is expected from.
const (
	nobody  int32 = -2
	fromCDN       = CDN
)

// leafState is what is under way for one leaf that we do not hold.
type leafState struct {
	from   int32 // pending at: nobody, fromCDN or a neighbour
	late   int32 // a neighbour that was asked before and may still deliver
	sentMs int64
	dueMs  int64 // when from is expected to have delivered
}

// object is a segment, an init section or a part whose signed record is known.
type object struct {
	id, rendition, leaves int32
	slot                  int // index into every neighbour's holdings
	sequence, size        int64
	addedMs               int64
	deadlineMs            int64 // 0: not wanted

	have    []byte
	missing int32 // leaves not held
	open    int32 // leaves not held and not pending anywhere
	leaf    []leafState
	holders []int32 // neighbours that hold each leaf

	fetchFailures  int32 // CDN requests that failed in a row
	fetchBlockedMs int64 // it is not fetched before then

	fresh      []int32 // leaves verified since the last announcement
	lastGainMs int64
}

func newObject(e *Event, slot int, nowMs int64) *object {
	o := &object{
		id: e.Object, rendition: e.Rendition, leaves: e.Leaves, slot: slot,
		sequence: e.Sequence, size: e.Size, addedMs: nowMs, deadlineMs: e.Value,
		have: make([]byte, bitfieldLen(e.Leaves)), missing: e.Leaves, open: e.Leaves,
		leaf: make([]leafState, e.Leaves), holders: make([]int32, e.Leaves),
		fresh: make([]int32, 0, e.Leaves),
	}
	for i := range o.leaf {
		o.leaf[i] = leafState{from: nobody, late: nobody}
	}
	return o
}

func (o *object) has(leaf int32) bool { return hasBit(o.have, leaf) }

func (o *object) isOpen(leaf int32) bool { return !o.has(leaf) && o.leaf[leaf].from == nobody }

// leafBytes is the size of one leaf: all are full but the last.
func (o *object) leafBytes(leaf int32) int64 {
	return min(leafSize, o.size-int64(leaf)*leafSize)
}

// neighbour is a viewer or seeder at the other end of a data channel.
type neighbour struct {
	id        int32
	holds     [][]byte // by object slot; nil: nothing known
	announced []bool   // by object slot: a HAVE was sent, gains may follow

	rate          int64 // bytes/s at which it delivers, estimated
	inflight      int64 // bytes that it owes us
	progressMs    int64 // when it last delivered, or first owed
	blockedMs     int64 // not asked before then
	strikes, lies int32
	unsolicited   int32
	overAsked     int32

	buffered  int64 // bytes in our send buffer towards it
	drainedMs int64 // when that last shrank or began to fill
	queued    int32 // uploads queued for it
}

func (n *neighbour) holdsLeaf(o *object, leaf int32) bool {
	bits := n.holds[o.slot]
	return bits != nil && hasBit(bits, leaf)
}

// windowBytes is how much may be owed to us at once: enough to keep the
// neighbour's uplink busy over a round trip, little enough to go elsewhere soon.
func (n *neighbour) windowBytes(pipelineMs int64) int64 {
	return min(max(n.rate*pipelineMs/1000, minWindow*leafSize), maxWindow*leafSize)
}

// etaMs estimates how long a further leaf from n would take.
func (n *neighbour) etaMs(bytes int64) int64 {
	return (n.inflight + bytes) * 1000 / n.rate
}
