package sched

// EventKind says which fields of an Event count.
type EventKind uint8

const (
	// Tick: nothing happened but time. The shell sends one every TickMs.
	Tick EventKind = iota
	// ObjectAdd: a signed record was verified. Object, Rendition, Sequence,
	// Leaves, Size; Value is the deadline in epoch ms, 0 if not wanted (yet).
	ObjectAdd
	// ObjectWant: Object is needed by Value (epoch ms); 0: no longer needed,
	// what is held of it is still served.
	ObjectWant
	// ObjectRemove: Object left the window or the store: neither wanted nor served.
	ObjectRemove
	// NeighbourAdd: the data channel to Neighbour is open.
	NeighbourAdd
	// NeighbourRemove: it is closed.
	NeighbourRemove
	// Have: Neighbour holds exactly the pieces in Bits of Object (BEP 3 order);
	// no bit set: it knows the record and holds nothing yet.
	Have
	// Gain: Neighbour now also holds Piece of Object.
	Gain
	// Coming: Piece of Object is on its way to Neighbour.
	Coming
	// Lost: Neighbour no longer holds anything of Object.
	Lost
	// Request: Neighbour asks for the leaves in Mask of Piece of Object.
	Request
	// Cancel: Neighbour no longer wants Piece of Object.
	Cancel
	// Refuse: Neighbour will not send Piece of Object; Value is a RefuseReason.
	Refuse
	// Verified: Leaf of Object is in the store; it came from Neighbour, or from
	// the CDN if Neighbour is CDN.
	Verified
	// Rejected: what Neighbour sent as Leaf of Object did not match the record.
	Rejected
	// Unsolicited: Neighbour sent Leaf of Object and Expects did not know it;
	// Object is -1 if it is not known either.
	Unsolicited
	// FetchDone: the CDN fetch of leaves Leaf..Last of Object ended; Value is the
	// number of bytes received, ElapsedMs the time from request to last byte.
	FetchDone
	// FetchFailed: it ended without all of its leaves; Value is the HTTP status, 0
	// if there was none.
	FetchFailed
	// Buffered: Value bytes wait in the send buffer towards Neighbour.
	Buffered
	// Duty: Value is the mask of the stripes of Rendition that are ours to fetch
	// from the CDN; it replaces the mask before.
	Duty
	// Cap: from now on Value bytes/s are uploaded at most; 0: as much as there is.
	Cap
)

// CDN stands for a neighbour in Verified: the leaf came over HTTP.
const CDN int32 = -1

// Event is one thing that happened. A flat struct, so that a million of them
// cost no allocation and a trace of them is easy to write down.
type Event struct {
	Kind      EventKind
	Neighbour int32 // ≥ 0, given by the shell, never reused
	Object    int32 // ≥ 0, given by the shell, never reused
	Piece     int32
	Mask      int32 // of a piece's leaves: bit i is its i-th
	Leaf      int32
	Last      int32
	Rendition int32
	Leaves    int32  // 1..4096
	Size      int64  // bytes
	Sequence  int64  // segment number
	Value     int64  // see the kind
	ElapsedMs int64  // FetchDone
	Bits      []byte // Have; not retained
}

// ActionKind says what the shell is to do.
type ActionKind uint8

const (
	// SendHave: tell Neighbour all pieces that we hold of Object, be it none.
	SendHave ActionKind = iota
	// SendGain: tell Neighbour that we now hold Piece of Object. Several in a row
	// to one neighbour about one object belong into one message.
	SendGain
	// SendComing: tell Neighbour that Piece of Object is on its way to us; several
	// in a row likewise.
	SendComing
	// SendLost: tell Neighbour that Object is gone.
	SendLost
	// SendRequest: ask Neighbour for the leaves in Mask of Piece of Object; several
	// in a row likewise.
	SendRequest
	// SendCancel: take that request back.
	SendCancel
	// SendRefuse: answer Neighbour's request for Piece with Reason.
	SendRefuse
	// SendLeaf: upload Leaf of Object to Neighbour.
	SendLeaf
	// Fetch: get leaves Leaf..Last of Object from the CDN.
	Fetch
	// Drop: close the connection to Neighbour; Reason is a DropReason.
	Drop
)

// Action is one thing to do, in order.
type Action struct {
	Kind      ActionKind
	Neighbour int32
	Object    int32
	Piece     int32
	Mask      int32
	Leaf      int32
	Last      int32
	Reason    int32
}

// RefuseReason travels in REFUSE (peer/PROTOCOL.md).
type RefuseReason = int32

const (
	Busy      RefuseReason = 1 // cannot deliver in time; ask again later or elsewhere
	NotHeld   RefuseReason = 2
	Cancelled RefuseReason = 3
)

// DropReason says why a neighbour was dropped.
type DropReason = int32

const (
	BadLeaf      DropReason = 1 // sent bytes that the owner did not sign
	Stalled      DropReason = 2 // promised leaves and did not send them
	Liar         DropReason = 3 // announced pieces that it then did not have
	Intruder     DropReason = 4 // sent leaves that nobody asked for
	TooManyAsked DropReason = 5 // kept asking beyond every bound
)
