package world

import (
	"math"
	"math/bits"
	"slices"

	"slipstream/peer/sched"
	"slipstream/sim/network"
)

// send puts a message into the uplink's queue.
func (v *viewer) send(e event, bytes int64) (startUs, departsUs int64) {
	from := &v.ends[e.end]
	if !from.open {
		v.w.batches.release(e.batch)
		return 0, 0
	}
	wire := network.WireBytes(bytes, v.w.cfg.Network.PacketOverhead)
	startUs, departsUs = v.up.Send(v.w.nowMs*1000, wire)
	if e.kind != kindLeaf && e.kind != kindList {
		v.stats.ControlBytes += wire
		v.stats.ControlMessages++
	}
	e.end, e.tookUs = from.peerEnd, int32(departsUs-startUs)
	lastUs := departsUs + from.delayUs
	if v.w.loss.P > 0 {
		v.messages++
		departsUs, lastUs = from.path.Send(v.w.loss, departsUs, from.delayUs, wire,
			v.w.draw.Unit(v.number, drawLoss, 2*v.messages), v.w.draw.Unit(v.number, drawLoss, 2*v.messages+1))
	}
	if v.hostile == Drip && e.kind == kindLeaf {
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
	pieces := sched.Pieces(v.w.stream.leaves)
	v.w.pieces = h.pieces(v.w.stream.leaves, v.w.pieces)
	bytes := network.HaveBytes(int64(pieces))
	for i, which := range v.w.pieces {
		if v.hostile == Lie {
			which = math.MaxUint32 >> max(int32(i+1)*32-pieces, 0)
		}
		v.say(a.Neighbour, saying{
			kind: kindHave, object: a.Object, first: uint16(i * 32), what: which, flag: i < len(v.w.pieces)-1,
		}, bytes)
		bytes = 0
	}
}

var said = [...]kind{
	sched.SendGain: kindGain, sched.SendComing: kindComing, sched.SendRequest: kindRequest,
	sched.SendCancel: kindCancel, sched.SendRefuse: kindRefuse,
}

// sayBatch says actions of one kind, to one neighbour, about one object: one message.
func (v *viewer) sayBatch(actions []sched.Action) {
	a := &actions[0]
	s := saying{kind: said[a.Kind], object: a.Object}
	bytes := indicesBytes(s.kind, len(actions))
	switch s.kind {
	case kindGain, kindComing:
		v.sayPieces(a.Neighbour, s, actions, bytes)
		return
	case kindRequest:
		h := v.objects.at(a.Object)
		s.flag = h != nil && !h.list
		v.stats.Requests += int64(len(actions))
	case kindRefuse:
		v.stats.Refusals += int64(len(actions))
	}
	for i := range actions {
		s.first, s.what = uint16(actions[i].Piece), uint32(actions[i].Mask|actions[i].Reason)
		v.say(a.Neighbour, s, bytes)
		s.flag, bytes = false, 0
	}
}

// sayPieces says as many pieces at once as lie together.
func (v *viewer) sayPieces(n int32, s saying, actions []sched.Action, bytes int64) {
	for i := range actions {
		piece := actions[i].Piece
		if first := uint16(piece &^ 31); first != s.first && s.what != 0 {
			v.say(n, s, bytes)
			s.what, bytes = 0, 0
		}
		s.first = uint16(piece &^ 31)
		s.what |= 1 << (piece & 31)
	}
	v.say(n, s, bytes)
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
	leaf := saying{kind: kindLeaf, object: a.Object, first: uint16(a.Leaf)}
	size := network.LeafBytes(data)
	if v.hostile != honest {
		size = v.spoil(&leaf, size)
	}
	batch, more := v.takeAlong(a.Neighbour)
	v.stats.ControlBytes += more
	v.speak() // to others: connections do not wait for each other's leaves
	startUs, departsUs := v.send(event{end: a.Neighbour, batch: batch, saying: leaf}, size+more)
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
	v.send(event{end: n, saying: saying{kind: kindList, object: object}}, network.LeafListBytes(int64(v.w.stream.leaves)))
}

// arrives is when the last byte of a message reaches the downlink.
func (v *viewer) arrives(e *event) {
	from := &v.ends[e.end]
	if !from.open || v.w.lastUs(e) > from.cutUs {
		v.w.batches.release(e.batch) // the sender went before this left its queue
		return
	}
	if e.kind == kindLeaf {
		bytes := network.WireBytes(network.LeafBytes(v.w.stream.leafBytes(int32(e.first))), v.w.cfg.Network.PacketOverhead)
		if !v.received(e, bytes, kindThrough) {
			return
		}
	}
	v.through(e)
}

// received passes bytes through the downlink. What is not through within this millisecond
// comes back as the event later.
func (v *viewer) received(e *event, bytes int64, later kind) bool {
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
	if v.ends[e.end].open {
		for _, s := range v.w.batches.list(e.batch) {
			v.hear(e.end, &s)
		}
		v.hear(e.end, &e.saying)
	}
	v.w.batches.release(e.batch)
}

// hear takes what a neighbour says.
func (v *viewer) hear(n int32, s *saying) {
	switch s.kind {
	case kindHave:
		v.heard(n, s)
	case kindGain:
		v.gained(n, s)
	case kindComing:
		v.promised(n, s)
	case kindAsk:
		v.asked(n, s.object)
	case kindRecord:
		v.learn(s.object)
	case kindLost:
		v.forgetEarly(n, s.object)
		v.tell(sched.Event{Kind: sched.Lost, Neighbour: n, Object: s.object})
	case kindRequest:
		v.requested(n, s)
	case kindCancel:
		v.tell(sched.Event{Kind: sched.Cancel, Neighbour: n, Object: s.object, Piece: int32(s.first)})
	case kindRefuse:
		v.tell(sched.Event{Kind: sched.Refuse, Neighbour: n, Object: s.object, Piece: int32(s.first), Value: int64(s.what)})
	case kindList:
		if h := v.objects.at(s.object); h != nil {
			h.list = true
		}
	case kindLeaf, kindThrough:
		v.leafThrough(n, s)
	}
}

// tellPieces tells the core of each piece that a saying names.
func (v *viewer) tellPieces(n int32, s *saying, kind sched.EventKind) {
	for which := s.what; which != 0; which &= which - 1 {
		v.tell(sched.Event{Kind: kind, Neighbour: n, Object: s.object, Piece: int32(s.first) + int32(bits.TrailingZeros32(which))})
	}
}

// requested takes a REQUEST: the list goes out at once, the pieces are for the
// core to decide. What has left our playlist is refused.
func (v *viewer) requested(n int32, s *saying) {
	if v.deaf(n, s) {
		return
	}
	if v.objects.at(s.object) == nil {
		v.refuse(n, s, sched.NotHeld)
		return
	}
	if s.flag {
		v.listAsked(n, s.object)
	}
	v.tell(sched.Event{Kind: sched.Request, Neighbour: n, Object: s.object, Piece: int32(s.first), Mask: int32(s.what)})
}

// refuse answers a REQUEST.
func (v *viewer) refuse(n int32, s *saying, reason sched.RefuseReason) {
	v.stats.Refusals++
	v.say(n, saying{kind: kindRefuse, object: s.object, first: s.first, what: uint32(reason)}, indicesBytes(kindRefuse, 1))
}

// leafThrough checks and stores a leaf from a neighbour: a bad one is an attacker's,
// and what is not wanted any more is thrown away.
func (v *viewer) leafThrough(n int32, s *saying) {
	leaf := int32(s.first)
	h := v.objects.at(s.object)
	data := v.w.stream.leafBytes(leaf)
	switch {
	case h == nil:
		v.stats.DuplicateBytes += data
	case !v.core.Expects(n, s.object, leaf):
		if h.has(leaf) {
			v.stats.DuplicateBytes += data
		} else {
			v.stats.UnexpectedBytes += data
		}
		v.tell(sched.Event{Kind: sched.Unsolicited, Neighbour: n, Object: s.object, Leaf: leaf})
	case h.has(leaf): // came twice in this very millisecond
		v.stats.DuplicateBytes += data
	case s.flag:
		v.stats.RejectedLeaves++
		v.tell(sched.Event{Kind: sched.Rejected, Neighbour: n, Object: s.object, Leaf: leaf})
	case !h.list && (v.hostile != honest || v.w.viewers[v.ends[n].peer].hostile != honest):
		v.stats.UnexpectedBytes += data // cannot be checked
		v.tell(sched.Event{Kind: sched.Unsolicited, Neighbour: n, Object: s.object, Leaf: leaf})
	case !h.list:
		v.w.audit.fail("viewer %d got leaf %d of segment %d from a neighbour before it had the leaf list", v.number, leaf, s.object)
	default:
		if s.flag {
			v.stats.BadBytes += data
		}
		v.store(h, s.object, leaf, n)
	}
}
