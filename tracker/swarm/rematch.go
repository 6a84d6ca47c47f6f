package swarm

// Whom a viewer knows depends on who was there when it came: the first have neighbours from everywhere, and those who were in one
// room before it was split have some in the other half. So everybody looks now and then whether too many of its neighbours are
// strangers, and exchanges one of them. A room that has settled is quiet.

// rematchMs is how long a viewer keeps its neighbours at least before it exchanges one, and the next.
const rematchMs = 30_000

// rematch exchanges one of v's strangers for somebody near, if it has more than it should and somebody is near.
func (s *Swarm) rematch(v *viewer) {
	if s.nowMs < v.rematchAtMs || v.suspended || !s.mayAsk(v) {
		return
	}
	v.rematchAtMs = s.nowMs + rematchMs
	strangers := v.strangers()
	near := len(v.edges) - strangers
	if s.small(v) || (strangers-1)*strangerOf <= len(v.edges) || v.around[inISP].len() <= near+1 {
		return
	}
	x := v.worstStranger()
	if x == nil {
		return
	}
	s.separate(v, x)
	s.meetNear(v)
	s.topUp(x)
	if len(v.edges)-v.strangers() == near { // nobody near has room
		v.rematchAtMs = s.nowMs + maxRetryMs
	}
}

// worstStranger is a neighbour of v who is not near and has enough others, one in another room if there is one.
func (v *viewer) worstStranger() (worst *viewer) {
	for _, e := range v.edges {
		x := e.to
		if x.seeder || v.near(x) || len(x.edges) <= len(v.edges)/2 || x.noUpload {
			continue
		}
		if worst == nil || x.room != v.room && worst.room == v.room {
			worst = x
		}
	}
	return worst
}
