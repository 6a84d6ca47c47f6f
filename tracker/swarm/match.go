package swarm

import "slices"

// subnetShare is how many neighbours of one subnet a viewer has at most, unless the subnet is most of the room: what
// looks like many there may be one.
const subnetShare = 2

// acquaintMs is how long a newcomer takes to get to know another one beyond the first: half of those whom it shall know, and one. In a
// rush the connections of newcomers are what viewers spend their time on, and those are enough to begin with.
const acquaintMs = 1500

// strangerOf is of how many neighbours one shall be somebody drawn from all who upload.
const strangerOf = 5

// perRoom is how many viewers of each room a seeder accepts, even if it is full of others.
const perRoom = 4

// limit is how many neighbours v accepts.
func (s *Swarm) limit(v *viewer) int {
	if v.seeder {
		return s.cfg.SeederDegree + perRoom*max(0, len(v.channel.rooms)-1)
	}
	return s.cfg.MaxDegree
}

// accepts tells whether v has room for w.
func (s *Swarm) accepts(v, w *viewer) bool { return s.acceptsWithout(v, w, nil) }

// acceptsWithout tells whether v would have room for w if it were not for a neighbour; nil is none.
func (s *Swarm) acceptsWithout(v, w, neighbour *viewer) bool {
	if v.seeder {
		return s.seederAccepts(v, w)
	}
	degree, idle := 0, 0
	for _, e := range v.edges {
		if e.to == neighbour {
			continue
		}
		degree++
		if e.to.noUpload {
			idle++
		}
	}
	switch {
	case degree >= s.limit(v):
		return false
	case w.seeder || s.small(v):
		return true
	case v.noUpload:
		return degree < s.wanted(v)
	}
	return !w.noUpload || idle < s.idleShare(v.room)
}

func (s *Swarm) seederAccepts(v, w *viewer) bool {
	if len(v.edges) < s.cfg.SeederDegree {
		return true
	}
	n := 0
	for _, e := range v.edges {
		if e.to.room == w.room {
			n++
		}
	}
	return n < perRoom && len(v.edges) < s.limit(v)
}

// idleShare is how many neighbours who pass nothing on are accepted by those who do: a third, or as many as are in the
// room, but never so many that those who upload lose each other.
func (s *Swarm) idleShare(r *room) int {
	share := (s.cfg.MaxDegree*r.useless + r.members.len() - 1) / r.members.len()
	return max(1, min(max(s.cfg.MaxDegree/3, share), s.cfg.MaxDegree-minWoven))
}

// crowd is how many others v could know.
func (v *viewer) crowd() int {
	n := v.channel.seeders.len() - 1
	if v.room != nil {
		return n + v.room.members.len()
	}
	for _, r := range v.channel.rooms {
		n += r.members.len()
	}
	return n
}

// small tells whether everybody shall know everybody.
func (s *Swarm) small(v *viewer) bool { return v.crowd() <= s.cfg.Degree }

// wanted is how many neighbours v is filled up to. Who passes nothing on gets fewer: more would be slots that those who
// do need among each other. So does who is half way to be suspended.
func (s *Swarm) wanted(v *viewer) int {
	switch {
	case s.small(v):
		return v.crowd()
	case v.seeder:
		return s.cfg.SeederDegree
	case s.doubtful(v) || v.noUpload:
		return s.cfg.Degree / 2
	}
	return s.cfg.Degree
}

// wantedNow is how many it is filled up to by now.
func (s *Swarm) wantedNow(v *viewer) int {
	want := s.wanted(v)
	if v.seeder || s.small(v) {
		return want
	}
	return min(s.cfg.Degree/2+1+int((uint32(s.nowMs)-v.joinedMs)/acquaintMs), want)
}

// topUp introduces v to others until it has as many neighbours as wanted. If nobody is to be had, it is not tried
// again for a while that doubles.
func (s *Swarm) topUp(v *viewer) {
	if v.gone || v.suspended || v.rest.resting() || s.nowMs < v.searchAtMs || len(v.edges) >= s.wantedNow(v) {
		return
	}
	before := len(v.edges)
	switch {
	case s.small(v):
		s.meetAll(v)
	case v.seeder:
		s.meetViewers(v)
	default:
		s.meetSome(v)
	}
	if len(v.edges) > before {
		v.waitMs, v.searchAtMs = 0, 0
		return
	}
	v.waitMs = int16(min(max(2*int64(v.waitMs), searchMs), maxSearchMs))
	v.searchAtMs = s.nowMs + int64(v.waitMs)
}

