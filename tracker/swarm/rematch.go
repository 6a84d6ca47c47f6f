package swarm

import (
	"math"

	"slipstream/tracker/announce"
)

// Whom a viewer knows depends on who was there when it came: the first have neighbours from everywhere, and those who were in one
// room before it was split have some in the other half. And how far two are from each other shows only when they are connected. So
// everybody looks now and then whether a neighbour is much slower than the others, or too many are strangers, and exchanges one of
// them. A room that has settled is quiet.

const (
	// rematchMs is how long a viewer keeps its neighbours at least before it exchanges one, and the next.
	rematchMs = 30_000
	// A neighbour is slow whose round trip takes slowMs and slowTimes as long as is usual for both. So many stay: they may be all
	// that joins two far parts of a room.
	slowMs, slowTimes, slowStay = 150, 3, 2
	// fewRTTs are too few to tell what is usual.
	fewRTTs = 4
)

// rematch gives up at most one of v's neighbours for another.
func (s *Swarm) rematch(v *viewer) {
	if s.nowMs < v.rematchAtMs || v.suspended || s.small(v) || !s.mayAsk(v) {
		return
	}
	v.rematchAtMs = s.nowMs + rematchMs
	if x := v.slowest(); x != nil {
		s.separate(v, x)
		s.remember(v, x, announce.Stalled)
		s.remember(x, v, announce.Stalled)
		s.topUp(v)
		s.topUp(x)
		return
	}
	s.exchangeStranger(v)
}

// exchangeStranger gives up one of v's strangers for somebody near, if it has more than it should and somebody is near.
func (s *Swarm) exchangeStranger(v *viewer) {
	strangers := v.strangers()
	near := len(v.edges) - strangers
	if (strangers-1)*strangerOf <= len(v.edges) || v.around[inISP].len() <= near+1 {
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

// measured takes in how long a round trip to a neighbour takes.
func (v *viewer) measured(r RTT) {
	for i := range v.edges {
		e := &v.edges[i]
		if e.to.id != r.Viewer {
			continue
		}
		e.rttMs = int32(min(max(r.Ms, 1), math.MaxInt32))
		for j := range e.to.edges {
			if back := &e.to.edges[j]; back.to == v {
				back.rttMs = e.rttMs
			}
		}
	}
}

// usualRTT is the median of what is known of v's round trips; 0 if that is too little.
func (v *viewer) usualRTT() int64 {
	var known []int64
	for _, e := range v.edges {
		if e.rttMs > 0 {
			known = append(known, int64(e.rttMs))
		}
	}
	if len(known) < fewRTTs {
		return 0
	}
	return median(known)
}

// slowest is the slowest neighbour of those that v may give up for that.
func (v *viewer) slowest() (slowest *viewer) {
	usual, slow, worstMs := int64(0), 0, int64(0)
	for _, e := range v.edges {
		if e.rttMs < slowMs {
			continue
		}
		if usual == 0 {
			if usual = v.usualRTT(); usual == 0 {
				return nil
			}
		}
		theirs, rttMs := e.to.usualRTT(), int64(e.rttMs)
		if rttMs < slowTimes*usual || theirs == 0 || rttMs < slowTimes*theirs {
			continue
		}
		if slow++; rttMs > worstMs && !e.to.seeder && len(e.to.edges) > len(v.edges)/2 {
			slowest, worstMs = e.to, rttMs
		}
	}
	if slow <= slowStay {
		return nil
	}
	return slowest
}

// worstStranger is a neighbour of v who is not near and has enough others, also of its strangers; one in another room if there is
// one.
func (v *viewer) worstStranger() (worst *viewer) {
	for _, e := range v.edges {
		x := e.to
		if x.seeder || v.near(x) || len(x.edges) <= len(v.edges)/2 || x.noUpload || x.strangers()*strangerOf <= len(x.edges) {
			continue
		}
		if worst == nil || x.room != v.room && worst.room == v.room {
			worst = x
		}
	}
	return worst
}
