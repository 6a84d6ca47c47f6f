package session

import (
	"errors"

	"slipstream/origin/manifest"
	"slipstream/peer/sched"
	"slipstream/peer/store"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// received takes what a neighbour sent, a bundle of messages. Whatever PROTOCOL.md forbids ends
// the connection.
func (s *Session) received(n *neighbour, bundle []byte) {
	for m, err := range wire.Unbundle(bundle) {
		switch {
		case s.neighbours.byID[n.id] != n:
			return // dropped, for an earlier message or while this was on its way
		case err != nil:
			s.drop(n, announce.Protocol, err.Error())
		default:
			s.heard(n, m)
		}
	}
}

func (s *Session) heard(n *neighbour, m wire.Message) {
	if hello, ok := m.(wire.Hello); ok != !n.open {
		s.drop(n, announce.Protocol, "said HELLO not first, or twice")
	} else if ok {
		s.greeted(n, hello)
	} else if bye, ok := m.(wire.Bye); ok {
		n.conn.Close()
		s.closed(n, bye.Reason)
	} else if _, isLeaf := m.(wire.Leaf); !isLeaf && !n.chatter.AllowN(s.clock(), 1) {
		s.drop(n, announce.Intruder, "talks more than anybody needs to")
	} else {
		s.converse(n, m)
	}
}

func (s *Session) greeted(n *neighbour, m wire.Hello) {
	if m.Channel != wire.KeyOf(s.channel) {
		s.drop(n, announce.Protocol, "is on another channel")
		return
	}
	for _, other := range s.neighbours.byID {
		if other.open && other.instance == m.Instance || m.Instance == s.instance {
			s.drop(n, announce.Full, "is connected already")
			return
		}
	}
	n.open, n.instance, n.tellIt = true, m.Instance, m.Flags&wire.FlagTellMe != 0
	s.event(sched.Event{Kind: sched.NeighbourAdd, Neighbour: n.id})
	s.introduceHeads(n)
}

func (s *Session) converse(n *neighbour, m wire.Message) {
	switch m := m.(type) {
	case wire.Have:
		if o := s.objectByKey(m.Key); o != nil {
			s.heardOf(n, o)
			s.haveEvent(n, o, m)
		} else {
			n.unknown.have(m)
			s.ask(n, m.Key, s.nowMs())
		}
	case wire.Gain:
		if o := s.objectByKey(m.Key); o != nil {
			s.pieceEvents(sched.Gain, n, o, m.Pieces, 0)
		} else {
			n.unknown.gain(m)
		}
	case wire.Coming:
		if o := s.objectByKey(m.Key); o != nil {
			s.pieceEvents(sched.Coming, n, o, m.Pieces, 0)
		} else {
			n.unknown.coming(m)
		}
	case wire.Lost:
		n.unknown.forget(m.Key)
		n.asking.lost(m.Key)
		if o := s.objectByKey(m.Key); o != nil {
			s.event(sched.Event{Kind: sched.Lost, Neighbour: n.id, Object: o.id})
		}
	case wire.Leaves:
		s.receivedList(n, m)
	case wire.Request:
		s.receivedRequest(n, m)
	case wire.Leaf:
		s.receivedLeaf(n, m)
	case wire.Ask:
		s.receivedAsk(n, m)
	case wire.Record:
		s.receivedRecord(n, m)
	case wire.Cancel:
		if o := s.objectByKey(m.Key); o != nil {
			s.pieceEvents(sched.Cancel, n, o, m.Pieces, 0)
		}
	case wire.Refuse:
		if o := s.objectByKey(m.Key); o != nil {
			s.pieceEvents(sched.Refuse, n, o, m.Pieces, int64(m.Reason))
		}
	}
}

func (s *Session) objectByKey(key wire.Key) *object {
	if id, ok := s.byKey[key]; ok {
		return s.objects[id]
	}
	return nil
}

func (s *Session) haveEvent(n *neighbour, o *object, m wire.Have) {
	if int(m.Leaves) != o.leaves() {
		s.drop(n, announce.Liar, "announced an object with a wrong number of leaves")
		return
	}
	s.event(sched.Event{Kind: sched.Have, Neighbour: n.id, Object: o.id, Bits: m.Bitfield})
}

func (s *Session) pieceEvents(kind sched.EventKind, n *neighbour, o *object, pieces []uint16, value int64) {
	for _, piece := range pieces {
		s.event(sched.Event{Kind: kind, Neighbour: n.id, Object: o.id, Piece: int32(piece), Value: value})
	}
}

// receivedList takes a leaf list that matches the signed root; one that does not
// costs its sender the connection, like a bad leaf.
func (s *Session) receivedList(n *neighbour, m wire.Leaves) {
	o := s.objectByKey(m.Key)
	if o == nil {
		s.unasked(n, m.Key)
		return
	}
	if s.store.Listed(m.Key) {
		return
	}
	hashes, err := manifest.ParseLeaves(m.Hashes)
	if err == nil {
		err = s.store.PutLeaves(m.Key, hashes)
	}
	if store.Blame(err) {
		s.blame(n, err)
	}
}

// receivedRequest sends the leaf list at once if it is asked for, and leaves the
// leaves to the scheduler.
func (s *Session) receivedRequest(n *neighbour, m wire.Request) {
	o := s.objectByKey(m.Key)
	if o == nil {
		n.send(wire.Refuse{Key: m.Key, Reason: wire.NotHeld, Pieces: piecesOf(m.Wanted)})
		return
	}
	for _, w := range m.Wanted {
		if !w.Within(o.leaves()) {
			s.drop(n, announce.Protocol, "asked for what the object does not have")
			return
		}
	}
	if m.Flags&wire.FlagNeedList != 0 {
		s.sendList(n, m.Key)
	}
	for _, w := range m.Wanted {
		s.event(sched.Event{Kind: sched.Request, Neighbour: n.id, Object: o.id, Piece: int32(w.Piece()), Mask: int32(w.Mask())})
	}
}

// sendList gives a neighbour a leaf list, once. If we have none yet, because what it asks for is on its way to us, it gets it
// before the first leaf.
func (s *Session) sendList(n *neighbour, key wire.Key) {
	if n.lists[key] {
		return
	}
	hashes, err := s.store.Leaves(key)
	n.lists[key] = err == nil
	if err == nil && len(hashes) <= wire.MaxListLeaves {
		n.send(wire.Leaves{Key: key, Hashes: manifest.EncodeLeaves(hashes)})
	}
}

func piecesOf(wanted []wire.Wanted) []uint16 {
	pieces := make([]uint16, len(wanted))
	for i, w := range wanted {
		pieces[i] = uint16(w.Piece())
	}
	return pieces
}

func (s *Session) receivedLeaf(n *neighbour, m wire.Leaf) {
	o := s.objectByKey(m.Key)
	if o == nil {
		s.unasked(n, m.Key)
		return
	}
	leaf := int(m.Leaf)
	if !s.core.Expects(n.id, o.id, int32(leaf)) {
		s.event(sched.Event{Kind: sched.Unsolicited, Neighbour: n.id, Object: o.id, Leaf: int32(leaf)})
		return
	}
	err := s.store.PutLeaf(m.Key, leaf, m.Data)
	switch {
	case err == nil:
		s.stored(o, leaf, n.id, len(m.Data))
	case store.Blame(err):
		s.blame(n, err)
	case errors.Is(err, store.ErrNoList):
		s.event(sched.Event{Kind: sched.Unsolicited, Neighbour: n.id, Object: o.id, Leaf: int32(leaf)}) // the list must come first
	}
}

// unasked books data of an object that we do not know. If it left us a moment ago,
// the data were on their way.
func (s *Session) unasked(n *neighbour, key wire.Key) {
	if s.nowMs()-s.departed[key] > departedMs {
		s.event(sched.Event{Kind: sched.Unsolicited, Neighbour: n.id, Object: -1})
	}
}

// blame drops the neighbour that sent bytes which do not match the record, before
// its next message is looked at: the scheduler would decide the same, a batch later.
func (s *Session) blame(n *neighbour, err error) {
	s.stats.RejectedLeaves++
	s.log.Warn("rejected what a neighbour sent", "neighbour", n.peer, "error", err)
	s.drop(n, announce.BadLeaf, "sent bytes that the channel's owner did not sign")
}