func (s *Swarm) meetAll(v *viewer) {
	meet := func(among []*viewer) {
		for _, w := range among {
			if s.suits(v, w) && s.mayAsk(v) {
				s.introduce(v, w)
			}
		}
	}
	for _, r := range v.rooms() {
		meet(r.members.items)
	}
	meet(v.channel.seeders.items)
}

// rooms are those in which v may meet others.
func (v *viewer) rooms() []*room {
	if v.room != nil {
		return []*room{v.room}
	}
	return v.channel.rooms
}

// meetViewers fills a seeder up from all rooms by turns.
func (s *Swarm) meetViewers(v *viewer) {
	for found := true; found; {
		found = false
		for _, r := range v.channel.rooms {
			if len(v.edges) >= s.wanted(v) || !s.mayAsk(v) {
				return
			}
			if w := s.anybody(v, r); w != nil {
				s.introduce(v, w)
				found = true
			}
		}
	}
}

// meetSome asks for one seeder, and then by turns for anybody who uploads and for near ones.
func (s *Swarm) meetSome(v *viewer) {
	want := s.wantedNow(v)
	if s.mayAsk(v) && !slices.ContainsFunc(v.edges, func(e edge) bool { return e.to.seeder }) {
		if w := s.draw(v.room, v, v.channel.seeders.items, 4); w != nil {
			s.introduce(v, w)
		}
	}
	for len(v.edges) < want && s.mayAsk(v) {
		far := v.wantsStranger() || v.givers() < len(v.edges)/2
		if far && s.weave(v) || s.meetNear(v) {
			continue
		}
		if w := s.anybody(v, v.room); w != nil {
			s.introduce(v, w)
		} else if len(v.edges) >= minWoven || v.loneliest() || !s.squeeze(v) {
			return
		}
	}
}

// strangers counts the neighbours who are not near.
func (v *viewer) strangers() int {
	n := 0
	for _, e := range v.edges {
		if !v.near(e.to) {
			n++
		}
	}
	return n
}

// wantsStranger tells whether the next whom v meets shall be anybody who uploads: one in strangerOf where others with its
// ISP are about, of those whom a newcomer begins with the first, and elsewhere every other one.
func (v *viewer) wantsStranger() bool {
	if v.around[inISP].len() > 1 {
		n := v.strangers()
		return n == 0 || n*strangerOf < len(v.edges)
	}
	return len(v.edges)%2 == 0
}

// meetNear introduces v to somebody in its subnet, with its ISP or in its region who plays the same, or else to anybody
// who does, if not everybody does.
func (s *Swarm) meetNear(v *viewer) bool {
	r := v.room
	for kind, p := range v.places() {
		together := func(_, x *viewer) bool { return x.at(p) }
		if here := v.around[kind]; here.len() > 1 && s.weaveAmong(v, here.items, v.sharesRendition, together) {
			return true
		}
	}
	names := v.renditions()
	if len(names) == 0 || len(r.deals) < 2 {
		return false
	}
	d := r.deal(names[r.rng.below(len(names))])
	return d != nil && s.weaveAmong(v, d.players.items, v.sharesRendition, (*viewer).sharesRendition)
}

// anybody draws from those who accept neighbours; if luck fails, it looks through some of them in order.
func (s *Swarm) anybody(v *viewer, r *room) *viewer {
	const tries, search = 16, 64
	open := r.open.items
	if w := s.draw(r, v, open, tries); w != nil || len(open) == 0 {
		return w
	}
	start := r.rng.below(len(open))
	for i := range min(len(open), search) {
		if w := open[(start+i)%len(open)]; s.suits(v, w) {
			return w
		}
	}
	return nil
}

// draw takes the first of some random picks that suits v; the chance is r's.
func (s *Swarm) draw(r *room, v *viewer, from []*viewer, tries int) *viewer {
	if len(from) == 0 {
		return nil
	}
	for range tries {
		w := from[r.rng.below(len(from))]
		if s.suits(v, w) {
			return w
		}
	}
	return nil
}

