package server

import (
	"net/netip"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// Here is where a cluster fits in. A connection's side of the protocol (visit.go) and the rooms (rooms.go, cell.go) know
// each other only by the types of this file, so the two may be on different nodes. DESIGN.md shows who calls whom.

// NodeID names a tracker node in its cluster. A node that is alone is 0.
type NodeID uint64

// ConnID names a connection on its node. It is never used again, also not after a restart.
type ConnID uint64

// Address names a client in the cluster by the connection that it has.
type Address struct {
	Node NodeID
	Conn ConnID
}

// Rooms is where clients enter.
type Rooms interface {
	// Enter brings a client into its channel; what it has to be told goes to its address, a welcome first. The refusal
	// is for clients that cannot enter; from a room far away it may come by Post as well.
	Enter(Address, Enter) (Seat, *announce.Error)
}

// Enter is a join whose token was good, and where its sender is.
type Enter struct {
	Channel string
	Join    announce.Join    // without the token
	Welcome announce.Welcome // the terms of the visit; the room adds who is there

	Used Token // to enter; the zero Token is none

	// Equal for clients in the same; 0 = unknown.
	Subnet, ISP, Region uint64

	// Resume is for a client that had its place on another node; it keeps its id and is not welcomed again.
	Resume *Resume
}

// Resume is what a node that had a client in its rooms knew about it.
type Resume struct {
	ID     announce.PeerID
	Known  []announce.PeerID // its neighbours, and perhaps some that it had
	Report *announce.Report  // the last one
	CapBps int64             // that it was told; 0 = none
}

// Seat is a client's place in its channel. Its methods may wait for a busy cell, but never for the network.
type Seat interface {
	// Signal and Report pass on what the client says, in order.
	Signal(announce.SignalTo)
	Report(announce.Report)
	// Leave gives the place up; once more does no harm.
	Leave()
	// Move is a Leave of which its neighbours are not told: it has its place elsewhere now.
	Move()
	// Channel is the channel's id.
	Channel() string
}

// Post brings messages to clients.
type Post interface {
	// Deliver sends a message as package announce encodes it, and never waits. The frame is the caller's again when
	// Deliver returns. An end, which is the code of an error, closes the connection after the frame. A client that is
	// not there any more gets nothing, and that is nobody's fault.
	Deliver(to Address, frame []byte, end string)
}

// Relay makes a node part of a cluster.
type Relay interface {
	// Node is this node's id.
	Node() NodeID
	// Start is given the rooms of this node and the post to its connections, and returns those that reach the whole
	// cluster. Who comes from another node enters here with the address that it has there.
	Start(here Rooms, connections Post) (Rooms, Post)
}

// Token is one that was good on this node.
type Token struct {
	Name TokenName
	Dead time.Time // when it is good on no node any more
}

// Keeper is a Relay that sees to it that a token is used once in a whole cluster.
type Keeper interface {
	// Spend is told of every token that a client shows, to enter or to stay. It never waits: the refusal may come by Post.
	Spend(Address, Token) *announce.Error
}

// Facts is what a whole cluster knows and keeps. None of its methods waits.
type Facts interface {
	// Sharing is how viewers of a channel may meet, as an operator has set it.
	Sharing(channel string) token.Sharing
	// UploadBps is what each viewer of a channel may upload, as an operator has set it; 0 means as much as it likes.
	UploadBps(channel string) int64
	// Ban keeps an address away for a while: its neighbours' evidence ended its visit.
	Ban(netip.Addr)
	Banned(netip.Addr) bool
}
