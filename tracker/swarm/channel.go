package swarm

import (
	"cmp"
	"slices"

	"slipstream/tracker/announce"
)

// channel is one channel's viewers in one room or, if they are many, in several. A pair that was introduced stays one
// when a split puts the two into different rooms.
type channel struct {
	name    string
	rooms   []*room // by index, none of them empty
	seeders set     // serve all rooms
}

// room is as many viewers as shall know of each other, and what is dealt among them.
type room struct {
	channel *channel
	index   int // the lowest that was free
	rng     random
	members set // without seeders
	open    set // members that accept another neighbour
	places  map[place]*set
	deals   []*deal // one for each rendition that somebody plays, sorted by rendition
	useless int     // members that pass nothing on
	awkward int     // members behind an address-dependent translator
	fareMs  int64   // when how it fares was looked at last
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

// roomFor is where a newcomer goes: the smallest room, of several the first.
func (s *Swarm) roomFor(c *channel) *room {
	if len(c.rooms) == 0 {
		return s.openRoom(c)
	}
	return slices.MinFunc(c.rooms, bySize)
}

func bySize(a, b *room) int {
	return cmp.Or(cmp.Compare(a.members.len(), b.members.len()), cmp.Compare(a.index, b.index))
}

func (r *room) add(v *viewer) {
	v.room = r
	r.members.add(v)
	r.count(v, 1)
	for _, p := range v.places() {
		if p.key == 0 {
			continue
		}
		if r.places[p] == nil {
			r.places[p] = &set{}
		}
		r.places[p].add(v)
	}
}

// count books a member in or out.
func (r *room) count(v *viewer, by int) {
	if v.noUpload {
		r.useless += by
	}
	if v.nat == announce.AddressDependent {
		r.awkward += by
	}
}

func (r *room) remove(v *viewer) {
	r.members.remove(v)
	r.open.remove(v)
	r.count(v, -1)
	for _, p := range v.places() {
		if here := r.places[p]; here != nil {
			here.remove(v)
			if here.len() == 0 {
				delete(r.places, p)
			}
		}
	}
}

// resize splits a room that has become too large, and joins two that have become small.
func (s *Swarm) resize(r *room) {
	c := r.channel
	if r.members.len() == 0 {
		c.rooms = slices.DeleteFunc(c.rooms, func(other *room) bool { return other == r })
		s.touched = slices.DeleteFunc(s.touched, func(other *room) bool { return other == r })
		return
	}
	if r.members.len() > s.cfg.RoomSize+s.cfg.RoomSize/2 {
		s.split(r)
	}
	if len(c.rooms) < 2 {
		return
	}
	small := slices.SortedFunc(slices.Values(c.rooms), bySize)[:2]
	if into, from := small[1], small[0]; into.members.len()+from.members.len() <= s.cfg.RoomSize*3/4 {
		for _, v := range slices.Clone(from.members.items) {
			s.move(v, into)
		}
		s.resize(from)
	}
}

// split moves half of a room into a new one: those of a region, an ISP, a subnet stay together, and so do most pairs
// of near neighbours. Apart from that chance decides, so that the old and the seeders' neighbours are in both.
func (s *Swarm) split(r *room) {
	all := slices.Clone(r.members.items)
	lot := func(v *viewer) uint32 { return rankOf(r.channel.name, "", v.id, r.index) }
	slices.SortFunc(all, func(a, b *viewer) int {
		return cmp.Or(cmp.Compare(a.region, b.region), cmp.Compare(a.isp, b.isp), cmp.Compare(a.subnet, b.subnet),
			cmp.Compare(lot(a), lot(b)), cmp.Compare(a.id, b.id))
	})
	to := s.openRoom(r.channel)
	for _, v := range all[len(all)/2:] {
		s.move(v, to)
	}
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
