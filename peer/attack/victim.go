package attack

import (
	"slices"

	"slipstream/peer/rtc"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// Link is the way to a victim: *rtc.Conn, or something in a test's memory.
type Link interface {
	Send(b []byte) error
	Close()
	Signal(s announce.Signal) error
}

// victim is a connection to somebody who takes us for a viewer.
type victim struct {
	a    *Attacker
	peer announce.PeerID
	link Link
	open bool
	manner
}

// meet connects to somebody whom the tracker introduced.
func (a *Attacker) meet(m announce.Neighbour) {
	dial := a.cfg.Engine.Answer
	if m.Offer {
		dial = a.cfg.Engine.Offer
	}
	v := a.choose(m.ID)
	if v == nil {
		return
	}
	socket := a.socket
	conn, err := dial(rtc.Handlers{
		OnSignal:  func(s announce.Signal) { socket.tell(announce.SignalTo{To: m.ID, Signal: s}) },
		OnOpen:    func() { a.post(v.greet) },
		OnMessage: func(b []byte) { a.post(func() { v.received(b) }) },
		OnClosed:  func(error) { a.post(func() { a.lost(v) }) },
	})
	if err != nil {
		a.lost(v)
		return
	}
	v.link = conn
}

// Approach attacks somebody over a link that is open already. What comes over it goes to receive, and its end to closed;
// both may be called from any goroutine.
func (a *Attacker) Approach(peer announce.PeerID, link Link) (receive func([]byte), closed func()) {
	a.post(func() {
		v := a.choose(peer)
		if v == nil {
			link.Close()
			return
		}
		v.link = link
		v.greet()
	})
	with := func(f func(v *victim)) {
		a.post(func() {
			if v := a.victim(peer); v != nil && v.link == link {
				f(v)
			}
		})
	}
	return func(b []byte) { with(func(v *victim) { v.received(b) }) }, func() { with(a.lost) }
}

// choose makes a victim of a viewer, nil if there are enough or it is one.
func (a *Attacker) choose(peer announce.PeerID) *victim {
	if a.victim(peer) != nil || len(a.victims) >= maxVictims {
		return nil
	}
	v := &victim{a: a, peer: peer}
	v.manner = a.cfg.Kind.treat(v)
	a.victims = append(a.victims, v)
	return v
}

func (a *Attacker) victim(peer announce.PeerID) *victim {
	if i := slices.IndexFunc(a.victims, func(v *victim) bool { return v.peer == peer }); i >= 0 {
		return a.victims[i]
	}
	return nil
}

func (a *Attacker) lost(v *victim) {
	if i := slices.Index(a.victims, v); i >= 0 {
		a.victims = slices.Delete(a.victims, i, i+1)
		if v.open {
			a.count.Dropped.Add(1)
		}
	}
}

func (v *victim) send(m wire.Message) {
	if v.link.Send(m.Append(nil)) == nil {
		v.a.count.Messages.Add(1)
	}
}

// greet says HELLO under a fresh name: who uses one twice is known already.
func (v *victim) greet() {
	hello := wire.Hello{Version: wire.Version, Channel: wire.KeyOf(v.a.channel)}
	name := v.a.invent()
	copy(hello.Instance[:], name[:])
	v.open = true
	v.a.count.Victims.Add(1)
	v.send(hello)
	if v.opened != nil {
		v.opened()
	}
	if v.found != nil {
		for _, o := range v.a.library.newest(3) {
			v.found(o)
		}
	}
}

// announce claims to hold all of an object.
func (v *victim) announce(o *object) {
	full := wire.NewBitfield(o.pieces())
	for piece := range o.pieces() {
		full.Set(piece)
	}
	v.send(wire.Have{Key: o.key, Leaves: uint16(o.leaves()), Bitfield: full})
}

// request asks for all of an object.
func (v *victim) request(o *object) {
	request := wire.Request{Key: o.key, Flags: wire.FlagNeedList}
	for piece := range min(o.pieces(), wire.MaxBatch) {
		_, count := wire.PieceSpan(piece, o.leaves())
		request.Wanted = append(request.Wanted, wire.Want(piece, 1<<count-1))
	}
	v.send(request)
}

// slander tells the tracker that the victim is what we are.
func (v *victim) slander() {
	v.a.accused = append(v.a.accused, announce.Drop{ID: v.peer, Reason: announce.BadLeaf})
}

func (v *victim) received(bundle []byte) {
	for m, err := range wire.Unbundle(bundle) {
		if err == nil {
			v.hear(m)
		}
	}
}

func (v *victim) hear(m wire.Message) {
	switch m := m.(type) {
	case wire.Request:
		v.requested(m)
	case wire.Ask:
		v.questioned(m.Key)
	default:
		if v.heard != nil {
			v.heard(m)
		}
	}
}

func (v *victim) requested(m wire.Request) {
	o := v.a.library.byKey[m.Key]
	if o == nil {
		return
	}
	if m.Flags&wire.FlagNeedList != 0 {
		list := o.list
		if v.list != nil {
			list = v.list(o)
		}
		v.send(wire.Leaves{Key: o.key, Hashes: list})
	}
	for _, wanted := range m.Wanted {
		first, count := wire.PieceSpan(wanted.Piece(), o.leaves())
		for i := range count {
			if wanted.Mask()&(1<<i) == 0 {
				continue
			}
			v.a.count.Asked.Add(1)
			if v.asked != nil {
				v.asked(o, first+i)
			}
		}
	}
}

func (v *victim) questioned(key wire.Key) {
	o := v.a.library.byKey[key]
	var data []byte
	switch {
	case v.record != nil:
		data = v.record(key, o)
	case o != nil:
		data = o.record
	}
	if data == nil {
		v.send(wire.Lost{Key: key})
		return
	}
	v.send(wire.Record{Key: key, Data: data})
}
