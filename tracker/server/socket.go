package server

import (
	"bytes"
	"errors"
	"net/http"
	"sync/atomic"

	"slipstream/tracker/announce"
	"slipstream/tracker/epoll"
)

// socket is one client's WebSocket in an epoll loop.
type socket struct {
	guest
	conn *epoll.Conn
	met  atomic.Uint32 // neighbours that it heard of
}

// promptly is of how many neighbours a newcomer hears at once: as many as it begins with. They leave together, with the welcome.
const promptly = 6

var (
	ofWelcome   = []byte(`{"type":"welcome"`)
	ofNeighbour = []byte(`{"type":"neighbour"`)
	ofGone      = []byte(`{"type":"gone"`)
	toOffer     = []byte(`"offer":true}`)
)

// Open decides about a request for a WebSocket; it is for epoll.Config.Paths.
func (s *Server) Open(r *http.Request, conn *epoll.Conn) (epoll.Client, *epoll.Refusal) {
	c := &socket{conn: conn}
	if no := s.arrive(r, &c.guest, c); no != nil {
		return nil, no
	}
	return c, nil
}

// Epoll is how the loops are to treat this server's clients.
func (s *Server) Epoll() epoll.Config {
	l := &s.cfg.Limits
	return epoll.Config{
		Subprotocol: announce.Subprotocol, MaxMessage: announce.MaxMessage, MaxPending: l.Pending, OpenTimeout: l.JoinTimeout, PingInterval: l.PingInterval,
		WriteTimeout: l.WriteTimeout, Log: s.log,
		Refused: func(why string) { s.metrics.reject(s.metrics.refused, why) },
	}
}

// send implements line.
func (c *socket) send(frame []byte, end string) {
	if frame == nil {
		return
	}
	if p, may := c.mayWait(frame); may {
		c.conn.SendWithin(p, frame)
	} else {
		c.conn.Send(frame)
	}
	if end != "" {
		c.srv.metrics.reject(c.srv.metrics.errors, end)
		c.conn.End(epoll.Status(statusOf(end)), end)
	}
}

// mayWait tells how long a message may wait for others. Most of what a tracker says in a rush is about neighbours, because others
// come and leave, and of that only whom to make an offer to is acted on soon: whose offer will come is of use with the offer, who has
// left is not missed, and two who are to part may do so later. An offer, an answer or a duty takes along what waits.
func (c *socket) mayWait(frame []byte) (p epoll.Patience, may bool) {
	switch {
	case bytes.HasPrefix(frame, ofWelcome):
		return epoll.Briefly, true
	case bytes.HasPrefix(frame, ofGone):
		return epoll.Long, true
	case !bytes.HasPrefix(frame, ofNeighbour):
		return 0, false
	}
	switch met := c.met.Add(1); {
	case met < promptly:
		return epoll.Briefly, true
	case met == promptly:
		return 0, false
	case bytes.HasSuffix(frame, toOffer):
		return epoll.AWhile, true
	}
	return epoll.Long, true
}

// cut implements line.
func (c *socket) cut() { c.conn.Cut() }

// Message implements epoll.Client.
func (c *socket) Message(text bool, payload []byte) {
	refusal, left := c.take(c.srv.cfg.Now(), text, payload)
	if refusal != nil {
		c.leave()
		c.send(c.srv.encode(*refusal))
	}
	if left {
		c.conn.End(epoll.NormalClosure, "")
	}
}

// Overdue implements epoll.Client.
func (c *socket) Overdue() {
	if !c.joined {
		c.send(c.srv.encode(*noJoin()))
	}
}

// Pinging implements epoll.Client.
func (c *socket) Pinging() {
	if refusal := c.overdue(c.srv.cfg.Now()); refusal != nil {
		c.leave()
		c.send(c.srv.encode(*refusal))
	}
}

// Closed implements epoll.Client.
func (c *socket) Closed(why error) {
	switch {
	case errors.Is(why, epoll.ErrTooBig):
		c.srv.metrics.reject(c.srv.metrics.errors, "too-big")
	case errors.Is(why, epoll.ErrFlood):
		c.srv.metrics.reject(c.srv.metrics.errors, "flood")
	case errors.Is(why, epoll.ErrRules):
		c.srv.metrics.reject(c.srv.metrics.errors, "websocket")
	case errors.Is(why, epoll.ErrSlow):
		c.srv.closedSlow(&c.guest)
	}
	c.srv.exit(&c.guest)
}
