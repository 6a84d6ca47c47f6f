package session

import (
	"slipstream/peer/sched"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// run does what the scheduler decided, in order. Neighbouring actions of one kind
// about one object become one message.
func (s *Session) run(actions []sched.Action) {
	for len(actions) > 0 {
		a := actions[0]
		n := 1
		for n < len(actions) && n < wire.MaxBatch && batches(a.Kind) && together(a, actions[n]) {
			n++
		}
		s.act(a, actions[:n])
		actions = actions[n:]
	}
}

func batches(kind sched.ActionKind) bool {
	switch kind {
	case sched.SendGain, sched.SendComing, sched.SendRequest, sched.SendCancel, sched.SendRefuse:
		return true
	}
	return false
}

func together(a, b sched.Action) bool {
	return a.Kind == b.Kind && a.Neighbour == b.Neighbour && a.Object == b.Object && a.Reason == b.Reason
}

func (s *Session) act(a sched.Action, batch []sched.Action) {
	o := s.objects[a.Object]
	if a.Kind == sched.Fetch {
		if o != nil {
			s.startFetch(o, int(a.Leaf), int(a.Last))
		}
		return
	}
	n := s.neighbours.byID[a.Neighbour]
	if n == nil {
		return
	}
	if a.Kind == sched.Drop {
		reason, sentence := dropReason(a.Reason)
		s.drop(n, reason, sentence)
		return
	}
	if a.Kind == sched.SendLost {
		if key, ok := n.announced[a.Object]; ok {
			delete(n.announced, a.Object)
			n.mention(wire.Lost{Key: key}, s.nowMs())
		}
		return
	}
	if o == nil {
		return
	}
	switch a.Kind {
	case sched.SendHave:
		s.sendHave(n, o)
	case sched.SendGain:
		n.send(wire.Gain{Key: o.key, Pieces: piecesIn(batch)})
	case sched.SendComing:
		n.send(wire.Coming{Key: o.key, Pieces: piecesIn(batch)})
	case sched.SendRequest:
		request := wire.Request{Key: o.key, Wanted: make([]wire.Wanted, len(batch))}
		for i, a := range batch {
			request.Wanted[i] = wire.Want(int(a.Piece), uint8(a.Mask))
		}
		if !s.store.Listed(o.key) {
			request.Flags = wire.FlagNeedList
		}
		n.send(request)
	case sched.SendCancel:
		n.send(wire.Cancel{Key: o.key, Pieces: piecesIn(batch)})
	case sched.SendRefuse:
		n.send(wire.Refuse{Key: o.key, Reason: wire.Reason(a.Reason), Pieces: piecesIn(batch)})
	case sched.SendLeaf:
		s.sendLeaf(n, o, int(a.Leaf))
	}
}

func (s *Session) sendLeaf(n *neighbour, o *object, leaf int) {
	data, err := s.store.Leaf(o.key, leaf)
	if err != nil {
		n.send(wire.Refuse{Key: o.key, Reason: wire.NotHeld, Pieces: []uint16{uint16(leaf / wire.PieceLeaves(o.leaves()))}})
		return
	}
	if sent, asked := n.lists[o.key]; asked && !sent {
		s.sendList(n, o.key)
	}
	if n.sendLeaf(wire.Leaf{Key: o.key, Leaf: uint16(leaf), Data: data}) {
		n.sentLeaf = true
		s.stats.UploadedBytes += int64(len(data))
	}
}

// sendHave tells a neighbour which pieces are whole, unless it would hear for the second time that there are none.
func (s *Session) sendHave(n *neighbour, o *object) {
	if _, known := s.store.Record(o.key); !known {
		return // just evicted: the scheduler is about to hear of it
	}
	pieces := wire.Pieces(o.leaves())
	held := wire.NewBitfield(pieces)
	for piece := range pieces {
		if s.holds(o, piece) {
			held.Set(piece)
		}
	}
	if _, told := n.announced[o.id]; told && held.Count() == 0 {
		return
	}
	n.announced[o.id] = o.key
	n.send(wire.Have{Key: o.key, Leaves: uint16(o.leaves()), Bitfield: held})
}

func piecesIn(batch []sched.Action) []uint16 {
	pieces := make([]uint16, len(batch))
	for i, a := range batch {
		pieces[i] = uint16(a.Piece)
	}
	return pieces
}

// holds reports whether all leaves of a piece are in the store.
func (s *Session) holds(o *object, piece int) bool {
	first, count := wire.PieceSpan(piece, o.leaves())
	for leaf := first; leaf < first+count; leaf++ {
		if !s.store.Has(o.key, leaf) {
			return false
		}
	}
	return true
}

func dropReason(reason sched.DropReason) (announce.Reason, string) {
	switch reason {
	case sched.BadLeaf:
		return announce.BadLeaf, "sent bytes that the channel's owner did not sign"
	case sched.Stalled:
		return announce.Stalled, "promised leaves and did not send them"
	case sched.Liar:
		return announce.Liar, "announced leaves that it did not have"
	case sched.Intruder:
		return announce.Intruder, "sent leaves that nobody asked for"
	default:
		return announce.Greedy, "kept asking beyond every bound"
	}
}
