package server

import (
	"crypto/rand"
	"encoding/binary"
	"slices"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/swarm"
)

// hub owns the swarm and what is known of everybody in it. All its fields belong to the goroutine in run.
type hub struct {
	srv     *Server
	mailbox chan letter
	swarm   *swarm.Swarm
	members map[announce.PeerID]*member
	byConn  map[*conn]*member
	rooms   map[string]*roster
	stats   statsCache
}

// letter is what a connection has to tell the hub.
type letter struct {
	from *conn
	body any // admitted, gone, announce.SignalTo, announce.Report, statsRequest
}

// admitted is a join whose token was good.
type admitted struct {
	room string
	join announce.Join
}

// gone is the end of a connection.
type gone struct{}

// member is a client that has joined.
type member struct {
	*conn
	id     announce.PeerID
	room   string
	role   announce.Role
	report announce.Report   // the last one
	known  []announce.PeerID // to whom it was introduced, oldest first
	shown  bool              // it has reported before
}

// roster is the members of one room in the order of their joins.
type roster struct{ members []*member }

// maxKnown bounds the memory of introductions. It is far above any degree, so who is forgotten is long gone.
const maxKnown = 512

func newHub(s *Server) *hub {
	return &hub{
		srv: s, mailbox: make(chan letter, 256), swarm: swarm.New(s.cfg.Swarm),
		members: map[announce.PeerID]*member{}, byConn: map[*conn]*member{}, rooms: map[string]*roster{},
	}
}

// post puts a letter into the mailbox; after the end of the server it falls on the floor.
func (h *hub) post(from *conn, body any) {
	select {
	case h.mailbox <- letter{from, body}:
	case <-h.srv.ctx.Done():
	}
}

func (h *hub) run() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-h.srv.ctx.Done():
			return
		case l := <-h.mailbox:
			h.handle(l)
		case <-tick.C:
			h.act(swarm.Tick{})
		}
	}
}

func (h *hub) handle(l letter) {
	m := h.byConn[l.from]
	switch body := l.body.(type) {
	case admitted:
		h.handleJoin(l.from, body)
	case gone:
		if m != nil {
			h.handleGone(m)
		}
	case announce.SignalTo:
		if m != nil {
			h.handleSignal(m, body)
		}
	case announce.Report:
		if m != nil {
			h.handleReport(m, body)
		}
	case statsRequest:
		body.reply <- h.snapshot()
	}
}

func (h *hub) handleJoin(c *conn, a admitted) {
	limits := h.srv.cfg.Limits
	r := h.rooms[a.room]
	switch {
	case r == nil && len(h.rooms) >= limits.Rooms:
		c.fail(*says(announce.CodeTrackerFull, "The tracker serves as many channels as it can; try again in a few minutes."))
		return
	case r != nil && len(r.members) >= limits.RoomViewers:
		c.fail(*says(announce.CodeRoomFull, "The channel's room is full; playback goes on without neighbours."))
		return
	case r == nil:
		r = &roster{}
		h.rooms[a.room] = r
	}
	m := &member{conn: c, id: h.newID(), room: a.room, role: a.join.Role}
	h.members[m.id], h.byConn[c] = m, m
	r.members = append(r.members, m)
	h.srv.metrics.joined(m.role, len(h.rooms))
	isp, region := h.srv.cfg.Locator.Locate(c.addr)
	m.send(announce.Welcome{ID: m.id, ReportMs: h.srv.cfg.ReportMs, Viewers: int64(len(r.members))})
	h.act(swarm.Join{
		Room: m.room, Viewer: uint64(m.id), Role: m.role, Renditions: a.join.Renditions,
		NoUpload: a.join.NoUpload, UplinkBps: a.join.UplinkBps, NAT: a.join.NAT,
		SubnetKey: subnetKey(c.addr), ISPKey: isp, RegionKey: region,
	})
}

// newID draws an id that nobody has: random, so that nobody can guess a stranger's or choose a rank.
func (h *hub) newID() announce.PeerID {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails since Go 1.24
		if id := announce.PeerID(binary.BigEndian.Uint64(b[:])); id != 0 && h.members[id] == nil {
			return id
		}
	}
}

