package server

import (
	"slices"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/swarm"
	"slipstream/tracker/tight"
)

// cell is one core's share of the rooms: a swarm, and what is known of everybody in it. All its fields belong to the
// goroutine in run, which never waits for a client.
type cell struct {
	index   int
	srv     *Server
	mailbox chan letter
	swarm   *swarm.Swarm
	members tight.Index[*member]
	frame   []byte // of the message that is told: each is copied by who passes it on
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
type ticked struct{ part int } // of ticks

// member is a client that has joined.
type member struct {
	*seat
	known     []halfID    // to whom it was introduced, oldest first
	reported  *reported   // nil before its first report
	disclosed *disclosure // nil before the first signal for it
}

// halfID is half of an id: enough to tell whether somebody was told of it, since ids are random and nobody chooses his.
type halfID uint32

// reported is what a member has said of itself.
type reported struct {
	last announce.Report // without its lists
	atMs int64

	// Between its reports: how long that was, and how much of it playback stood still.
	watchedMs, stalledMs int64
}

const (
	// maxKnown bounds the memory of introductions. It is far above any degree, so who is forgotten is mostly long gone.
	maxKnown = 512
	// maxLetters is how many letters wait before those who send them do.
	maxLetters = 1024
	// ticks are the parts of a second in which the viewers of a cell are looked after, so that nobody who joins waits for all of them.
	ticks = 10
)

func newCell(s *Server, index int) *cell {
	cfg := s.cfg.Swarm
	cfg.Seed += uint32(index)
	return &cell{
		index: index, srv: s, mailbox: make(chan letter, maxLetters), swarm: swarm.New(cfg),
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
	tick := time.NewTicker(time.Second / ticks)
	defer tick.Stop()
	for part := 0; ; {
		select {
		case <-c.srv.ctx.Done():
			return
		case l := <-c.mailbox:
			c.handle(l)
		case <-tick.C:
			c.handle(letter{nil, ticked{part}})
			part = (part + 1) % ticks
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
		c.tick(body.part)
		return
	}
	m := c.member(l.from.id)
	if m == nil {
		return // gone, and its messages crossed that
	}
	switch body := l.body.(type) {
	case exited:
		c.members.Delete(m.Key())
		c.act(swarm.Leave{Viewer: uint64(m.id), Moved: body.moved})
	case announce.SignalTo:
		c.handleSignal(m, body)
	case announce.Report:
		c.handleReport(m, body)
	}
}

func (c *cell) tick(part int) {
	if part == 0 {
		for _, channel := range c.swarm.Channels() {
			c.act(swarm.Allow{Room: channel, UploadBps: c.srv.uploadBps(channel)})
		}
	}
	c.act(swarm.Tick{Part: part, Parts: ticks})
}

func (c *cell) handleEntered(st *seat, e entered) {
	m := &member{seat: st}
	c.members.Put(m)
	join := swarm.Join{
		Room: st.audience.name, Viewer: uint64(st.id), Role: st.role(), Renditions: e.renditions,
		NoUpload: e.noUpload, UplinkBps: e.uplinkBps, NAT: e.nat,
		SubnetKey: e.subnet, ISPKey: e.isp, RegionKey: e.region,
	}
	before := e.resume
	if before == nil {
		c.act(join)
		if c.index == int(st.cell) && !e.at.IsZero() {
			c.srv.welcomed(e.at)
		}
		return
	}
	join.CapBps = before.CapBps
	for _, id := range before.Known[:min(len(before.Known), maxKnown)] {
		m.know(id)
		m.disclose(id)
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
	if !slices.Contains(m.known, halfID(s.To)) {
		if m.seeder != nil {
			return // it speaks to all cells, and one of the others may know
		}
		c.srv.tell(m.addr, *says(announce.CodeStranger, "You were not introduced to the viewer that this signal is for."))
		return
	}
	if to := c.member(s.To); to != nil {
		nowMs := c.srv.cfg.Now().UnixMilli()
		if !to.mayLearn(m, nowMs) || !m.mayLearn(to, nowMs) {
			c.srv.metrics.withheld.Inc()
			return
		}
		to.disclose(m.id)
		c.srv.metrics.signals.Inc()
		c.srv.tell(to.addr, announce.SignalFrom{From: m.id, Signal: s.Signal})
	}
}

func (c *cell) handleReport(m *member, r announce.Report) {
	nowMs := c.srv.cfg.Now().UnixMilli()
	spanMs, stalledMs := m.watch(r, nowMs)
	if c.index == int(m.cell) {
		c.srv.metrics.reported(m, r, spanMs, stalledMs)
		if m.reported != nil && m.seeder == nil {
			same, other, unknown := c.swarm.Near(uint64(m.id))
			c.srv.metrics.local.add(m.reported.last, r, same, other, unknown)
		}
	}
	m.note(r, nowMs)
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
			c.part(announce.PeerID(a.A), announce.PeerID(a.B), true)
			c.part(announce.PeerID(a.B), announce.PeerID(a.A), true)
		case swarm.Gone:
			c.part(announce.PeerID(a.Viewer), announce.PeerID(a.Neighbour), false)
		case swarm.Duty:
			c.srv.metrics.duties.Inc()
			if m := c.member(announce.PeerID(a.Viewer)); m != nil {
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

// member finds one who is here; nil if there is none.
func (c *cell) member(id announce.PeerID) *member { return c.members.Get(uint64(id)) }

// Key implements tight.Keyed.
func (st *seat) Key() uint64 { return uint64(st.id) }

// part tells one who is here that a neighbour is none any more.
func (c *cell) part(id, from announce.PeerID, close bool) {
	if m := c.member(id); m != nil {
		m.disclosed.gone(from)
		c.frame = announce.Gone{ID: from, Close: close}.Append(c.frame[:0])
		c.srv.post.Deliver(m.addr, c.frame, "")
	}
}

// disclose notes that a client was given the addresses of another.
func (m *member) disclose(other announce.PeerID) {
	if m.disclosed == nil {
		m.disclosed = &disclosure{}
	}
	m.disclosed.give(other)
}

// mayLearn tells whether a client may be given the addresses of another. A seeder meets more viewers than anybody, and is
// the operator's own.
func (m *member) mayLearn(other *member, nowMs int64) bool {
	return m.seeder != nil || m.disclosed.may(other.id, int64(m.since)*1000, nowMs)
}

func (c *cell) tell(id announce.PeerID, msg announce.Message) {
	if m := c.member(id); m != nil {
		c.srv.tell(m.addr, msg)
	}
}

func (c *cell) introduce(a, b announce.PeerID) {
	c.srv.metrics.introductions.Inc()
	c.meet(a, b, true)
	c.meet(b, a, false)
}

// meet tells one who is here of a neighbour.
func (c *cell) meet(id, other announce.PeerID, offer bool) {
	if m := c.member(id); m != nil {
		m.know(other)
		c.frame = announce.Neighbour{ID: other, Offer: offer}.Append(c.frame[:0])
		c.srv.post.Deliver(m.addr, c.frame, "")
	}
}

func (m *member) know(id announce.PeerID) {
	if slices.Contains(m.known, halfID(id)) {
		return
	}
	if len(m.known) >= maxKnown {
		m.known = slices.Delete(m.known, 0, 1)
	}
	m.known = tight.Append(m.known, halfID(id))
}

// watch books the time since the last report, and how much of it playback stood still: no more than there was, whatever is
// claimed. Who has no bytes yet does not watch.
func (m *member) watch(r announce.Report, nowMs int64) (spanMs, stalledMs int64) {
	before := m.reported
	if before != nil && m.seeder == nil && before.last.HTTPBytes+before.last.P2PBytes > 0 {
		spanMs = max(0, nowMs-before.atMs)
		stalledMs = min(max(0, r.StallMs-before.last.StallMs), spanMs)
		before.watchedMs += spanMs
		before.stalledMs += stalledMs
	}
	return spanMs, stalledMs
}

// note keeps a report for the next one, and for those who count.
func (m *member) note(r announce.Report, nowMs int64) {
	if m.reported == nil {
		m.reported = &reported{}
	}
	r.Renditions, r.Dropped, r.RTTs = nil, nil, nil
	m.reported.last, m.reported.atMs = r, nowMs
}
