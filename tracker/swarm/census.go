package swarm

// Census is what an operator may want to know of a channel, and only the swarm does. It costs O(rooms).
type Census struct {
	Rooms int // without the empty ones

	// Pairs are neighbours; Placed those of two viewers with known ISPs, Local those where it is the same.
	Pairs, Placed, Local int

	// Holders are of how many copies somebody holds the stripes, counted once for each viewer that plays them: Holders
	// divided by Players is how many copies a viewer's rendition is fetched in.
	Holders, Players int
}

// Census counts a channel.
func (s *Swarm) Census(channel string) (n Census) {
	c := s.channels[channel]
	if c == nil {
		return n
	}
	n = Census{Rooms: len(c.rooms), Pairs: c.ends.all / 2, Placed: c.ends.placed / 2, Local: c.ends.local / 2}
	for _, r := range c.rooms {
		for _, d := range r.deals {
			n.Players += d.players.len()
			if len(d.holders) > 0 {
				n.Holders += d.now * d.players.len()
			}
		}
	}
	return n
}

// Add adds what another swarm counted of the same channel.
func (n *Census) Add(o Census) {
	n.Rooms += o.Rooms
	n.Pairs += o.Pairs
	n.Placed += o.Placed
	n.Local += o.Local
	n.Holders += o.Holders
	n.Players += o.Players
}

// ends counts the ends of pairs, two each, as they come and go: nobody has to walk over all of them.
type ends struct{ all, placed, local int }

func (e *ends) count(v, w *viewer, by int) {
	e.all += by
	if v.isp == 0 || w.isp == 0 || v.seeder || w.seeder {
		return
	}
	e.placed += by
	if v.isp == w.isp {
		e.local += by
	}
}
