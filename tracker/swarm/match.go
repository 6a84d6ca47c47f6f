package swarm

import (
	"slices"

	"slipstream/tracker/announce"
)

// past is a pair that parted.
type past struct {
	with     uint64
	failures int
	untilMs  int64
	never    bool // over evidence
}

// limit is how many neighbours v accepts.
func (s *Swarm) limit(v *viewer) int {
	if v.seeder {
		return s.cfg.SeederDegree
	}
	return s.cfg.MaxDegree
}

// wanted is how many neighbours v is filled up to.
func (s *Swarm) wanted(v *viewer) int {
	r := v.room
	if r.members.len() <= s.cfg.Degree+1 {
		return r.members.len() - 1
	}
	want := s.cfg.Degree
	if v.seeder {
		want = s.cfg.SeederDegree
	}
	// A quarter of the slots stays free for those who come later; see the package comment.
	if viewers := r.members.len() - r.seeders.len(); 4*r.degrees >= 3*s.cfg.MaxDegree*viewers {
		want /= 2
	}
	return want
}

// topUp introduces v to others until it has as many neighbours as wanted. If nobody is to be had, it is not tried
// again for a while that doubles.
func (s *Swarm) topUp(v *viewer) {
	if v.barred || len(v.edges) >= s.wanted(v) || s.nowMs < v.searchAtMs {
		return
	}
	before := len(v.edges)
	if v.room.members.len() <= s.cfg.Degree+1 {
		s.meetAll(v)
	} else {
		s.meetSome(v)
	}
	if len(v.edges) > before {
		v.waitMs, v.searchAtMs = 0, 0
		return
	}
	v.waitMs = min(max(2*v.waitMs, searchMs), maxSearchMs)
	v.searchAtMs = s.nowMs + v.waitMs
}

func (s *Swarm) meetAll(v *viewer) {
	for _, w := range v.room.members.items {
		if s.suits(v, w) {
			s.introduce(v, w)
		}
	}
}

// meetSome asks for one seeder, and then by turns for somebody near and for anybody.
func (s *Swarm) meetSome(v *viewer) {
	r, want := v.room, s.wanted(v)
	if !v.seeder && !slices.ContainsFunc(v.edges, func(e edge) bool { return e.to.seeder }) {
		if w := s.draw(v, r.seeders.items, 4, false); w != nil {
			s.introduce(v, w)
		}
	}
	for near := true; len(v.edges) < want; near = !near {
		var w *viewer
		if near {
			w = s.near(v)
		}
		if w == nil {
			w = s.anybody(v)
		}
		if w == nil {
			return
		}
		s.introduce(v, w)
	}
}

// near finds somebody in v's subnet, best with a common rendition, or else somebody who plays the same.
func (s *Swarm) near(v *viewer) *viewer {
	const tries = 8
	if near := v.room.subnets[v.subnet]; near != nil {
		if w := s.draw(v, near.items, tries, true); w != nil {
			return w
		}
		if w := s.draw(v, near.items, tries, false); w != nil {
			return w
		}
	}
	if len(v.renditions) == 0 {
		return nil
	}
	if d := v.room.deal(v.renditions[v.room.rng.below(len(v.renditions))]); d != nil {
		return s.draw(v, d.players.items, tries, false)
	}
	return nil
}

// anybody draws from those who accept neighbours; if luck fails, it looks through some of them in order.
func (s *Swarm) anybody(v *viewer) *viewer {
	const tries, search = 16, 64
	open := v.room.open.items
	if w := s.draw(v, open, tries, false); w != nil || len(open) == 0 {
		return w
	}
	start := v.room.rng.below(len(open))
	for i := range min(len(open), search) {
		if w := open[(start+i)%len(open)]; s.suits(v, w) {
			return w
		}
	}
	return nil
}

// draw takes the first of some random picks that suits.
func (s *Swarm) draw(v *viewer, from []*viewer, tries int, sameRendition bool) *viewer {
	if len(from) == 0 {
		return nil
	}
	for range tries {
		w := from[v.room.rng.below(len(from))]
		if s.suits(v, w) && (!sameRendition || v.sharesRendition(w)) {
			return w
		}
	}
	return nil
}

