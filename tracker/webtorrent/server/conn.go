package server

import (
	"errors"
	"net/http"

	"slipstream/tracker/epoll"
	"slipstream/tracker/webtorrent"
)

// conn is a client, whatever carries it.
type conn struct {
	server  *Server
	line    line
	release func() // gives its place back
	v6      bool
	visit   webtorrent.Visit // of who reads
}

// line carries messages to a client: an epoll loop's connection, or a stream.
type line interface {
	// Send queues a message and does not keep it. It never waits: who cannot take his messages is closed.
	Send(message []byte)
	// End closes the connection when what is queued has been sent.
	End(status epoll.Status, reason string)
}

// socket is a client in an epoll loop.
type socket struct{ conn }

// Open decides about a request for a WebSocket; it is for epoll.Config.Paths.
func (s *Server) Open(r *http.Request, line *epoll.Conn) (epoll.Client, *epoll.Refusal) {
	line.SetMaxMessage(webtorrent.MaxMessage)
	line.SetPatient()
	c := &socket{conn{line: line}}
	if no := s.arrive(r, &c.conn); no != nil {
		return nil, no
	}
	return c, nil
}

// Message implements epoll.Client.
func (c *socket) Message(_ bool, payload []byte) { c.server.handle(&c.conn, payload) }

// Overdue implements epoll.Client.
func (c *socket) Overdue() {
	if !c.visit.Heard() {
		c.line.End(epoll.PolicyViolation, "nothing was announced")
	}
}

// Pinging implements epoll.Client.
func (c *socket) Pinging() {}

// Closed implements epoll.Client.
func (c *socket) Closed(why error) {
	if errors.Is(why, epoll.ErrSlow) {
		c.server.closedSlow()
	}
	c.server.left(&c.conn)
}
