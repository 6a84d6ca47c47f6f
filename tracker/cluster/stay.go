package cluster

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"slipstream/tracker/announce"
	"slipstream/tracker/server"
)

// stay is a client of this node, as its edge remembers it: enough to give it a place on another node. It implements
// server.Seat.
type stay struct {
	relay *Relay
	addr  server.Address
	shard int
	enter server.Enter

	// turn is held by whoever speaks to the place, or changes it. That may wait for a busy cell.
	turn   sync.Mutex
	seat   server.Seat // if the place is on this node
	report *announce.Report
	left   bool

	owner atomic.Uint64 // the node where the place is
	lost  atomic.Bool   // that node does not have it any more

	// mu is never held while anything waits: cells deliver messages, and those are noted.
	mu     sync.Mutex
	id     announce.PeerID // 0 before the welcome
	known  []announce.PeerID
	capBps int64 // on its uploads, as told last
}

// Signal implements server.Seat.
func (st *stay) Signal(s announce.SignalTo) {
	st.turn.Lock()
	defer st.turn.Unlock()
	if st.seat != nil {
		st.seat.Signal(s)
		return
	}
	st.tell(signals, s)
}

// Report implements server.Seat.
func (st *stay) Report(r announce.Report) {
	st.turn.Lock()
	defer st.turn.Unlock()
	last := r
	last.Dropped = nil
	st.report = &last
	if len(r.Dropped) > 0 {
		st.mu.Lock()
		for _, d := range r.Dropped {
			st.forget(d.ID)
		}
		st.mu.Unlock()
	}
	if st.seat != nil {
		st.seat.Report(r)
		return
	}
	st.tell(reports, r)
}

// tell passes a message on to the owner.
func (st *stay) tell(k kind, m announce.Message) {
	if body, err := announce.Encode(m); err == nil { // it was decoded before
		st.relay.tell(st.place(), entry{Kind: k, Conn: st.addr.Conn, Body: body})
	}
}

// Leave implements server.Seat.
func (st *stay) Leave() { st.giveUp(leaves) }

// Move implements server.Seat.
func (st *stay) Move() { st.giveUp(moves) }

func (st *stay) giveUp(how kind) {
	st.turn.Lock()
	defer st.turn.Unlock()
	if st.left {
		return
	}
	st.left = true
	st.vacate(how)
	st.relay.forget(st)
}

// vacate gives the place up; turn is held.
func (st *stay) vacate(how kind) {
	switch {
	case st.seat == nil:
		st.relay.tell(st.place(), entry{Kind: how, Conn: st.addr.Conn})
	case how == moves:
		st.seat.Move()
	default:
		st.seat.Leave()
	}
	st.seat = nil
}

// place is the node where it is.
func (st *stay) place() server.NodeID { return server.NodeID(st.owner.Load()) }

// name is the client's id, 0 before its welcome.
func (st *stay) name() announce.PeerID {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.id
}

// resume is what the next owner is told; turn is held.
func (st *stay) resume() *server.Resume {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.id == 0 {
		return nil // it is still waiting for its welcome
	}
	return &server.Resume{ID: st.id, Known: slices.Clone(st.known), Report: st.report, CapBps: st.capBps}
}

var (
	welcomes    = []byte(`{"type":"welcome"`)
	introduces  = []byte(`{"type":"neighbour"`)
	saysGoodbye = []byte(`{"type":"gone"`)
	caps        = []byte(`{"type":"cap"`)
	relays      = []byte(`{"type":"signal"`)
)

// note remembers what the client is told.
func (st *stay) note(frame []byte) {
	if !bytes.HasPrefix(frame, welcomes) && !bytes.HasPrefix(frame, introduces) && !bytes.HasPrefix(frame, saysGoodbye) && !bytes.HasPrefix(frame, caps) {
		return
	}
	m, err := announce.Decode(frame)
	if err != nil {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	switch m := m.(type) {
	case announce.Welcome:
		st.id = m.ID
	case announce.Neighbour:
		st.forget(m.ID)
		if len(st.known) >= maxNeighbours {
			st.known = slices.Delete(st.known, 0, 1)
		}
		st.known = append(st.known, m.ID)
	case announce.Cap:
		st.capBps = m.UploadBps
	case announce.Gone:
		st.forget(m.ID)
	}
}

func (st *stay) forget(id announce.PeerID) {
	st.known = slices.DeleteFunc(st.known, func(other announce.PeerID) bool { return other == id })
}
