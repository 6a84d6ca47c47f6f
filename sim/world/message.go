package world

import (
	"slices"

	"slipstream/peer/sched"
	"slipstream/sim/network"
)

// send puts a message into the uplink's queue.
func (v *viewer) send(e event, bytes int64) (startUs, departsUs int64) {
	from := &v.ends[e.end]
	if !from.open {
		v.w.batches.release(&e)
		return 0, 0
	}
	wire := network.WireBytes(bytes, v.w.cfg.Network.PacketOverhead)
	startUs, departsUs = v.up.Send(v.w.nowMs*1000, wire)
	if e.message != messageLeaf && e.message != messageList {
		v.stats.ControlBytes += wire
		v.stats.ControlMessages++
	}
	e.kind, e.end, e.tookUs = eventArrives, from.peerEnd, int32(departsUs-startUs)
	lastUs := departsUs + from.delayUs
	if v.w.loss.P > 0 {
		v.messages++
		departsUs, lastUs = from.path.Send(v.w.loss, departsUs, from.delayUs, wire,
			v.w.draw.Unit(v.number, drawLoss, 2*v.messages), v.w.draw.Unit(v.number, drawLoss, 2*v.messages+1))
	}
	if v.hostile == Drip && e.message == messageLeaf {
		lastUs = v.drip(from, lastUs)
	}
	v.w.postArrival(from.peer, lastUs, e)
	return startUs, departsUs
}

// postArrival lets bytes arrive, the last of them at lastUs.
func (w *world) postArrival(viewer int32, lastUs int64, e event) {
	atMs := max(network.MsFromUs(lastUs), w.nowMs+1)
	e.aheadUs = int32(atMs*1000 - lastUs)
	w.post(viewer, atMs, e)
}

// lastUs is when the last byte of what arrives now is there.
func (w *world) lastUs(e *event) int64 { return w.nowMs*1000 - int64(e.aheadUs) }

// occupyUplink accounts for bytes whose arrival concerns nobody.
func (v *viewer) occupyUplink(bytes int64) {
	wire := network.WireBytes(bytes, v.w.cfg.Network.PacketOverhead)
	v.up.Send(v.w.nowMs*1000, wire)
	v.stats.ControlBytes += wire
}

func (v *viewer) sendHave(a *sched.Action) {
	h := v.objects.at(a.Object)
	if h == nil {
		v.w.audit.unknown(v, a.Object, "announces")
		return
	}
	v.w.pieces = h.pieceBits(v.w.stream.leaves, v.w.pieces)
	ref := v.w.batches.newBits(v.w.pieces)
	if v.hostile == Lie {
		all := v.w.batches.bitfield(ref)
		for piece := range sched.Pieces(v.w.stream.leaves) {
			all[piece>>3] |= 0x80 >> (piece & 7)
		}
	}
	v.send(event{message: messageHave, end: a.Neighbour, object: a.Object, batch: ref}, network.HaveBytes(int64(sched.Pieces(v.w.stream.leaves))))
}

var batchKinds = [...]messageKind{
	sched.SendGain: messageGain, sched.SendComing: messageComing, sched.SendRequest: messageRequest,
	sched.SendCancel: messageCancel, sched.SendRefuse: messageRefuse,
}

// sendBatch sends actions of one kind, to one neighbour, about one object.
func (v *viewer) sendBatch(actions []sched.Action) {
	a := &actions[0]
	e := event{
		message: batchKinds[a.Kind], end: a.Neighbour, object: a.Object,
		leaf: entry(a), reason: uint8(a.Reason),
	}
	bytes := network.IndicesBytes(int64(len(actions)))
	if e.message == messageRequest || e.message == messageRefuse {
		bytes++
	}
	if e.message == messageRequest {
		h := v.objects.at(a.Object)
		e.flag = h != nil && !h.list
		v.stats.Requests += int64(len(actions))
	}
	if e.message == messageRefuse {
		v.stats.Refusals += int64(len(actions))
	}
	if len(actions) > 1 {
		e.batch = v.w.batches.newList()
		list := v.w.batches.list(e.batch)
		for i := range actions {
			*list = append(*list, uint16(entry(&actions[i])))
		}
	}
	v.send(e, bytes)
}

