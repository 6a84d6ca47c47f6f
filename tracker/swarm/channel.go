package swarm

import (
	"cmp"
	"slices"
)

// channel is one channel's viewers in one room or, if they are many, in several. A pair that was introduced stays one
// when a split puts the two into different rooms.
type channel struct {
	name    string
	rooms   []*room // by index, none of them empty
	seeders set     // serve all rooms
	ends    ends    // of its pairs
	voices  voices
	capBps  int64 // that nobody of it uploads more than; 0 = none
}

// room is as many viewers as shall know of each other, and what is dealt among them.
type room struct {
	channel *channel
	index   int // the lowest that was free
	rng     random
	members set // without seeders
	open    set // members that accept another neighbour
	places  map[place]*set
	deals   []*deal   // one for each rendition that somebody plays, sorted by rendition
	ladders []*ladder // that viewers named
	useless int       // members that pass nothing on
	awkward int       // members behind an address-dependent translator
	fareMs  int64     // when how it fares was looked at last

	expelledMs []int64 // lately
}

// place is a part of the network: the key of a subnet, an ISP or a region.
type place struct {
	kind placeKind
	key  uint64
}

type placeKind uint8

const (
	inSubnet placeKind = iota
	inISP
	inRegion
)

// places are where v is, nearest first.
func (v *viewer) places() [3]place {
	return [3]place{{inSubnet, v.subnet}, {inISP, v.isp}, {inRegion, v.region}}
}

func (s *Swarm) openRoom(c *channel) *room {
	index := 0
	for index < len(c.rooms) && c.rooms[index].index == index {
		index++
	}
	r := &room{
		channel: c, index: index, rng: random{mix32(s.cfg.Seed) ^ hash32(c.name) + uint32(index)*0x9e3779b9},
		places: map[place]*set{}, fareMs: s.nowMs,
	}
	c.rooms = slices.Insert(c.rooms, index, r)
	return r
}

// roomFor is where a newcomer goes: where its ISP is, or else its region; of several rooms in which there are many of
// them, and if there are none of them anywhere, the smallest.
func (s *Swarm) roomFor(v *viewer) *room {
	c := v.channel
	switch len(c.rooms) {
	case 0:
		return s.openRoom(c)
	case 1:
		return c.rooms[0]
	}
	for _, p := range []place{{inISP, v.isp}, {inRegion, v.region}} {
		if r := c.home(p); r != nil {
			return r
		}
	}
	return slices.MinFunc(c.rooms, bySize)
}

// home is the smallest of the rooms in which at least half as many of a place are as in the one with the most; nil if there
// are none.
func (c *channel) home(p place) (home *room) {
	if p.key == 0 {
		return nil
	}
	most := 0
	for _, r := range c.rooms {
		most = max(most, r.places[p].len())
	}
	for _, r := range c.rooms {
		if n := r.places[p].len(); n > 0 && 2*n >= most && (home == nil || bySize(r, home) < 0) {
			home = r
		}
	}
	return home
}

func bySize(a, b *room) int {
	return cmp.Or(cmp.Compare(a.members.len(), b.members.len()), cmp.Compare(a.index, b.index))
}

func (r *room) add(v *viewer) {
	v.room = r
	r.members.add(v)
	r.count(v, 1)
	for kind, p := range v.places() {
		if p.key == 0 {
			continue
		}
		here := r.places[p]
		if here == nil {
			here = &set{}
			r.places[p] = here
		}
		here.add(v)
		v.around[kind] = here
	}
}

// count books a member in or out.
func (r *room) count(v *viewer, by int) {
	if v.noUpload {
		r.useless += by
	}
	if v.awkward {
		r.awkward += by
	}
}

func (r *room) remove(v *viewer) {
	r.members.remove(v)
	r.open.remove(v)
	r.count(v, -1)
	for kind, p := range v.places() {
		if here := v.around[kind]; here != nil {
			here.remove(v)
			if here.len() == 0 {
				delete(r.places, p)
			}
		}
	}
	v.around = [3]*set{}
}

// resize splits a room that has become too large, and joins it with the smallest other one when both have become small.
func (s *Swarm) resize(r *room) {
	c := r.channel
	if r.members.len() == 0 {
		c.rooms = slices.DeleteFunc(c.rooms, func(other *room) bool { return other == r })
		s.touched = slices.DeleteFunc(s.touched, func(other *room) bool { return other == r })
		return
	}
	if r.members.len() > s.cfg.RoomSize+s.cfg.RoomSize/2 {
		s.split(r)
		return
	}
	small := s.cfg.RoomSize * 3 / 4
	if len(c.rooms) < 2 || r.members.len() >= small {
		return
	}
	var into *room
	for _, other := range c.rooms {
		if other != r && (into == nil || bySize(other, into) < 0) {
			into = other
		}
	}
	if into.members.len()+r.members.len() > small {
		return
	}
	from := r
	if bySize(into, from) < 0 {
		into, from = from, into
	}
	for _, v := range slices.Clone(from.members.items) {
		s.move(v, into)
	}
	s.resize(from)
}

// split moves about half of a room into a new one. Pairs stay pairs, in whichever rooms they are from now on; whom one
// will meet is another matter. So an ISP stays together, unless it is most of the room, and so do the ISPs of a region if that
// leaves three in ten to either room.
func (s *Swarm) split(r *room) {
	n := r.members.len()
	least, gone := 3*n/10, 0
	to := s.openRoom(r.channel)
	leave := func(who []*viewer) {
		for _, v := range who {
			s.move(v, to)
		}
		gone += len(who)
	}
	var stay []*viewer // the largest party
	for _, who := range r.parties() {
		if gone+len(who) <= n/2 || gone < least && gone+len(who) <= n-least {
			leave(who)
		} else if len(who) > len(stay) {
			stay = who
		}
	}
	if gone < least {
		leave(stay[:n/2-gone])
	}
}

// parties are those who shall stay together when a room is split: an ISP's viewers, and each by himself of whom it is not
// known. Large regions come first, of a region large parties. The order within a party is chance, so that the old and the
// seeders' neighbours are in both halves of one that must be cut.
func (r *room) parties() [][]*viewer {
	all := slices.Clone(r.members.items)
	lot := func(v *viewer) uint32 { return rankOf(r.channel.name, "", v.id, r.index) }
	slices.SortFunc(all, func(a, b *viewer) int {
		return cmp.Or(cmp.Compare(a.isp, b.isp), cmp.Compare(lot(a), lot(b)), cmp.Compare(a.id, b.id))
	})
	var parties [][]*viewer
	for from := 0; from < len(all); {
		to := from + 1
		for all[from].isp != 0 && to < len(all) && all[to].isp == all[from].isp {
			to++
		}
		parties = append(parties, all[from:to])
		from = to
	}
	region := func(who []*viewer) (size int, key uint64) {
		key = who[0].region
		return r.places[place{inRegion, key}].len(), key
	}
	slices.SortStableFunc(parties, func(a, b []*viewer) int {
		sizeA, keyA := region(a)
		sizeB, keyB := region(b)
		return cmp.Or(cmp.Compare(sizeB, sizeA), cmp.Compare(keyA, keyB), cmp.Compare(len(b), len(a)))
	})
	return parties
}

func (s *Swarm) move(v *viewer, to *room) {
	from := v.room
	s.unplay(v)
	from.remove(v)
	s.touch(from)
	to.add(v)
	s.touch(to)
	s.play(v)
	s.refresh(v)
}
