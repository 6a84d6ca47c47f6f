package world

// An event is something that happens to one viewer at one moment. What happens millions
// of times has a kind of its own and lies flat in the viewer's inbox; what is rare (joins,
// the tracker, connections) is a call.
type event struct {
	atMs    int32 // after the start
	kind    eventKind
	message messageKind
	flag    bool  // request: the leaf list is wanted too
	reason  uint8 // refuse
	end     int32 // the viewer's name for the neighbour; or which of its fetches
	object  int32
	leaf    int32 // or piece, if batch is 0; of a request piece·16 + mask
	batch   int32 // several leaves, or a bitfield; of a call: which
	tookUs  int32 // of an arrival: from the first byte to the last
	aheadUs int32 // of an arrival: how long before atMs the last byte is there
}

type eventKind uint8

const (
	eventCall    eventKind = iota // calls[batch] is called
	eventTick                     // the shell's timer
	eventArrives                  // a message reaches the viewer's downlink
	eventThrough                  // and is through it
	eventLow                      // a send buffer of the viewer has run low
	eventChunk                    // bytes of a CDN response reach the downlink
	eventFetched                  // and are through it
)

type messageKind uint8

const (
	messageHave messageKind = iota
	messageGain
	messageComing
	messageLost
	messageRequest
	messageCancel
	messageRefuse
	messageList
	messageLeaf
)

// batches are lists of pieces and bitfields that messages under way carry, kept
// outside of events so that those stay small, and used again. They are numbered
// from 1.
type batches struct {
	lists [][]uint16
	bits  [][]byte
	free  []int32 // of lists
	spare []int32 // of bits
}

func (b *batches) newList() int32 {
	if n := len(b.free); n > 0 {
		ref := b.free[n-1]
		b.free = b.free[:n-1]
		b.lists[ref-1] = b.lists[ref-1][:0]
		return ref
	}
	b.lists = append(b.lists, make([]uint16, 0, 8))
	return int32(len(b.lists))
}

func (b *batches) newBits(of []byte) int32 {
	if n := len(b.spare); n > 0 {
		ref := b.spare[n-1]
		b.spare = b.spare[:n-1]
		b.bits[ref-1] = append(b.bits[ref-1][:0], of...)
		return ref
	}
	b.bits = append(b.bits, append([]byte(nil), of...))
	return int32(len(b.bits))
}

// list is the pieces of a message that names more than one.
func (b *batches) list(ref int32) *[]uint16 { return &b.lists[ref-1] }

// bitfield is that of a HAVE.
func (b *batches) bitfield(ref int32) []byte { return b.bits[ref-1] }

// release takes back what a message carried, once it is read or lost.
func (b *batches) release(e *event) {
	switch {
	case e.batch == 0:
	case e.message == messageHave:
		b.spare = append(b.spare, e.batch)
	default:
		b.free = append(b.free, e.batch)
	}
}
