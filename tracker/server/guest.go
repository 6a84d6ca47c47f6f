package server

import (
	"time"

	"slipstream/tracker/announce"
)

// guest is what every connection has, whatever carries it: a visit, and a seat once it has joined.
type guest struct {
	visit
	id   ConnID
	seat Seat
}

// take carries out one message. The refusal ends the connection with a word, left without one.
func (c *guest) take(now time.Time, text bool, frame []byte) (refusal *announce.Error, left bool) {
	event, refusal := c.handle(now, text, frame)
	switch event := event.(type) {
	case Enter:
		if refusal = c.spend(event.Used); refusal == nil {
			c.seat, refusal = c.srv.rooms.Enter(Address{c.srv.node, c.id}, event)
		}
	case Token:
		refusal = c.spend(event)
	case announce.SignalTo:
		c.seat.Signal(event)
	case announce.Report:
		c.seat.Report(event)
	case announce.Leave:
		c.leave() // before the closing handshake, which the client may draw out
		return nil, true
	}
	return refusal, false
}

// spend tells the cluster of a token, if there is one.
func (c *guest) spend(t Token) *announce.Error {
	if keeper, ok := c.srv.cfg.Relay.(Keeper); ok {
		return keeper.Spend(Address{c.srv.node, c.id}, t)
	}
	return nil
}

// Key is a part of line.
func (c *guest) Key() uint64 { return uint64(c.id) }

// leave ends the visit, if there is one.
func (c *guest) leave() {
	c.over()
	if c.seat != nil {
		c.seat.Leave()
	}
}

// tell encodes a message and brings it to a client. After an Error the connection is closed.
func (s *Server) tell(to Address, m announce.Message) {
	b, end := s.encode(m)
	s.post.Deliver(to, b, end)
}

func (s *Server) encode(m announce.Message) (frame []byte, end string) {
	b, err := announce.Encode(m)
	if err != nil {
		s.log.Error("a message of the tracker's own could not be sent", "error", err)
		return nil, ""
	}
	if e, ok := m.(announce.Error); ok {
		end = e.Code
	}
	return b, end
}
