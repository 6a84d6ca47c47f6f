package server

import (
	"slices"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/swarm"
)

// cell is one core's share of the rooms: a swarm, and what is known of everybody in it. All its fields belong to the
// goroutine in run, which never waits for a client.
type cell struct {
	index   int
	srv     *Server
	mailbox chan letter
	swarm   *swarm.Swarm
	members map[announce.PeerID]*member
}

// letter is what a seat has to tell its cell.
type letter struct {
	from *seat
	body any // entered, exited, announce.SignalTo, announce.Report; from nobody: census, ticked
}

type entered struct {
	entry
	resume *Resume   // nil: it is new here
	at     time.Time // when it asked; zero: it has a place, and this cell is one more
}
type exited struct{ moved bool }
type ticked struct{}

// member is a client that has joined.
type member struct {
	*seat
	report announce.Report   // the last one
	known  []announce.PeerID // to whom it was introduced, oldest first
	shown  bool              // it has reported before

	sinceMs   int64
	disclosed disclosure

	// Between its reports: how long that was, and how much of it playback stood still.
	watchedMs, stalledMs, reportedMs int64
}

const (
	// maxKnown bounds the memory of introductions. It is far above any degree, so who is forgotten is long gone.
	maxKnown = 512
	// maxLetters is how many letters wait before those who send them do.
	maxLetters = 1024
)

func newCell(s *Server, index int) *cell {
	cfg := s.cfg.Swarm
	cfg.Seed += uint32(index)
	return &cell{
		index: index, srv: s, mailbox: make(chan letter, maxLetters), swarm: swarm.New(cfg), members: map[announce.PeerID]*member{},
	}
}

// post puts a letter into the mailbox; after the end of the server it falls on the floor.
func (c *cell) post(from *seat, body any) {
	select {
	case c.mailbox <- letter{from, body}:
	case <-c.srv.ctx.Done():
	}
}

func (c *cell) run() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-c.srv.ctx.Done():
			return
		case l := <-c.mailbox:
			c.handle(l)
		case <-tick.C:
			c.handle(letter{nil, ticked{}})
		}
	}
}

func (c *cell) handle(l letter) {
	switch body := l.body.(type) {
	case entered:
		c.handleEntered(l.from, body)
		return
	case census:
		body.reply <- c.count()
		return
	case ticked:
		for _, channel := range c.swarm.Channels() {
			c.act(swarm.Allow{Room: channel, UploadBps: c.srv.uploadBps(channel)})
		}
		c.act(swarm.Tick{})
		return
	}
	m := c.members[l.from.id]
	if m == nil {
		return // gone, and its messages crossed that
	}
	switch body := l.body.(type) {
	case exited:
		delete(c.members, m.id)
		c.act(swarm.Leave{Viewer: uint64(m.id), Moved: body.moved})
	case announce.SignalTo:
		c.handleSignal(m, body)
	case announce.Report:
		c.handleReport(m, body)
	}
}

func (c *cell) handleEntered(st *seat, e entered) {
	m := &member{seat: st, sinceMs: c.srv.cfg.Now().UnixMilli()}
	c.members[st.id] = m
	join := swarm.Join{
		Room: st.audience.name, Viewer: uint64(st.id), Role: st.role, Renditions: e.renditions,
		NoUpload: e.noUpload, UplinkBps: e.uplinkBps, NAT: e.nat,
		SubnetKey: e.subnet, ISPKey: e.isp, RegionKey: e.region,
	}
	before := e.resume
	if before == nil {
		c.act(join)
		if c.index == st.cell && !e.at.IsZero() {
			c.srv.welcomed(e.at)
		}
		return
	}
	join.CapBps = before.CapBps
	m.known = before.Known[:min(len(before.Known), maxKnown)]
	for _, id := range m.known {
		m.disclosed.give(id)
		join.Neighbours = append(join.Neighbours, uint64(id))
	}
	c.act(join)
	if before.Report != nil {
		c.handleReport(m, *before.Report)
	}
}

// handleSignal relays between those who were introduced. The other may have left since, which is nobody's fault; but
// ids cannot be guessed, so a signal to somebody never met is a bug or worse. Nor is one passed on if either of the two has
// been given too many addresses: to him it would be one more, from him it would be in vain.
func (c *cell) handleSignal(m *member, s announce.SignalTo) {
	if !slices.Contains(m.known, s.To) {
		if m.role == announce.Seeder {
			return // it speaks to all cells, and one of the others may know
		}
		c.srv.tell(m.addr, *says(announce.CodeStranger, "You were not introduced to the viewer that this signal is for."))
		return
	}
	if to := c.members[s.To]; to != nil {
		nowMs := c.srv.cfg.Now().UnixMilli()
		if !to.mayLearn(m, nowMs) || !m.mayLearn(to, nowMs) {
			c.srv.metrics.withheld.Inc()
			return
		}
		to.disclosed.give(m.id)
		c.srv.metrics.signals.Inc()
		c.srv.tell(to.addr, announce.SignalFrom{From: m.id, Signal: s.Signal})
	}
}

