package cluster

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unique"

	"slipstream/tracker/announce"
	"slipstream/tracker/server"
	"slipstream/tracker/tight"
)

// stay is a client of this node, as its edge remembers it: enough to give it a place on another node. It implements
// server.Seat.
type stay struct {
	relay *Relay
	conn  server.ConnID
	said  unique.Handle[saying]

	uplinkBps           int64
	subnet, isp, region uint64
	shard               uint16

	left bool        // turn is held for it
	lost atomic.Bool // the owner does not have it any more

	// turn is held by whoever speaks to the place, or changes it. That may wait for a busy cell.
	turn   sync.Mutex
	seat   server.Seat // if the place is on this node
	report *account

	owner atomic.Uint64 // the node where the place is

	// mu is never held while anything waits: cells deliver messages, and those are noted.
	mu      sync.Mutex
	id      announce.PeerID   // 0 before the welcome
	welcome *announce.Welcome // the terms of the visit, until it has been told
	known   []announce.PeerID
	capBps  int64 // on its uploads, as told last
}

// account is a client's last report. What it plays, of which there are many small lists, is shared by all who play the same.
type account struct {
	announce.Report
	plays unique.Handle[string] // instead of Renditions; joined by spaces
}

func accountOf(r announce.Report) *account {
	a := &account{r, unique.Make(strings.Join(r.Renditions, " "))}
	a.Renditions, a.Dropped = nil, nil
	return a
}

// whole is the report as it was, without those who were dropped.
func (a *account) whole() *announce.Report {
	if a == nil {
		return nil
	}
	r := a.Report
	r.Renditions = strings.Fields(a.plays.Value())
	return &r
}

// saying is what many clients said alike when they joined; they share one.
type saying struct {
	channel    string
	role       announce.Role
	nat        announce.NAT
	noUpload   bool
	renditions string // joined by spaces, of which a name has none
}

func newStay(r *Relay, from server.Address, e server.Enter) *stay {
	welcome := e.Welcome // and not the whole of e
	return &stay{
		relay: r, conn: from.Conn, uplinkBps: e.Join.UplinkBps, subnet: e.Subnet, isp: e.ISP, region: e.Region, welcome: &welcome,
		said: unique.Make(saying{e.Channel, e.Join.Role, e.Join.NAT, e.Join.NoUpload, strings.Join(e.Join.Renditions, " ")}),
	}
}

// Key implements tight.Keyed.
func (st *stay) Key() uint64 { return uint64(st.conn) }

func (st *stay) addr() server.Address { return server.Address{Node: st.relay.id, Conn: st.conn} }

// belongs is the shard that it is in, wherever that may be.
func (st *stay) belongs() place { return place{st.said.Value().channel, int(st.shard)} }

// enter is how it enters its place; turn is held.
func (st *stay) enter() server.Enter {
	said := st.said.Value()
	e := server.Enter{
		Channel: said.channel, Subnet: st.subnet, ISP: st.isp, Region: st.region,
		Join: announce.Join{
			Version: announce.Version, Role: said.role, Renditions: strings.Fields(said.renditions), NoUpload: said.noUpload, UplinkBps: st.uplinkBps, NAT: said.nat,
		},
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.id == 0 { // it is still waiting for its welcome
		e.Welcome = *st.welcome
		return e
	}
	e.Resume = &server.Resume{ID: st.id, Known: slices.Clone(st.known), Report: st.report.whole(), CapBps: st.capBps}
	return e
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
	st.report = accountOf(r)
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
		st.relay.tell(st.place(), entry{Kind: k, Conn: st.conn, Body: body})
	}
}

// Leave implements server.Seat.
func (st *stay) Leave() { st.giveUp(leaves) }

// Move implements server.Seat.
func (st *stay) Move() { st.giveUp(moves) }

// Channel implements server.Seat.
func (st *stay) Channel() string { return st.said.Value().channel }

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
	if st.seat == nil {
		st.relay.tell(st.place(), entry{Kind: how, Conn: st.conn})
	} else {
		st.relay.vacate(st.seat, how)
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
		st.id, st.welcome = m.ID, nil
	case announce.Neighbour:
		st.forget(m.ID)
		if len(st.known) >= maxNeighbours {
			st.known = slices.Delete(st.known, 0, 1)
		}
		st.known = tight.Append(st.known, m.ID)
	case announce.Cap:
		st.capBps = m.UploadBps
	case announce.Gone:
		st.forget(m.ID)
	}
}

func (st *stay) forget(id announce.PeerID) {
	st.known = slices.DeleteFunc(st.known, func(other announce.PeerID) bool { return other == id })
}