func (v *viewer) sharesRendition(w *viewer) bool {
	for _, r := range v.renditions {
		if slices.Contains(w.renditions, r) {
			return true
		}
	}
	return false
}

// suits tells whether v and w may be introduced.
func (s *Swarm) suits(v, w *viewer) bool {
	return v != w && !w.barred && len(w.edges) < s.limit(w) && len(v.edges) < s.limit(v) &&
		!v.knows(w) && !s.apart(v, w) && !s.apart(w, v)
}

// apart tells whether v remembers a reason not to meet w, yet or ever.
func (s *Swarm) apart(v, w *viewer) bool {
	p := v.pastWith(w.id)
	return p != nil && (p.never || s.nowMs < p.untilMs)
}

func (v *viewer) pastWith(id uint64) *past {
	for i := range v.past {
		if v.past[i].with == id {
			return &v.past[i]
		}
	}
	return nil
}

func (s *Swarm) introduce(a, b *viewer) {
	a.edges = append(a.edges, edge{b, s.nowMs})
	b.edges = append(b.edges, edge{a, s.nowMs})
	a.room.degrees += a.counts() + b.counts()
	s.refresh(a)
	s.refresh(b)
	s.do(Introduce{A: a.id, B: b.id})
}

// part takes an edge away; false if there was none.
func (s *Swarm) part(a, b *viewer) bool {
	if !a.forget(b) {
		return false
	}
	b.forget(a)
	a.room.degrees -= a.counts() + b.counts()
	s.refresh(a)
	s.refresh(b)
	return true
}

// refresh keeps the room's list of those who accept neighbours.
func (s *Swarm) refresh(v *viewer) {
	if !v.barred && len(v.edges) < s.limit(v) {
		v.room.open.add(v)
	} else {
		v.room.open.remove(v)
	}
}

// drop handles one entry of a report's list. It counts only if the two ever were introduced: nobody can speak against
// a viewer whom he never met.
func (s *Swarm) drop(v *viewer, d Drop) {
	w := s.viewers[d.Viewer]
	if w == nil || w.room != v.room {
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

// accuse notes evidence of v against w.
func (s *Swarm) accuse(v, w *viewer) {
	if w.barred || slices.Contains(w.accusers, v.id) {
		return
	}
	w.accusers = append(w.accusers, v.id)
	if len(w.accusers) >= s.cfg.Accusers {
		w.barred = true
		s.refresh(w)
		s.seat(w)
	}
}

// remember keeps v from meeting w again too soon.
func (s *Swarm) remember(v, w *viewer, why announce.Reason) {
	p := v.pastWith(w.id)
	if p == nil {
		if len(v.past) >= maxPast {
			v.past = slices.Delete(v.past, 0, 1)
		}
		v.past = append(v.past, past{with: w.id})
		p = &v.past[len(v.past)-1]
	}
	wait := int64(maxRetryMs)
	if why.Connectivity() {
		wait = min(maxRetryMs, int64(retryMs)<<min(p.failures, 10))
	}
	p.failures++
	p.untilMs = s.nowMs + wait
	p.never = p.never || why.Evidence()
}

// inferDead finds edges that are dead though nobody said so. A report counts neighbours but does not name them; if both
// ends of an old edge count fewer than they have old edges, that edge is the likeliest to be missing. A wrong guess
// costs little: those two stay connected and merely count as strangers here.
func (s *Swarm) inferDead(v *viewer, neighbours int) {
	settled := 0
	for _, e := range v.edges {
		if s.nowMs-e.sinceMs >= settleMs {
			settled++
		}
	}
	v.missing = max(0, settled-neighbours)
	for i := 0; i < len(v.edges) && v.missing > 0; {
		e := v.edges[i]
		if s.nowMs-e.sinceMs < settleMs || e.to.missing == 0 {
			i++
			continue
		}
		s.part(v, e.to)
		s.remember(v, e.to, announce.Lost)
		s.remember(e.to, v, announce.Lost)
	}
}