// entry is how a message names what an action is about.
func entry(a *sched.Action) int32 {
	if a.Kind == sched.SendRequest {
		return a.Piece*16 + a.Mask
	}
	return a.Piece
}

// sendLeaf uploads a leaf.
func (v *viewer) sendLeaf(a *sched.Action) {
	to := &v.ends[a.Neighbour]
	h := v.objects.at(a.Object)
	if h == nil {
		v.w.audit.unknown(v, a.Object, "uploads")
		return
	}
	if !h.has(a.Leaf) {
		v.w.audit.fail("viewer %d uploads leaf %d of segment %d, which it does not hold", v.number, a.Leaf, a.Object)
		return
	}
	if !to.open {
		return
	}
	if i := slices.Index(to.asked, a.Object); i >= 0 {
		to.asked = slices.Delete(to.asked, i, i+1)
		v.sendList(a.Neighbour, a.Object)
	}
	data := v.w.stream.leafBytes(a.Leaf)
	e := event{message: messageLeaf, end: a.Neighbour, object: a.Object, leaf: a.Leaf}
	size := network.LeafBytes(data)
	if v.hostile != honest {
		size = v.spoil(&e, size)
	}
	startUs, departsUs := v.send(e, size)
	v.enqueued(a.Neighbour, data, startUs, departsUs)
	v.stats.UploadedBytes += data
}

// listAsked sends a leaf list, or remembers to do so: a piece may be asked for while it
// is on its way to us.
func (v *viewer) listAsked(n, object int32) {
	if v.objects.at(object).list {
		v.sendList(n, object)
		return
	}
	e := &v.ends[n]
	if len(e.asked) == maxEarly {
		e.asked = slices.Delete(e.asked, 0, 1)
	}
	e.asked = append(e.asked, object)
}

// sendList sends a leaf list, once to each neighbour.
func (v *viewer) sendList(n, object int32) {
	e, h := &v.ends[n], v.objects.at(object)
	if h == nil || !h.list || slices.Contains(e.lists, object) {
		return
	}
	if len(e.lists) == maxEarly { // the oldest has long left the playlist
		e.lists = slices.Delete(e.lists, 0, 1)
	}
	e.lists = append(e.lists, object)
	v.stats.ListBytes += network.LeafListBytes(int64(v.w.stream.leaves))
	v.send(event{message: messageList, end: n, object: object}, network.LeafListBytes(int64(v.w.stream.leaves)))
}

// arrives is when the last byte of a message reaches the downlink.
func (v *viewer) arrives(e *event) {
	from := &v.ends[e.end]
	if !from.open || v.w.lastUs(e) > from.cutUs {
		v.w.batches.release(e) // the sender went before this left its queue
		return
	}
	if e.message == messageLeaf {
		bytes := network.WireBytes(network.LeafBytes(v.w.stream.leafBytes(e.leaf)), v.w.cfg.Network.PacketOverhead)
		if !v.received(e, bytes, eventThrough) {
			return
		}
	}
	v.through(e)
}

// received passes bytes through the downlink. What is not through within this millisecond
// comes back as the event later.
func (v *viewer) received(e *event, bytes int64, later eventKind) bool {
	lastUs := v.w.lastUs(e)
	throughUs := v.down.Receive(lastUs-int64(e.tookUs), lastUs, bytes)
	atMs := network.MsFromUs(throughUs)
	if atMs <= v.w.nowMs {
		return true
	}
	e.kind = later
	v.w.post(v.index, atMs, *e)
	return false
}