func (c *cell) handleReport(m *member, r announce.Report) {
	spanMs, stalledMs := m.watch(r, c.srv.cfg.Now().UnixMilli())
	if c.index == m.cell {
		c.srv.metrics.reported(m, r, spanMs, stalledMs)
		if m.shown && m.role == announce.Viewer {
			same, other, unknown := c.swarm.Near(uint64(m.id))
			c.srv.metrics.local.add(m.report, r, same, other, unknown)
		}
	}
	m.report, m.shown = r, true
	ev := swarm.Report{
		Viewer: uint64(m.id), Ready: r.Ready, NoUpload: r.NoUpload, Neighbours: int(r.Neighbours), Renditions: r.Renditions,
		UplinkBps: r.UplinkBps, Rescues: r.Rescues, MediaBytes: min(r.HTTPBytes+r.P2PBytes, announce.MaxInteger), StallMs: r.StallMs,
	}
	for _, t := range r.RTTs {
		ev.RTTs = append(ev.RTTs, swarm.RTT{Viewer: uint64(t.ID), Ms: t.Ms})
	}
	for _, d := range r.Dropped {
		ev.Dropped = append(ev.Dropped, swarm.Drop{Viewer: uint64(d.ID), Reason: d.Reason})
	}
	c.act(ev)
}

// act lets the swarm decide and carries it out.
func (c *cell) act(ev swarm.Event) {
	for _, a := range c.swarm.Handle(c.srv.cfg.Now().UnixMilli(), ev) {
		switch a := a.(type) {
		case swarm.Introduce:
			c.introduce(announce.PeerID(a.A), announce.PeerID(a.B))
		case swarm.Part:
			c.parted(announce.PeerID(a.A), announce.PeerID(a.B))
			c.parted(announce.PeerID(a.B), announce.PeerID(a.A))
			c.tell(announce.PeerID(a.A), announce.Gone{ID: announce.PeerID(a.B), Close: true})
			c.tell(announce.PeerID(a.B), announce.Gone{ID: announce.PeerID(a.A), Close: true})
		case swarm.Gone:
			c.parted(announce.PeerID(a.Viewer), announce.PeerID(a.Neighbour))
			c.tell(announce.PeerID(a.Viewer), announce.Gone{ID: announce.PeerID(a.Neighbour)})
		case swarm.Duty:
			c.srv.metrics.duties.Inc()
			if m := c.members[announce.PeerID(a.Viewer)]; m != nil {
				m.duty(c.index, a.Duties)
			}
		case swarm.Cap:
			c.srv.metrics.caps.Inc()
			c.tell(announce.PeerID(a.Viewer), announce.Cap{UploadBps: a.UploadBps})
		case swarm.Expel:
			c.srv.metrics.expelled.Inc()
			c.tell(announce.PeerID(a.Viewer), *says(announce.CodeExpelled, "Several neighbours proved that this viewer sends what it should not."))
		}
	}
}

func (c *cell) parted(id, from announce.PeerID) {
	if m := c.members[id]; m != nil {
		m.disclosed.gone(from)
	}
}

// mayLearn tells whether a client may be given the addresses of another. A seeder meets more viewers than anybody, and is
// the operator's own.
func (m *member) mayLearn(other *member, nowMs int64) bool {
	return m.role == announce.Seeder || m.disclosed.may(other.id, m.sinceMs, nowMs)
}

func (c *cell) tell(id announce.PeerID, msg announce.Message) {
	if m := c.members[id]; m != nil {
		c.srv.tell(m.addr, msg)
	}
}

func (c *cell) introduce(a, b announce.PeerID) {
	c.srv.metrics.introductions.Inc()
	c.know(c.members[a], b)
	c.know(c.members[b], a)
	c.tell(a, announce.Neighbour{ID: b, Offer: true})
	c.tell(b, announce.Neighbour{ID: a, Offer: false})
}

func (c *cell) know(m *member, id announce.PeerID) {
	if m == nil || slices.Contains(m.known, id) {
		return
	}
	if len(m.known) >= maxKnown {
		// Those who left go first.
		m.known = slices.DeleteFunc(m.known, func(id announce.PeerID) bool { return c.members[id] == nil })
	}
	if len(m.known) >= maxKnown {
		m.known = slices.Delete(m.known, 0, 1)
	}
	m.known = append(m.known, id)
}

// watch books the time since the last report, and how much of it playback stood still: no more than there was, whatever is
// claimed. Who has no bytes yet does not watch.
func (m *member) watch(r announce.Report, nowMs int64) (spanMs, stalledMs int64) {
	if m.shown && m.role == announce.Viewer && m.report.HTTPBytes+m.report.P2PBytes > 0 {
		spanMs = max(0, nowMs-m.reportedMs)
		stalledMs = min(max(0, r.StallMs-m.report.StallMs), spanMs)
		m.watchedMs += spanMs
		m.stalledMs += stalledMs
	}
	m.reportedMs = nowMs
	return spanMs, stalledMs
}
