package server

import "fmt"

// Reason is why a tracker is not ready for clients.
type Reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Unready is a Relay that may have reasons of its own.
type Unready interface{ Unready() []Reason }

// Unready tells why clients should rather be sent elsewhere; nothing if they are welcome.
func (s *Server) Unready() []Reason {
	why := []Reason{}
	s.mu.Lock()
	closed, conns, most := s.closed, s.conns, s.rules.Load().Limits.Connections
	s.mu.Unlock()
	if closed {
		why = append(why, Reason{"stopping", "The tracker is shutting down."})
	}
	if conns >= most {
		why = append(why, Reason{"full", fmt.Sprintf("All %d places for connections are taken.", most)})
	}
	if relay, ok := s.cfg.Relay.(Unready); ok {
		why = append(why, relay.Unready()...)
	}
	return why
}