// through is when a message is there.
func (v *viewer) through(e *event) {
	if !v.ends[e.end].open {
		v.w.batches.release(e)
		return
	}
	switch e.message {
	case messageHave:
		v.heard(e.end, e.object, v.w.batches.bitfield(e.batch))
	case messageGain:
		v.gained(e)
	case messageComing:
		v.tellEach(e, sched.Coming, 0)
	case messageLost:
		v.forgetEarly(e.end, e.object)
		v.tell(sched.Event{Kind: sched.Lost, Neighbour: e.end, Object: e.object})
	case messageRequest:
		v.requested(e)
	case messageList:
		if h := v.objects.at(e.object); h != nil {
			h.list = true
		}
	case messageCancel:
		v.tellEach(e, sched.Cancel, 0)
	case messageRefuse:
		v.tellEach(e, sched.Refuse, int64(e.reason))
	case messageLeaf:
		v.leafThrough(e)
	}
	v.w.batches.release(e)
}

// tellEach tells the core of each piece that a message names.
func (v *viewer) tellEach(e *event, kind sched.EventKind, value int64) {
	if e.batch == 0 {
		v.tellOf(e, kind, e.leaf, value)
		return
	}
	for _, named := range *v.w.batches.list(e.batch) {
		v.tellOf(e, kind, int32(named), value)
	}
}

func (v *viewer) tellOf(e *event, kind sched.EventKind, piece int32, value int64) {
	mask := int32(0)
	if kind == sched.Request {
		piece, mask = piece>>4, piece&15
	}
	v.tell(sched.Event{Kind: kind, Neighbour: e.end, Object: e.object, Piece: piece, Mask: mask, Value: value})
}

// requested takes a REQUEST: the list goes out at once, the pieces are for the
// core to decide. What has left our playlist is refused.
func (v *viewer) requested(e *event) {
	if v.deaf(e) {
		return
	}
	if v.objects.at(e.object) == nil {
		v.refuse(e, sched.NotHeld)
		return
	}
	if e.flag {
		v.listAsked(e.end, e.object)
	}
	v.tellEach(e, sched.Request, 0)
}

// refuse answers a REQUEST for all that it names.
func (v *viewer) refuse(e *event, reason sched.RefuseReason) {
	n := int64(1)
	refusal := event{message: messageRefuse, end: e.end, object: e.object, leaf: e.leaf >> 4, reason: uint8(reason)}
	if e.batch != 0 {
		refusal.batch = v.w.batches.newList()
		asked, pieces := *v.w.batches.list(e.batch), v.w.batches.list(refusal.batch)
		for _, named := range asked {
			*pieces = append(*pieces, named>>4)
		}
		n = int64(len(asked))
	}
	v.stats.Refusals += n
	v.send(refusal, network.IndicesBytes(n)+1)
}

// leafThrough checks and stores a leaf from a neighbour: a bad one is an attacker's,
// and what is not wanted any more is thrown away.
func (v *viewer) leafThrough(e *event) {
	h := v.objects.at(e.object)
	data := v.w.stream.leafBytes(e.leaf)
	switch {
	case h == nil:
		v.stats.DuplicateBytes += data
	case !v.core.Expects(e.end, e.object, e.leaf):
		if h.has(e.leaf) {
			v.stats.DuplicateBytes += data
		} else {
			v.stats.UnexpectedBytes += data
		}
		v.tell(sched.Event{Kind: sched.Unsolicited, Neighbour: e.end, Object: e.object, Leaf: e.leaf})
	case h.has(e.leaf): // came twice in this very millisecond
		v.stats.DuplicateBytes += data
	case e.flag:
		v.stats.RejectedLeaves++
		v.tell(sched.Event{Kind: sched.Rejected, Neighbour: e.end, Object: e.object, Leaf: e.leaf})
	case !h.list && (v.hostile != honest || v.w.viewers[v.ends[e.end].peer].hostile != honest):
		v.stats.UnexpectedBytes += data // cannot be checked
		v.tell(sched.Event{Kind: sched.Unsolicited, Neighbour: e.end, Object: e.object, Leaf: e.leaf})
	case !h.list:
		v.w.audit.fail("viewer %d got leaf %d of segment %d from a neighbour before it had the leaf list", v.number, e.leaf, e.object)
	default:
		if e.flag {
			v.stats.BadBytes += data
		}
		v.store(h, e.object, e.leaf, e.end)
	}
}
