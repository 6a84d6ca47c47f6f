package swarm

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"slipstream/tracker/announce"
)

// deal is one rendition's stripes in one room.
type deal struct {
	room      *room
	rendition string
	players   set               // who plays it, able to hold stripes or not
	ranked    []chance          // to hold a stripe, best first
	seated    map[uint64]uint64 // weights of those who have chances, by viewer
	holders   []holder          // who has stripes, in an order that the deal decided
	masks     map[uint64]uint16 // their stripes
	stale     bool              // the best of ranked changed since the stripes were dealt
	need      int               // the least class of an uplink that is of use, see fare.go
	copies
}

// holder is a viewer that has stripes.
type holder struct {
	*viewer
	stripes uint16
	news    bool // they were others before
}

// chance is one entry in the ranking. A viewer has one, a seeder several.
type chance struct {
	of    *viewer
	n     int
	score uint64
}

func byScore(a, b chance) int {
	return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.of.id, b.of.id), cmp.Compare(a.n, b.n))
}

// seederChances is how many stripes a seeder can hold of each rendition in a large room.
const seederChances = 8

func (v *viewer) chances() int {
	if v.seeder {
		return seederChances
	}
	return 1
}

// The classes of uplinks: 0 is unknown, 1 is below 250 kb/s, and each next one begins at twice as much; the last, from
// 16 Mb/s on, is as much as anybody is believed. Unknown counts as 2 to 4 Mb/s.
const (
	firstClassBps = 250_000
	lastClass     = 8
	unknownCounts = 5
)

// uplinkClass sorts an uplink into a class. It falls only when clearly below, because every change of class may move
// duties and measurements waver.
func uplinkClass(class int, bps int64) int {
	if bps <= 0 {
		return class
	}
	of := func(bps int64) int { return min(1+bits.Len64(uint64(bps/firstClassBps)), lastClass) }
	bps = min(bps, firstClassBps<<lastClass)
	now := of(bps)
	if now < class && of(bps+bps/3) >= class {
		return class
	}
	return now
}

// weight grows with the uplink, and is four times as much for a seeder.
func (v *viewer) weight() uint64 {
	w := uint64(1) << unknownCounts
	if class := v.strength(); class > 0 {
		w = 1 << class
	}
	if v.seeder {
		w *= 4
	}
	return w
}

// maxLadders is how many lists of renditions a room remembers: what clients of one stream have to say, and not all that
// somebody may make up.
const maxLadders = 32

func (r *room) deal(rendition string) *deal {
	if i, ok := r.dealAt(rendition); ok {
		return r.deals[i]
	}
	return nil
}

func (r *room) dealAt(rendition string) (int, bool) {
	return slices.BinarySearchFunc(r.deals, rendition, func(d *deal, name string) int { return strings.Compare(d.rendition, name) })
}

// setRenditions makes v a player of these and of no others. Seeders are not counted, they carry whatever is played.
func (s *Swarm) setRenditions(v *viewer, names []string) {
	before := v.renditions()
	if v.seeder || slices.Equal(names, before) {
		return
	}
	ladder := v.room.ladder(names)
	if names = *ladder; slices.Equal(names, before) {
		return
	}
	v.ladder = ladder
	for _, name := range before {
		if !slices.Contains(names, name) {
			s.stopPlaying(v, name)
		}
	}
	s.sweep(v.room)
	s.play(v)
}

// ladder is these renditions sorted, as one list that all share who play them.
func (r *room) ladder(names []string) *ladder {
	find := func() int {
		return slices.IndexFunc(r.ladders, func(l *ladder) bool { return slices.Equal(*l, names) })
	}
	i := find()
	if i < 0 {
		names = slices.Compact(slices.Sorted(slices.Values(names)))
		i = find()
	}
	if i >= 0 {
		return r.ladders[i]
	}
	made := ladder(names)
	if len(r.ladders) < maxLadders {
		r.ladders = append(r.ladders, &made)
	}
	return &made
}

// play makes v a player of its renditions. A rendition comes into being with its first player and goes with its last.
func (s *Swarm) play(v *viewer) {
	r := v.room
	for _, name := range v.renditions() {
		i, ok := r.dealAt(name)
		if !ok && len(r.deals) >= maxRenditions {
			continue // plays it alone, over HTTP
		}
		if !ok {
			r.deals = slices.Insert(r.deals, i, s.openDeal(r, name))
		}
		r.deals[i].players.add(v)
		s.seat(r.deals[i], v)
	}
}

// unplay takes v out of all deals of its room.
func (s *Swarm) unplay(v *viewer) {
	for _, name := range v.renditions() {
		s.stopPlaying(v, name)
	}
	s.sweep(v.room)
}

func (s *Swarm) stopPlaying(v *viewer, rendition string) {
	if d := v.room.deal(rendition); d != nil {
		d.players.remove(v)
		d.withdraw(v)
	}
}

func (s *Swarm) openDeal(r *room, rendition string) *deal {
	d := &deal{room: r, rendition: rendition, seated: map[uint64]uint64{}, masks: map[uint64]uint16{}, copies: copies{now: 1}}
	for _, v := range r.channel.seeders.items {
		s.seat(d, v)
	}
	return d
}

