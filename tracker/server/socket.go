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

// promptly is of how many neighbours a newcomer hears at once: as many as it begins with. What comes later about neighbours, most of
// it because others come and leave, waits for more: it is most of what a tracker says in a rush, and nothing depends on it for half
// a second. A signal or a duty takes it along.
const promptly = 5

var (
	ofNeighbour = []byte(`{"type":"neighbour"`)
	ofGone      = []byte(`{"type":"gone"`)
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
	if bytes.HasPrefix(frame, ofGone) || bytes.HasPrefix(frame, ofNeighbour) && c.met.Add(1) > promptly {
		c.conn.SendSoon(frame)
	} else {
		c.conn.Send(frame)
	}
	if end != "" {
		c.srv.metrics.reject(c.srv.metrics.errors, end)
		c.conn.End(epoll.Status(statusOf(end)), end)
	}
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
