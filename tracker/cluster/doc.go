// Package cluster makes several trackers one: viewers connect to any of them, and those of a channel meet all the same.
//
// A client's connection is on one node, its edge; its place is in the rooms of another, the owner of its shard of the
// channel. Which node owns what follows from who is there, by rendezvous hashing (place.go), so nobody has to be asked.
// Who is there follows from heartbeats (members.go). What the two have to tell each other travels in batches, on one
// NATS subject for each node (entry.go, outbox.go, bus.go).
//
// The edge remembers what its client said when it joined, its last report and its neighbours (stay.go). When the owner
// vanishes, stops or is no longer the owner, each edge moves its clients to the new one by itself: with their ids and
// neighbours, and without a word to the clients. When an edge vanishes, its clients' neighbours keep their connections;
// the clients come back on another node as they would to any tracker that restarted.
//
// Membership, placement and entries are pure. Around them is Relay, the shell, which implements server.Relay: relay.go has
// this node's clients, guests.go those of others in this node's rooms, heartbeat.go who is there, moving.go what follows
// when somebody comes or goes. facts.go is the little that a cluster keeps.
package cluster
