package swarm

import (
	"math"
	"slices"

	"slipstream/tracker/announce"
)

// past is a pair that parted.
type past struct {
	with     uint64
	failures int
	untilMs  int64
}

// never is a time that does not come.
const never = math.MaxInt64

// apart tells whether v remembers a reason not to meet w, yet or ever.
func (s *Swarm) apart(v, w *viewer) bool {
	p := v.pastWith(w.id)
	return p != nil && s.nowMs < p.untilMs
}

func (v *viewer) pastWith(id uint64) *past {
	for i := range v.past {
		if v.past[i].with == id {
			return &v.past[i]
		}
	}
	return nil
}

// drop handles one entry of a report's list. It counts only if the two ever were introduced: nobody can speak against
// a viewer whom he never met.
func (s *Swarm) drop(v *viewer, d Drop) {
	w := s.viewers.Get(d.Viewer)
	if w == nil || w.channel != v.channel || w == v {
		return
	}
	met := s.part(v, w)
	if !met && v.pastWith(w.id) == nil {
		return
	}
	if met || d.Reason.Evidence() {
		s.remember(v, w, d.Reason)
		s.remember(w, v, d.Reason)
	}
	if d.Reason.Evidence() {
		s.accuse(v, w)
	}
	if met {
		s.topUp(w)
	}
}

// remember keeps v from meeting w again too soon. Who could not be reached is not tried again where there are others.
func (s *Swarm) remember(v, w *viewer, why announce.Reason) {
	p := v.pastWith(w.id)
	if p == nil {
		r := v.own()
		if len(r.past) >= maxPast {
			r.past = slices.Delete(r.past, 0, 1)
		}
		r.past = append(r.past, past{with: w.id})
		p = &r.past[len(r.past)-1]
	}
	wait := int64(maxRetryMs)
	if why.Connectivity() {
		wait = min(maxRetryMs, int64(retryMs)<<min(p.failures, 10))
	}
	p.failures++
	p.untilMs = max(p.untilMs, s.nowMs+wait)
	if why.Evidence() || why == announce.Unreachable && !s.small(v) {
		p.untilMs = never
	}
}

// inferDead finds edges that are dead though nobody said so. A report counts neighbours but does not name them; if both
// ends of an old edge count fewer than they have old edges, that edge is the likeliest to be missing. A wrong guess
// costs little: those two stay connected and merely count as strangers here.
func (s *Swarm) inferDead(v *viewer, neighbours int) {
	settled := 0
	for _, e := range v.edges {
		if e.ageMs(s.nowMs) >= settleMs {
			settled++
		}
	}
	v.missing = uint8(min(max(0, settled-neighbours), math.MaxUint8))
	for i := 0; i < len(v.edges) && v.missing > 0; {
		e := v.edges[i]
		if e.ageMs(s.nowMs) < settleMs || e.to.missing == 0 {
			i++
			continue
		}
		s.part(v, e.to)
		s.remember(v, e.to, announce.Lost)
		s.remember(e.to, v, announce.Lost)
	}
}
