package world

// An event is something that happens to one viewer at one moment. What happens millions
// of times has a kind of its own and lies flat in the viewer's inbox; what is rare (joins,
// the tracker, connections) is a call.
type event struct {
	atMs    int32 // after the start
	end     int32 // the viewer's name for the neighbour; or which of its fetches
	tookUs  int32 // of an arrival: from the first byte to the last
	aheadUs int32 // likewise: how long before atMs the last byte is there
	batch   int32 // what was said before in the same message; of a call: which
	saying        // and last; of what is no message only its kind
}

// A saying is what one viewer tells another: a message of the protocol, or as much of it as
// fits. A message of the data channel carries one or more.
type saying struct {
	kind   kind
	flag   bool   // request: the leaf list is wanted too; have: more of it follows; leaf: it is bad
	first  uint16 // piece, or the first of 32; of a leaf its index
	object int32
	what   uint32 // have, gain, coming: which of the 32; request: which leaves; refuse: why
}

// kind is what happens.
type kind uint8

const (
	kindCall    kind = iota // calls[batch] is called
	kindTick                // the shell's timer
	kindLow                 // a send buffer of the viewer has run low
	kindChunk               // bytes of a CDN response reach the downlink
	kindFetched             // and are through it
	kindThrough             // a leaf is through it
	// The rest is said by neighbours, and arrives.
	kindHave
	kindGain
	kindComing
	kindLost
	kindRequest
	kindCancel
	kindRefuse
	kindList
	kindAsk
	kindRecord
	kindLeaf
)

// batches are the sayings of messages under way that carry more than one, kept outside of
// events so that those stay small, and used again. They are numbered from 1.
type batches struct {
	lists [][]saying
	free  []int32
}

func (b *batches) open() int32 {
	if n := len(b.free); n > 0 {
		ref := b.free[n-1]
		b.free = b.free[:n-1]
		return ref
	}
	b.lists = append(b.lists, make([]saying, 0, 4))
	return int32(len(b.lists))
}

func (b *batches) add(ref int32, s saying) { b.lists[ref-1] = append(b.lists[ref-1], s) }

// list is empty if there is none.
func (b *batches) list(ref int32) []saying {
	if ref == 0 {
		return nil
	}
	return b.lists[ref-1]
}

// release takes one back that was read or lost, if there is one.
func (b *batches) release(ref int32) {
	if ref != 0 {
		b.lists[ref-1] = b.lists[ref-1][:0]
		b.free = append(b.free, ref)
	}
}