// sweep ends renditions without players.
func (s *Swarm) sweep(r *room) {
	r.deals = slices.DeleteFunc(r.deals, func(d *deal) bool {
		if d.players.len() > 0 {
			return false
		}
		for _, h := range d.holders {
			s.change(h.viewer)
		}
		return true
	})
}

// wants tells whether v may hold stripes.
func (d *deal) wants(v *viewer) bool {
	class := v.strength()
	if !v.ready || v.suspended || v.rest.resting() || v.gone || v.noUpload || class > 0 && class < d.need {
		return false
	}
	return v.seeder || d.players.has(v)
}

// reseat gives v its places after anything about it changed.
func (s *Swarm) reseat(v *viewer) {
	if v.room != nil {
		for _, name := range v.renditions() {
			if d := v.room.deal(name); d != nil {
				s.seat(d, v)
			}
		}
		return
	}
	for _, r := range v.channel.rooms {
		for _, d := range r.deals {
			s.seat(d, v)
		}
		s.touch(r)
	}
}

// seat gives v its places in a ranking, or takes them away.
func (s *Swarm) seat(d *deal, v *viewer) {
	weight, seated := d.seated[v.id]
	wanted := d.wants(v)
	if wanted == seated && (!seated || weight == v.weight()) {
		return
	}
	d.withdraw(v)
	if !wanted {
		return
	}
	d.seated[v.id] = v.weight()
	for n := range v.chances() {
		c := d.chance(v, n)
		i, _ := slices.BinarySearchFunc(d.ranked, c, byScore)
		d.ranked = slices.Insert(d.ranked, i, c)
		d.stale = d.stale || i < d.places()
	}
}

func (d *deal) withdraw(v *viewer) {
	if _, seated := d.seated[v.id]; !seated {
		return
	}
	for n := range v.chances() {
		if i, ok := slices.BinarySearchFunc(d.ranked, d.chance(v, n), byScore); ok {
			d.ranked = slices.Delete(d.ranked, i, i+1)
			d.stale = d.stale || i < d.places()
		}
	}
	delete(d.seated, v.id)
	d.stale = d.stale || d.masks[v.id] != 0
}

func (d *deal) chance(v *viewer, n int) chance {
	return chance{v, n, score(rankOf(d.room.channel.name, d.rendition, v.id, n), d.seated[v.id])}
}

// places is how many of the best ranked matter.
func (d *deal) places() int { return announce.Stripes * d.now }

// sendDuties deals what is stale in a room.
func (s *Swarm) sendDuties(r *room) {
	for _, d := range r.deals {
		if now := s.copiesOf(d); now != d.now {
			d.now, d.stale = now, true
		}
		if d.stale {
			d.stale = false
			s.redeal(d)
		}
	}
}

// redeal gives every stripe its holders, and moves as little as it can.
func (s *Swarm) redeal(d *deal) {
	former := d.holders
	if len(d.ranked) < announce.Stripes {
		d.holders = d.dealArcs()
	} else {
		d.holders = d.dealStripes()
	}
	for i := range d.holders {
		h := &d.holders[i]
		h.news = d.masks[h.id] != h.stripes
	}
	clear(d.masks)
	for _, h := range d.holders {
		d.masks[h.id] = h.stripes
	}
	for _, h := range former {
		if d.masks[h.id] != h.stripes {
			s.change(h.viewer)
		}
	}
	for _, h := range d.holders {
		if h.news {
			s.change(h.viewer)
		}
	}
}

// change notes that v's stripes may have changed.
func (s *Swarm) change(v *viewer) {
	if !v.dirty {
		v.dirty = true
		s.changed = append(s.changed, v)
	}
}

// tell sends their stripes to those to whom they are news.
func (s *Swarm) tell() {
	for _, v := range s.changed {
		v.dirty = false
		if v.gone {
			continue
		}
		if now := v.shares(); !slices.Equal(now, s.told[v.id]) {
			if s.told[v.id] = now; len(now) == 0 {
				delete(s.told, v.id)
			}
			s.do(Duty{Viewer: v.id, Duties: slices.Clone(now)})
		}
	}
	clear(s.changed)
	s.changed = s.changed[:0]
}

// shares are v's stripes, sorted by rendition; a seeder's are those of all rooms together.
func (v *viewer) shares() (out []announce.Share) {
	collect := func(r *room) {
		for _, d := range r.deals {
			mask := d.masks[v.id]
			if mask == 0 {
				continue
			}
			i, ok := slices.BinarySearchFunc(out, d.rendition, func(x announce.Share, name string) int {
				return strings.Compare(x.Rendition, name)
			})
			if ok {
				out[i].Stripes |= mask
			} else if len(out) < maxRenditions {
				out = slices.Insert(out, i, announce.Share{Rendition: d.rendition, Stripes: mask})
			}
		}
	}
	if v.room != nil {
		collect(v.room)
		return out
	}
	for _, r := range v.channel.rooms {
		collect(r)
	}
	return out
}
