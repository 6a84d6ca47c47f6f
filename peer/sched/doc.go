// Package sched decides, for one viewer, what to fetch next, from whom and by
// when, what to announce and what to upload. It is the heart of the swarm and
// it is pure: no I/O, no goroutine, no clock and no global randomness. Time and
// everything that happened are arguments, everything to be done is returned:
//
//	actions := core.Handle(nowMs, events)
//
// The shape is that of etcd's raft RawNode: one mutation, then one drain. The
// same code runs in the Go viewer, in the seeder and in the simulator; its twin
// in player/src/sched.ts is held to it by recorded traces.
//
// Leaves (16 KiB) are the unit of transfer and of verification, pieces of one to four
// leaves that of scheduling. The life of a piece:
//
//	open ──request──▶ pending at a neighbour ──Verified──▶ held, announced
//	  │ ▲                  │ Refuse, timeout, Rejected, neighbour gone
//	  │ └──────────────────┘
//	  └──duty, rescue──▶ pending at the CDN ──Verified──▶ held, announced
//
// Three rules move it:
//
//   - Duty: the tracker names, for each of the 16 stripes of an object, the one
//     viewer that fetches it from the CDN at once. Everybody else waits for it.
//   - Pull: a piece that a neighbour holds is requested from the neighbour that
//     is expected to deliver it first, rarest piece first, many in flight. What a
//     neighbour has coming from the CDN may be asked of it in advance.
//   - Rescue: what nobody near us holds is fetched from the CDN by a staggered
//     soft deadline (so that one viewer does it and the others get it from that
//     one), and what is still missing at the hard deadline is fetched in any
//     case: peers are never on the critical path.
//
// Twin rules: decisions use integers below 2^53, truncating division, total
// orders that end in an id, and no map iteration. DESIGN.md beside this file
// says why each constant has its value.
package sched
