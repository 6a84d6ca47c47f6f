// Package swarm decides who is introduced to whom, and who fetches what from the CDN on behalf of all. It is the
// tracker's mind without its body: events go in, actions come out, and nothing else happens. No I/O, no goroutine, no
// clock, no global randomness; the same events at the same times with the same seed give the same actions, in the
// tracker and in the simulator alike.
//
//	s := swarm.New(swarm.Config{Seed: 1})
//	for _, a := range s.Handle(nowMs, swarm.Join{Room: channel, Viewer: 7, Role: announce.Viewer}) {
//		switch a := a.(type) {
//		case swarm.Introduce: // tell a.A and a.B about each other; a.A makes the offer
//		case swarm.Part:      // tell a.A and a.B to close their connection
//		case swarm.Gone:      // tell a.Viewer that a.Neighbour left
//		case swarm.Duty:      // tell a.Viewer its stripes
//		case swarm.Cap:       // tell a.Viewer how much it may upload
//		case swarm.Expel:     // close a.Viewer's connection
//		}
//	}
//
// DESIGN.md has the measurements behind the numbers.
//
// # Rooms (channel.go)
//
// The viewers of a channel are in one room, or in several of about RoomSize: those of a room know of each other and
// share duties. Rooms gather ISPs: a newcomer goes where others with its ISP are, or of its region, else to the smallest. A room that
// exceeds RoomSize by half is split, an ISP staying together unless it is most of the room; one is joined with the smallest other when
// they are three quarters of RoomSize together. Pairs that are connected stay so across a split. Seeders serve all rooms.
// Rooms have no influence on each other, so each can be simulated by itself (RoomOf, Rooms).
//
// # Neighbours (match.go, weave.go, past.go, rematch.go)
//
// A room is a graph: an edge is a pair that was introduced and that nobody has reported as broken. Up to Degree+1
// everybody knows everybody. In a larger room every other edge a viewer asks for goes to anybody who uploads, or one in
// strangerOf if others with its ISP are about, the rest to near ones that play the same (same subnet, then ISP, then region, then
// anybody who does): near edges are cheap, random ones keep the graph's diameter logarithmic and leave nobody at the mercy of his
// surroundings. For the same reason a viewer has at most two neighbours of one subnet, unless most of the room is in it. Two that pass nothing
// on, and two whose address translators allow no connection, are not introduced. Who passes nothing on has half as many
// neighbours, and of those who do, at most a third (or the idle's share of the room) are such. Who gives neighbours up
// to get others gets them slowly (mayAsk). A newcomer gets half and one at once, and the others one by one.
//
// Who uploads must be one mesh, however the room came about: the first dozen would fill their slots among themselves, and
// newcomers could only meet the newest. So the random half is drawn from all who upload, and one who is full lets an edge
// give way: a–b is parted (Part), and the newcomer v put in between, a–v–b (weave.go). Nobody's degree shrinks, and nobody
// is cut off. A random edge gives way to a random one and a near one to a near one, where there is such.
//
// A pair that failed to connect is not tried again in a large room; in a small one, as one that lost its connection, after
// 30 s, 60 s, … 10 min. A client that does not name the dead edge still gives it away: if both ends report fewer
// neighbours than they have old edges, the edge between them is taken for dead.
//
// A viewer that comes from another tracker's room brings its neighbours along (Join.Neighbours); the pairs are there again as soon
// as both are.
//
// Now and then everybody gives one neighbour up for a better one (rematch.go): one to whom a round trip takes far longer than is usual
// for both, or a stranger where there are too many.
//
// # Evidence (blame.go)
//
// Neighbours accuse each other of bad bytes and lies. A pair that parted over evidence never meets again. A viewer
// accused by Accusers independent neighbours, at least as many as those who do not complain, is suspended: no
// introductions, no duties. Expellers of them end its visit, but one in a hundred of a room in ten minutes at most. Independent
// means of different networks. A network has one voice, whoever speaks for it and however often he comes back: it counts against
// four viewers in an hour, half while the accuser is half way to be suspended, and not at all once he is. So fewer than
// Accusers lying networks among a viewer's neighbours cannot harm it, and most of its neighbours must be liars for more. Nothing counts
// against a seeder, which is the operator's own.
//
// # Duties (deal.go, stripes.go, rank.go)
//
// The pieces of a segment lie in 16 stripes. For every rendition, each stripe has exactly as many holders as there shall
// be copies: electing by chance or by neighbourhood would leave holes or pay for copies. Holders are the best ranked of
// those who play it, are connected, upload, and have the uplink to pass a stripe on to four others while it plays. The
// rank is weighted rendezvous hashing, −ln(hash)/weight in integers: nobody can choose his place, twice the uplink is
// twice as likely to hold a stripe, and what one viewer does moves nobody else. Uplinks count in classes from 250 kb/s to
// 16 Mb/s, doubling; what is claimed beyond is not believed.
//
// In a room with 16 viewers or more each holder has one stripe of a rendition, and who has one keeps it while he is
// among the best. In a smaller one everybody has one contiguous block, as long as his weight is large, because a block
// is one request. Only changes are sent.
//
// # Copies (fare.go)
//
// One copy reaches a room of a hundred in time. In a larger one with little uplink to spare the first copies must be more,
// or leaves reach the last too late and are fetched again: √(viewers/16) to begin with, and then as many as make duties
// cost what rescues cost, which is the least in sum; at most one for 30 viewers, and only as long as that saves more than
// it costs. What viewers report about themselves is bounded, and those who claim the most are left out.
//
// # Rest (rest.go)
//
// Who stalls and rescues a tenth of its media three looks in a row, while hardly anybody else in the room stalls, is parted from
// everybody and left alone for five minutes, then ten, at most an hour: a client without neighbours plays from the CDN alone.
//
// # Caps (cap.go)
//
// Who stalls two looks in a row while half of its uplink or more is in use, and hardly anybody else in the room stalls, is told to upload
// half as much, for a minute; twice as long each time. Then it may upload half as much again, step by step. An operator may bound what each viewer of a
// channel uploads (Allow). Duties go by what a viewer may upload.
//
// # Cost
//
// Join, Leave and Report cost O(degree), plus a place in a sorted list of those who could hold stripes if that changed
// (a search and a move of memory); a new deal costs O(16 · copies). Tick costs O(viewers), and a sort of them every ten
// seconds.
package swarm
