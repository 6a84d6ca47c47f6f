// Package web serves a handler over HTTP/1.1, over HTTPS with HTTP/1.1 and HTTP/2, and over HTTP/3.
//
// A client that is slow, greedy or gone must cost no more over one of them than over another. Limits (limits.go) says what
// holds for all three, and where each gets it from:
//
//	                       HTTP/1.1               HTTP/2                        HTTP/3
//	a header of 32 KiB     net/http               net/http                      quic-go, told in SETTINGS
//	10 s for a header      net/http               idle timeout: a half header   read deadline of the stream
//	                                              stops only its connection
//	2 min without request  net/http               net/http                      quic-go
//	a reader that stops    write deadline of the  the same for a stream, 2 min  the same
//	                       answer, if it has one  if it has none; 30 s without
//	                                              a byte for the connection
//	requests at a time     one                    100                           100
//	connections            8,000 an address       the same                      8,000
//	bytes sent unasked     socket buffer          256 KiB                       64 KiB, more once they are read
//
// A handler sets the write deadline of its answer by http.ResponseController, which all three understand. It learns from its
// request's context that the server ends.
//
// What QUIC adds are clients whose address is not proven: beyond a rate they must first prove it (RFC 9000, section 8.1.2), so that
// nobody fills the table with invented ones. Early data (0-RTT), which could be replayed, is not taken.
//
// # The lane
//
// Most requests that come over plain HTTP/1.1, which is what caches speak to an origin, are for a few objects that lie ready in memory. For a
// playlist net/http takes 25 µs of processor, nginx 13, and fasthttp, with a handler that does nothing, 17. A Lane (lane.go) takes 12: it reads
// requests of the plainest form by itself, below net/http, and leaves everything else to it, on the same connection. Another server in net/http's
// place or before it would also read HTTP a second time, as leniently as the first, and two lenient readings that differ are how requests are
// smuggled; the lane reads nothing that could be read in two ways (FuzzRequest asks net/http too).
//
// Limits are the same, but that between requests of the lane a client may be quiet for half a minute less than two.
//
// HTTP/3 has the number of HTTPS's port, over UDP, and every answer over HTTPS says so in Alt-Svc (RFC 9114, section 3.1.1).
package web
