package cluster

import (
	"slipstream/tracker/announce"
	"slipstream/tracker/server"
)

// receive carries out what another node tells.
func (r *Relay) receive(batch []byte) {
	<-r.started // its rooms are there
	if err := decodeBatch(batch, r.take); err != nil {
		r.log.Warn("what another tracker told cannot be read", "error", err)
	}
}

func (r *Relay) take(from server.NodeID, e entry) {
	switch e.Kind {
	case delivers:
		r.deliver(from, e.Conn, e.Body, e.End)
		return
	case enters:
		r.admit(server.Address{Node: from, Conn: e.Conn}, e.Body)
		return
	case spends:
		r.keep(from, e)
		return
	case again:
		r.end(e.Conn, server.TokenUsed())
		return
	}
	r.mu.Lock()
	seat, known := r.guests[from][e.Conn]
	if e.Kind == leaves || e.Kind == moves {
		delete(r.guests[from], e.Conn)
	}
	r.mu.Unlock()
	if !known {
		return // its leaving and something else have crossed
	}
	switch e.Kind {
	case leaves, moves:
		r.vacate(seat, e.Kind)
	default:
		m, err := announce.Decode(e.Body)
		if err != nil {
			r.log.Warn("another tracker passed on a malformed message", "node", nodeName(from), "error", err)
			return
		}
		switch m := m.(type) {
		case announce.SignalTo:
			seat.Signal(m)
		case announce.Report:
			seat.Report(m)
		}
	}
}

// admit gives another node's client a place here.
func (r *Relay) admit(addr server.Address, body []byte) {
	var a arrival
	err := decoding.Unmarshal(body, &a)
	var e server.Enter
	if err == nil {
		e, err = a.enter()
	}
	if err != nil {
		r.log.Warn("another tracker's client cannot enter", "node", nodeName(addr.Node), "error", err)
		return
	}
	seat, refusal := r.here.Enter(addr, e)
	if refusal != nil {
		if frame, err := announce.Encode(*refusal); err == nil {
			r.Deliver(addr, frame, refusal.Code)
		}
		return
	}
	r.count(e.Channel)
	r.mu.Lock()
	theirs := r.guests[addr.Node]
	if theirs == nil {
		theirs = map[server.ConnID]server.Seat{}
		r.guests[addr.Node] = theirs
	}
	before, twice := theirs[addr.Conn]
	theirs[addr.Conn] = seat
	r.mu.Unlock()
	if twice {
		r.vacate(before, moves)
	}
}
