// Package server is the tracker's shell: it speaks the messages of package announce over WebSockets and carries out
// what package swarm decides. DESIGN.md has the figures behind it.
//
// Three layers, each of which can be read alone:
//
//   - transport: frames in and out of one connection. socket.go is one of package epoll, and serves on Linux;
//     conn.go has goroutines for each, and serves everywhere.
//   - visit (visit.go): a client's side of the protocol. Whether it may speak, what it says, whether its token is good.
//     No goroutine, no network.
//   - rooms (rooms.go, cell.go): who is where. A cell is one goroutine with a swarm of its own and a bounded mailbox;
//     there is one for each core, and a channel into which thousands rush uses all of them.
//
// Between visits and rooms lies seam.go: everything that crosses it is addressed by node and connection, so a client may
// be connected to one node and sit in a room of another.
//
// A cell never waits for the network: it appends to what a connection has pending, and a reader too slow for that is
// closed, so nobody's bad line holds up anybody else. Connections do wait for a busy cell, which is what slows down
// those who would flood it.
//
// Cheap checks come before costly ones: connections per network, web origin, the token and its signature, a place among the
// connections, then the WebSocket, then size and shape of the first message.
package server
