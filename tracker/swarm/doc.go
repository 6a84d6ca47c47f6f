// Package swarm decides who is introduced to whom, and who fetches what from the CDN on behalf of all. It is the
// tracker's mind without its body: events go in, actions come out, and nothing else happens. No I/O, no goroutine, no
// clock, no global randomness; the same events at the same times with the same seed give the same actions, in the
// tracker and in the simulator alike.
//
//	s := swarm.New(swarm.Config{Seed: 1})
//	for _, a := range s.Handle(nowMs, swarm.Join{Room: channel, Viewer: 7, Role: announce.Viewer}) {
//		switch a := a.(type) {
//		case swarm.Introduce: // tell a.A and a.B about each other; a.A makes the offer
//		case swarm.Gone:      // tell a.Viewer that a.Neighbour left
//		case swarm.Duty:      // tell a.Viewer its stripes
//		}
//	}
//
// # Neighbours (match.go)
//
// A room is a graph: an edge is a pair that was introduced and that nobody has reported as broken. Every viewer is
// filled up to Degree edges and accepts up to MaxDegree; a seeder carries more. Half of the edges a viewer asks for go
// to near ones (same subnet, then same rendition), half to anybody: near edges are cheap, random ones keep the graph's
// diameter logarithmic and leave nobody at the mercy of his surroundings. Up to Degree+1 members everybody knows
// everybody.
//
// Connections are not taken apart to make room, so a growing room must not fill all its slots: if every newcomer took
// Degree edges, the old would be full and a newcomer could only meet the newest, a chain instead of a random graph (68
// steps long among 400 viewers, with this rule 6). Once three quarters of the slots are taken, viewers are therefore
// filled to Degree/2 only; later arrivals do the rest.
//
// A pair that failed to connect is remembered and tried again after 30 s, 60 s, … 10 min. A client that does not name
// the dead edge still gives it away: if both ends report fewer neighbours than they have old edges, the edge between
// them is taken for dead. A pair that parted over evidence (bad bytes, lies) never meets again, and a viewer against
// whom Accusers different neighbours gave evidence is introduced to nobody any more. Accusers count equally, so three
// liars can shut one viewer out; they cannot make it see a bad byte or a stall.
//
// # Duties (deal.go)
//
// The leaves of a segment lie in 16 stripes. For every rendition, all stripes are dealt among the viewers that play it
// and are ready (connected to somebody), so that every stripe has exactly Copies holders: electing by chance or by
// neighbourhood would leave holes or pay for copies. The best ranked hold stripes: rank is a hash of viewer and room
// divided by weight, so that nobody can choose his place and a change of one viewer moves few others. Weight is 1
// for a viewer and 4 for a seeder, times ¼ … 4 by measured uplink. Each holder has one contiguous block, as long as its
// weight is large. A deal is made anew only if the set of holders changed, and only changed masks are sent.
//
// # Cost
//
// Join, Leave and Report cost O(degree), plus a move in a sorted list of ready viewers if readiness changed; Tick costs
// O(viewers).
package swarm
