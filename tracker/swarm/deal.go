package swarm

import (
	"cmp"
	"slices"

	"slipstream/tracker/announce"
)

// deal is one rendition's stripes.
type deal struct {
	rendition string
	players   set       // who plays it, ready or not
	ranked    []*viewer // who could hold stripes, best first
	holders   []*viewer // who does
	stale     bool      // the best of ranked changed since the stripes were dealt
}

// quarters is what the class of an uplink makes of a weight, in quarters: unknown, below 1, 4, 16 Mb/s, and more.
var quarters = [...]uint64{4, 1, 4, 8, 16}

// uplinkClass sorts an uplink into a few classes. It falls only when clearly below the class, because every change of
// class may move duties and measurements waver.
func uplinkClass(class int, bps int64) int {
	if bps <= 0 {
		return class
	}
	of := func(bps int64) int {
		switch {
		case bps < 1_000_000:
			return 1
		case bps < 4_000_000:
			return 2
		case bps < 16_000_000:
			return 3
		}
		return 4
	}
	now := of(bps)
	if now < class && of(bps+bps/3) >= class {
		return class
	}
	return now
}

// weight is in quarters of a viewer.
func (v *viewer) weight() uint64 {
	if v.seeder {
		return 4 * quarters[v.class]
	}
	return quarters[v.class]
}

// setRenditions moves v between the renditions' players and tells whether anything changed. A rendition comes into
// being with its first player and goes with its last; seeders are not counted, they carry whatever is played.
func (s *Swarm) setRenditions(v *viewer, names []string) bool {
	if v.seeder {
		return false
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if slices.Equal(names, v.renditions) {
		return false
	}
	r, before := v.room, v.renditions
	v.renditions = names
	for _, name := range before {
		if d := r.deal(name); d != nil && !slices.Contains(names, name) {
			d.players.remove(v)
		}
	}
	s.sweep(r)
	for _, name := range names {
		i, ok := r.dealAt(name)
		if !ok && len(r.deals) >= maxRenditions {
			continue // plays it alone, over HTTP
		}
		if !ok {
			r.deals = slices.Insert(r.deals, i, s.openDeal(r, name))
		}
		r.deals[i].players.add(v)
	}
	return true
}

func (s *Swarm) openDeal(r *room, rendition string) *deal {
	d := &deal{rendition: rendition}
	for _, v := range r.seeders.items {
		if d.wants(v) {
			d.insert(v, s.cfg.Holders)
		}
	}
	return d
}

// sweep ends renditions without players.
func (s *Swarm) sweep(r *room) {
	r.deals = slices.DeleteFunc(r.deals, func(d *deal) bool {
		if d.players.len() > 0 {
			return false
		}
		for _, v := range d.holders {
			s.assign(v, d.rendition, 0)
		}
		return true
	})
}

// wants tells whether v may hold stripes.
func (d *deal) wants(v *viewer) bool {
	return v.ready && !v.barred && !v.gone && (v.seeder || slices.Contains(v.renditions, d.rendition))
}

// seat gives v its place in every deal after anything about it changed. The old place is found by the old score.
func (s *Swarm) seat(v *viewer) {
	for _, d := range v.room.deals {
		d.withdraw(v, s.cfg.Holders)
	}
	v.score = uint64(v.rank) << 16 / v.weight()
	for _, d := range v.room.deals {
		if d.wants(v) {
			d.insert(v, s.cfg.Holders)
		}
	}
}

func byScore(a, b *viewer) int {
	return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.id, b.id))
}

func (d *deal) insert(v *viewer, holders int) {
	i, ok := slices.BinarySearchFunc(d.ranked, v, byScore)
	if ok {
		return
	}
	d.ranked = slices.Insert(d.ranked, i, v)
	d.stale = d.stale || i < holders
}

func (d *deal) withdraw(v *viewer, holders int) {
	i, ok := slices.BinarySearchFunc(d.ranked, v, byScore)
	if !ok {
		return
	}
	d.ranked = slices.Delete(d.ranked, i, i+1)
	d.stale = d.stale || i < holders
}

// sendDuties deals what is stale in a room and tells those whose stripes changed.
func (s *Swarm) sendDuties(r *room) {
	for _, d := range r.deals {
		if d.stale {
			d.stale = false
			s.redeal(d)
		}
	}
	for _, v := range s.changed {
		v.dirty = false
		if !v.gone && !slices.Equal(v.shares, v.told) {
			v.told = slices.Clone(v.shares)
			s.do(Duty{Viewer: v.id, Duties: slices.Clone(v.shares)})
		}
	}
	clear(s.changed)
	s.changed = s.changed[:0]
}

// redeal gives every stripe exactly Copies holders, or as many as there are. The blocks lie end to end on a circle of
// 16 stripes that is walked Copies times; no block is longer than the circle, so nobody holds a stripe twice.
func (s *Swarm) redeal(d *deal) {
	for _, v := range d.holders {
		s.assign(v, d.rendition, 0)
	}
	// Rank and not score orders the circle, so that a change of weight moves the borders and not the places.
	d.holders = slices.Clone(d.ranked[:min(len(d.ranked), s.cfg.Holders)])
	slices.SortFunc(d.holders, func(a, b *viewer) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.id, b.id))
	})
	weights := make([]uint64, len(d.holders))
	for i, v := range d.holders {
		weights[i] = v.weight()
	}
	next := uint64(0)
	for i, n := range portions(weights, announce.Stripes*uint64(s.cfg.Copies), announce.Stripes) {
		s.assign(d.holders[i], d.rendition, block(next, n))
		next += n
	}
}

// block is the mask of n stripes from first on, around the circle.
func block(first, n uint64) (mask uint16) {
	for i := range n {
		mask |= 1 << ((first + i) % announce.Stripes)
	}
	return mask
}

// portions divides total among weights in proportion, nobody getting more than most. The sum is total, unless all have
// most already.
func portions(weights []uint64, total, most uint64) []uint64 {
	out := make([]uint64, len(weights))
	sum := uint64(0)
	for _, w := range weights {
		sum += w
	}
	for again := true; again; {
		again = false
		for i, w := range weights {
			if out[i] == 0 && total > 0 && w*total >= most*sum {
				out[i], again = min(most, total), true
				total -= out[i]
				sum -= w
			}
		}
	}
	// What remains goes by the borders between running totals: whole numbers that add up.
	before := uint64(0)
	for i, w := range weights {
		if out[i] == 0 && sum > 0 {
			out[i] = total*(before+w)/sum - total*before/sum
			before += w
		}
	}
	return out
}

// assign sets v's stripes of one rendition.
func (s *Swarm) assign(v *viewer, rendition string, stripes uint16) {
	i, ok := slices.BinarySearchFunc(v.shares, rendition, func(x announce.Share, name string) int {
		return cmp.Compare(x.Rendition, name)
	})
	switch {
	case ok && stripes != 0:
		v.shares[i].Stripes = stripes
	case ok:
		v.shares = slices.Delete(v.shares, i, i+1)
	case stripes != 0:
		v.shares = slices.Insert(v.shares, i, announce.Share{Rendition: rendition, Stripes: stripes})
	}
	if !v.dirty {
		v.dirty = true
		s.changed = append(s.changed, v)
	}
}
