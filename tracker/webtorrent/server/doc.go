// Package server is the shell of package webtorrent: WebSockets, locks, statistics.
//
// Announces are handled where they are read: in an epoll loop, of which there is one a core, or in the goroutine of a
// connection that no loop can serve (stream.go). Reading JSON, checking and writing need no lock. The swarms are split
// over 64 parts by info hash, each with a lock that is held only while the core looks up peers and draws random ones, so
// one large swarm keeps all cores busy too. What is sent goes to the receiver's queue, and from there in one
// piece with whatever else waits for it: under load an epoll loop first takes what came from all of its clients, which nearly halves
// what a message costs (package bench).
//
// Cheap checks come before costly ones: web origin, connections of the network (Gate), a place among the connections,
// then the WebSocket, then the number and shape of messages.
package server
