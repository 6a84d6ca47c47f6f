// Package server is the tracker's shell: it speaks the messages of package announce over WebSockets and carries out
// what package swarm decides.
//
// One goroutine, the hub (hub.go), owns the swarm and everybody's state; it never waits for the network. Each
// connection (conn.go) has a goroutine that reads, decodes and checks before anything reaches the hub's mailbox, one
// that writes from a bounded queue, and one that pings. A reader too slow for its queue is closed, so nobody's bad line
// holds up anybody else.
//
// Cheap checks come before costly ones: web origin, connections per network, a place among the connections, then the
// WebSocket, then size and shape of the first message, then the token's signature.
package server
