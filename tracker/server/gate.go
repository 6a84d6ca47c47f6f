package server

import "net/http"

// Gate decides on a connection of another protocol by what is cheap to know, the web origin and the network that it comes
// from, with the limits that hold for the tracker's own. Who is admitted gives its place back by release; for others
// there is the status and a sentence.
func (s *Server) Gate(r *http.Request) (release func(), status int, sentence string) {
	if !s.originAllowed(r) {
		s.metrics.reject(s.metrics.refused, "origin")
		return nil, http.StatusForbidden, "This tracker does not serve pages of this web origin."
	}
	addr := s.cfg.ClientAddr(r)
	if !s.addresses.admit(addr, s.cfg.Now()) {
		s.metrics.reject(s.metrics.refused, "address")
		return nil, http.StatusTooManyRequests, "Too many connections from this network; try again in a moment."
	}
	return func() { s.addresses.release(addr) }, 0, ""
}
