package swarm

// State is how a viewer takes part.
type State int

// The states of viewers.
const (
	Waiting  State = iota // for its first neighbour, or for its uplink to be of use to one
	Sharing               // receives, and passes on
	Taking                // passes nothing on: no consent, or a metered line
	Resting               // left to the CDN for a while, because peers did it harm
	nrStates = iota
)

// States are all there are.
var States = [nrStates]State{Waiting, Sharing, Taking, Resting}

// String is a word for operators.
func (s State) String() string { return [nrStates]string{"waiting", "sharing", "taking", "resting"}[s] }

// Crowd is how many viewers are in each state.
type Crowd [nrStates]int

// Add adds another crowd.
func (c *Crowd) Add(o Crowd) {
	for state, n := range o {
		c[state] += n
	}
}

// All is how many they are.
func (c Crowd) All() (n int) {
	for _, of := range c {
		n += of
	}
	return n
}

// Crowds counts a channel's viewers by ISP, 0 for those of whom it is not known. It costs O(viewers).
func (s *Swarm) Crowds(channel string) map[uint64]Crowd {
	by := map[uint64]Crowd{}
	c := s.channels[channel]
	if c == nil {
		return by
	}
	for _, r := range c.rooms {
		for _, v := range r.members.items {
			crowd := by[v.isp]
			crowd[v.state()]++
			by[v.isp] = crowd
		}
	}
	return by
}

func (v *viewer) state() State {
	switch {
	case v.rest.resting():
		return Resting
	case v.noUpload:
		return Taking
	case v.ready:
		return Sharing
	}
	return Waiting
}

// Near tells how many of a viewer's neighbours are of its ISP, and how many of another. Seeders are of none, as are those of whom
// it is not known.
func (s *Swarm) Near(viewer uint64) (same, other, unplaced int) {
	v := s.viewers.Get(viewer)
	if v == nil {
		return 0, 0, 0
	}
	for _, e := range v.edges {
		switch {
		case v.isp == 0 || e.to.isp == 0 || e.to.seeder:
			unplaced++
		case v.isp == e.to.isp:
			same++
		default:
			other++
		}
	}
	return same, other, unplaced
}
