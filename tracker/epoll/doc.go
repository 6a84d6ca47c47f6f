// Package epoll serves WebSockets on raw descriptors: one goroutine for each core waits in an epoll loop for all of its
// connections, so an idle one costs a few hundred bytes instead of goroutines, stacks and buffers. It knows nothing of
// what the messages mean.
//
//	sockets, err := epoll.Serve(listener, epoll.Config{Paths: map[string]epoll.Open{"/tracker": open}})
//	go http.Serve(sockets.Rest(), handler) // what asked for no WebSocket
//
// A connection's request is read by net/http's parser. If it asks for a WebSocket on a known path, Open decides; any
// other connection goes, with what was read of it, to Rest, a listener for an ordinary HTTP server. So one port serves
// both. With Config.TLS all of it goes on behind TLS, which the loops do themselves.
//
//   - frame.go: frames and messages of RFC 6455, server's side
//   - conn.go: one connection's state, what is pending, when it has to be looked at
//   - loop.go: epoll, accepting, the timing wheel (wheel.go)
//   - tls.go: crypto/tls on a wire that never blocks; its handshakes are coroutines of the loop
//
// Clients are called by their connection's loop, one call at a time: they must not wait for the network. Sending is for
// every goroutine, and never waits: it appends to what is pending, and a reader who lets too much pile up is closed.
//
// A write costs more than all else. So a turn of a loop that has found something to do lasts a millisecond (breath), what may wait
// for longer does (Conn.SendSoon), and to who is patient (Conn.SetPatient) a loop writes when it has taken what came from everybody:
// the busier it is, the more messages share a write. Who is told much at once is not slow, only whose socket does not take it.
//
// Of RFC 6455 there is what browsers use: fragmented messages, pings, closing with a status. No extensions, so no
// compression, whose state would cost each connection more than everything else.
package epoll
