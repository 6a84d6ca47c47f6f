package web

import "time"

// limits is what a client may cost. Tests make them short.
type limits struct {
	headerBytes int
	header      time.Duration // for all of a request's header
	handshake   time.Duration // for a handshake without progress, and half of all of it (HTTP/3)
	idle        time.Duration // for a connection without a request
	answer      time.Duration // for an answer whose handler does not say (HTTP/2, HTTP/3)
	stalled     time.Duration // for a connection that takes no byte (HTTP/2)
	lost        time.Duration // for a connection that nothing comes from, not even acknowledgements (HTTP/3)
	streams     int           // requests at a time on a connection
	connections int           // of each address to listen on
	unverified  int           // connections from unproven addresses a second, and ten times as many at once (HTTP/3)
	shutdown    time.Duration // for answers under way when the server ends
}

var usual = limits{
	headerBytes: 32 << 10,
	header:      10 * time.Second,
	handshake:   5 * time.Second,
	idle:        2 * time.Minute,
	answer:      2 * time.Minute,
	stalled:     30 * time.Second,
	lost:        30 * time.Second,
	streams:     100,
	// Fewer than the files that a process may open (20,000 and more, where it matters), so that the signed heads can still be written.
	connections: 8000,
	unverified:  50,
	shutdown:    3 * time.Second,
}
