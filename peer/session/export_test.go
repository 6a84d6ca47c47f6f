package session

import (
	"slipstream/tracker/announce"
)

// Link is the session's end of a connection.
type Link = link

// Adopted is a neighbour that a test has given to a session.
type Adopted struct {
	s *Session
	n *neighbour
}

// Adopt makes a link that is open a neighbour of a running session.
func (s *Session) Adopt(peer announce.PeerID, conn Link) *Adopted {
	a := &Adopted{s: s}
	s.Do(func() {
		a.n = s.newNeighbour(peer)
		s.connecting(a.n, conn)
		s.opened(a.n)
	})
	return a
}

// Receive brings a message.
func (a *Adopted) Receive(b []byte) { a.s.post(func() { a.s.received(a.n, b) }) }

// Closed brings the news that the connection is gone.
func (a *Adopted) Closed() { a.s.post(func() { a.s.closed(a.n, "gone") }) }

// Deal gives a session its duties, as the tracker does.
func (s *Session) Deal(duties ...announce.Share) { s.Do(func() { s.assigned(duties) }) }

// Hear is a word of the tracker's.
func (s *Session) Hear(m announce.Message) { s.Do(func() { (&trackerClient{s: s}).heard(m) }) }

// Head is the newest segment of a rendition that a session knows.
func (s *Session) Head(rendition string) (head int64) {
	s.Do(func() { head = s.renditionOf(rendition).verifier.Head() })
	return head
}

// Window is a rendition's window.
func (s *Session) Window(rendition string) (window []Segment) {
	s.Do(func() { window = s.view(s.renditionOf(rendition)) })
	return window
}