// suits tells whether v and w may be introduced.
func (s *Swarm) suits(v, w *viewer) bool {
	return v != w && s.accepts(w, v) && s.accepts(v, w) && s.compatible(v, w)
}

// compatible tells whether v and w may be introduced, had they room for each other.
func (s *Swarm) compatible(v, w *viewer) bool {
	return v != w && !w.suspended && !w.rest.resting() && !w.gone && !v.knows(w) && !s.apart(v, w) && !s.apart(w, v) &&
		s.useful(v, w) && s.spread(v, w)
}

// useful tells whether a connection would carry anything: two who pass nothing on, or two whose address translators
// allow no connection, get to know each other only if there is nobody else.
func (s *Swarm) useful(v, w *viewer) bool {
	idle := v.noUpload && w.noUpload
	barred := v.awkward && w.awkward && (v.subnet == 0 || v.subnet != w.subnet)
	return !idle && !barred || v.loneliest()
}

// loneliest tells whether all in v's room pass nothing on, or are all behind translators of the awkward kind.
func (v *viewer) loneliest() bool {
	if v.channel.seeders.len() > 0 || v.room == nil {
		return false
	}
	n := v.room.members.len()
	return v.room.useless == n || v.room.awkward == n
}

// spread tells whether v and w would not have too many neighbours in each other's subnet. In a small room nobody can
// be choosy, and where most are in one subnet, they are most of everybody's neighbours too.
func (s *Swarm) spread(v, w *viewer) bool {
	return s.small(v) || s.admits(v, w) && s.admits(w, v)
}

func (s *Swarm) admits(v, w *viewer) bool {
	if w.subnet == 0 || w.amongMost() {
		return true
	}
	n := 0
	for _, e := range v.edges {
		if e.to.subnet == w.subnet {
			n++
		}
	}
	return n < subnetShare
}

// amongMost tells whether most of v's room are in its subnet.
func (v *viewer) amongMost() bool {
	if v.room == nil {
		return false
	}
	return 2*v.around[inSubnet].len() > v.room.members.len()
}

// mayAsk bounds how often v gets new neighbours on its own account: 36 at once and 30 a minute, a seeder four times as
// many. Whoever gives up neighbours to get others cannot see a whole room in a short while.
func (s *Swarm) mayAsk(v *viewer) bool {
	const burstMs = 72_000
	return v.allowanceMs-s.nowMs < burstMs
}

func (s *Swarm) asked(v *viewer) {
	v.allowanceMs = max(v.allowanceMs, s.nowMs) + 24_000/int64(s.limit(v))
}

func (s *Swarm) introduce(a, b *viewer) {
	s.asked(a)
	a.befriend(b, s.nowMs)
	b.befriend(a, s.nowMs)
	s.refresh(a)
	s.refresh(b)
	s.do(Introduce{A: a.id, B: b.id})
}

// reunite makes v and those whom it knows from elsewhere neighbours again.
func (s *Swarm) reunite(v *viewer, neighbours []uint64) {
	if len(neighbours) == 0 {
		return
	}
	for _, id := range neighbours {
		w := s.viewers.Get(id)
		if w == nil || w == v || w.channel != v.channel || v.knows(w) || len(v.edges) >= s.limit(v) || len(w.edges) >= s.limit(w) {
			continue
		}
		v.befriend(w, s.nowMs)
		w.befriend(v, s.nowMs)
		s.refresh(w)
	}
	s.refresh(v)
	v.searchAtMs = s.nowMs + moveMs
}

// part takes an edge away; false if there was none.
func (s *Swarm) part(a, b *viewer) bool {
	if !a.forget(b) {
		return false
	}
	b.forget(a)
	s.refresh(a)
	s.refresh(b)
	return true
}

// refresh keeps the room's list of those who accept neighbours.
func (s *Swarm) refresh(v *viewer) {
	if v.room == nil {
		return
	}
	if !v.suspended && !v.rest.resting() && len(v.edges) < s.limit(v) {
		v.room.open.add(v)
	} else {
		v.room.open.remove(v)
	}
}
