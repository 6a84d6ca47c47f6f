package swarm

// The graph of those who upload is what pieces travel on. It stays a random one, however it came about, because half of
// a viewer's neighbours are drawn from all who upload and not only from those who have a slot free: they would be the
// newest, and the first dozen a closed circle. Where the one who is drawn is full, one of his edges gives way: a–b is
// parted, and the newcomer put in between (random insertion as in Law and Siu, Distributed construction of random
// expander networks, 2003). Nobody's degree shrinks by that, and nobody is cut off.

// minWoven is how many slots are not given to those who pass nothing on, whatever their share of the room.
const minWoven = 3

// givers counts the neighbours who upload.
func (v *viewer) givers() int {
	n := 0
	for _, e := range v.edges {
		if !e.to.noUpload {
			n++
		}
	}
	return n
}

// weave introduces v to somebody who uploads, drawn from the whole room; false if there is nobody.
func (s *Swarm) weave(v *viewer) bool {
	uploads := func(w *viewer) bool { return !w.noUpload }
	far := func(w, x *viewer) bool { return !w.near(x) }
	if s.weaveAmong(v, v.room.members.items, uploads, far) {
		return true
	}
	w := s.anybody(v, v.room)
	if w == nil || w.noUpload {
		return false
	}
	s.introduce(v, w)
	return true
}

// weaveAmong draws somebody of a kind. If he is full, v is put between him and one of his neighbours, the best kind of
// pair if he has one.
func (s *Swarm) weaveAmong(v *viewer, from []*viewer, kind func(*viewer) bool, best func(w, x *viewer) bool) bool {
	const tries = 24
	for range tries {
		w := from[v.room.rng.below(len(from))]
		if !kind(w) || !s.compatible(v, w) || !s.accepts(v, w) {
			continue
		}
		if s.accepts(w, v) {
			s.introduce(v, w)
			return true
		}
		if s.insert(v, w, best) || s.insert(v, w, whoever) {
			return true
		}
	}
	return false
}

// insert puts v between w, which is full, and one of w's neighbours, if they are a pair of this kind. One who uploads nothing and has more
// neighbours than he should, from when the room was small, just makes place.
func (s *Swarm) insert(v, w *viewer, kind func(w, x *viewer) bool) bool {
	if len(w.edges) == 0 {
		return false
	}
	start := v.room.rng.below(len(w.edges))
	for i := range w.edges {
		x := w.edges[(start+i)%len(w.edges)].to
		if x.room != v.room || !s.acceptsWithout(w, v, x) {
			continue
		}
		if x.noUpload && len(x.edges) > s.wanted(x) {
			s.separate(w, x)
			s.introduce(v, w)
			return true
		}
		crowded := w.subnet != 0 && w.subnet == x.subnet && !w.amongMost()
		if kind(w, x) && !crowded && len(v.edges)+2 <= s.limit(v) && s.compatible(v, x) && s.accepts(v, x) && s.acceptsWithout(x, v, w) {
			s.separate(w, x)
			s.introduce(v, w)
			s.introduce(v, x)
			return true
		}
	}
	return false
}

// squeeze is for one who is nearly cut off, because those who have room for it have enough of its subnet: somebody gives up
// for it a neighbour who has others.
func (s *Swarm) squeeze(v *viewer) bool {
	members := v.room.members.items
	start := v.room.rng.below(len(members))
	for i := range members {
		w := members[(start+i)%len(members)]
		if !s.compatible(v, w) || !s.accepts(v, w) {
			continue
		}
		for _, e := range w.edges {
			if len(e.to.edges) > minWoven && s.acceptsWithout(w, v, e.to) {
				s.separate(w, e.to)
				s.introduce(v, w)
				return true
			}
		}
	}
	return false
}

func whoever(_, _ *viewer) bool { return true }

// near tells whether v and w have the same subnet or ISP or, where an ISP is not known, region.
func (v *viewer) near(w *viewer) bool {
	switch {
	case v.subnet != 0 && v.subnet == w.subnet:
		return true
	case v.isp != 0 && w.isp != 0:
		return v.isp == w.isp
	}
	return v.region != 0 && v.region == w.region
}

// at tells whether v is in a place.
func (v *viewer) at(p place) bool { return v.places()[p.kind] == p }

// separate parts a pair that could go on. They may meet again.
func (s *Swarm) separate(a, b *viewer) {
	s.part(a, b)
	s.do(Part{A: a.id, B: b.id})
}