func (h *hub) handleGone(m *member) {
	delete(h.members, m.id)
	delete(h.byConn, m.conn)
	r := h.rooms[m.room]
	r.members = slices.DeleteFunc(r.members, func(other *member) bool { return other == m })
	if len(r.members) == 0 {
		delete(h.rooms, m.room)
	}
	h.srv.metrics.left(m.role, len(h.rooms))
	h.act(swarm.Leave{Viewer: uint64(m.id)})
}

// handleSignal relays between those who were introduced. The other may have left since, which is nobody's fault; but
// ids cannot be guessed, so a signal to somebody never met is a bug or worse.
func (h *hub) handleSignal(m *member, s announce.SignalTo) {
	if !slices.Contains(m.known, s.To) {
		m.fail(*says(announce.CodeStranger, "You were not introduced to the viewer that this signal is for."))
		return
	}
	if to := h.members[s.To]; to != nil {
		h.srv.metrics.signals.Inc()
		to.send(announce.SignalFrom{From: m.id, Signal: s.Signal})
	}
}

func (h *hub) handleReport(m *member, r announce.Report) {
	h.srv.metrics.reported(m, r)
	m.report, m.shown = r, true
	ev := swarm.Report{
		Viewer: uint64(m.id), Ready: r.Ready, NoUpload: r.NoUpload, Neighbours: int(r.Neighbours), Renditions: r.Renditions,
		UplinkBps: r.UplinkBps, Rescues: r.Rescues, MediaBytes: min(r.HTTPBytes+r.P2PBytes, announce.MaxInteger),
	}
	for _, d := range r.Dropped {
		ev.Dropped = append(ev.Dropped, swarm.Drop{Viewer: uint64(d.ID), Reason: d.Reason})
	}
	h.act(ev)
}

// act lets the swarm decide and carries it out.
func (h *hub) act(ev swarm.Event) {
	for _, a := range h.swarm.Handle(h.srv.cfg.Now().UnixMilli(), ev) {
		switch a := a.(type) {
		case swarm.Introduce:
			h.introduce(announce.PeerID(a.A), announce.PeerID(a.B))
		case swarm.Part:
			h.tell(announce.PeerID(a.A), announce.Gone{ID: announce.PeerID(a.B), Close: true})
			h.tell(announce.PeerID(a.B), announce.Gone{ID: announce.PeerID(a.A), Close: true})
		case swarm.Gone:
			h.tell(announce.PeerID(a.Viewer), announce.Gone{ID: announce.PeerID(a.Neighbour)})
		case swarm.Duty:
			h.srv.metrics.duties.Inc()
			h.tell(announce.PeerID(a.Viewer), announce.Duty{Duties: a.Duties})
		case swarm.Expel:
			h.srv.metrics.expelled.Inc()
			h.tell(announce.PeerID(a.Viewer), *says(announce.CodeExpelled, "Several neighbours proved that this viewer sends what it should not."))
		}
	}
}

func (h *hub) tell(id announce.PeerID, msg announce.Message) {
	if m := h.members[id]; m != nil {
		m.send(msg)
	}
}

func (h *hub) introduce(a, b announce.PeerID) {
	h.srv.metrics.introductions.Inc()
	h.know(h.members[a], b)
	h.know(h.members[b], a)
	h.tell(a, announce.Neighbour{ID: b, Offer: true})
	h.tell(b, announce.Neighbour{ID: a, Offer: false})
}

func (h *hub) know(m *member, id announce.PeerID) {
	if m == nil || slices.Contains(m.known, id) {
		return
	}
	if len(m.known) >= maxKnown {
		// Those who left go first.
		m.known = slices.DeleteFunc(m.known, func(id announce.PeerID) bool { return h.members[id] == nil })
	}
	if len(m.known) >= maxKnown {
		m.known = slices.Delete(m.known, 0, 1)
	}
	m.known = append(m.known, id)
}
