package swarm

import (
	"slices"

	"slipstream/tracker/announce"
	"slipstream/tracker/tight"
)

// Config holds the policy's numbers. Zero values mean the defaults in brackets.
type Config struct {
	Seed         uint32 // of all random choices; every room draws its own sequence from it
	Degree       int    // neighbours that a viewer is filled up to while a room grows [10]
	MaxDegree    int    // neighbours that a viewer accepts [12]
	SeederDegree int    // neighbours that a seeder is filled up to and accepts [48]
	Copies       int    // holders of each stripe, where there are enough viewers [as the room fares]
	RoomSize     int    // viewers of a room; a channel with half as many more has several [1000]
	Accusers     int    // independent neighbours whose evidence ends introductions and duties [3]
	Expellers    int    // … and the visit [5]
}

const (
	// settleMs is how long a connection may take to come about before its absence means something. Clients give up
	// after 15 s.
	settleMs = 20_000
	// retryMs and maxRetryMs bound the waiting time before a failed pair is introduced again.
	retryMs, maxRetryMs = 30_000, 600_000
	// searchMs and maxSearchMs bound the waiting time before a viewer for whom nobody was found is looked after again.
	searchMs, maxSearchMs = 1_000, 32_000
	// moveMs is how long the viewers of a room take at most to move from one tracker to another. Nobody is looked after
	// meanwhile: whom they miss is on the way.
	moveMs = 5_000
	// maxPast is how many failed pairs are remembered per viewer.
	maxPast = 64
	// maxRenditions is how many renditions of a room have duties; it is what one duty message holds.
	maxRenditions = announce.MaxDuties
)

// Swarm is all channels of a tracker. It is not safe for concurrent use.
type Swarm struct {
	cfg      Config
	channels map[string]*channel
	order    []*channel // oldest first: what maps must not decide
	viewers  tight.Index[*viewer]
	told     map[uint64][]announce.Share // the stripes of those who have some, as they know them

	nowMs   int64
	actions []Action  // of the current Handle
	touched []*room   // whose deals may have changed
	changed []*viewer // whose duties may have changed
}

// New makes a swarm without rooms. Numbers that contradict each other are raised to the next that do not.
func New(cfg Config) *Swarm {
	orElse := func(n *int, otherwise, least int) {
		if *n == 0 {
			*n = otherwise
		}
		*n = max(*n, least)
	}
	orElse(&cfg.Degree, 10, 2)
	orElse(&cfg.MaxDegree, 12, cfg.Degree)
	orElse(&cfg.SeederDegree, 48, cfg.MaxDegree)
	orElse(&cfg.RoomSize, 1000, 2*(cfg.Degree+1))
	orElse(&cfg.Accusers, 3, 1)
	orElse(&cfg.Expellers, 5, cfg.Accusers)
	return &Swarm{cfg: cfg, channels: map[string]*channel{}, told: map[uint64][]announce.Share{}}
}

// Handle takes one event at a time in epoch milliseconds and returns what is to be done about it, in order. The slice
// is valid until the next call. Events about unknown viewers, and a Join of a known one, are ignored.
func (s *Swarm) Handle(nowMs int64, ev Event) []Action {
	s.nowMs = nowMs
	clear(s.actions)
	s.actions, s.touched = s.actions[:0], s.touched[:0]
	switch ev := ev.(type) {
	case Join:
		s.join(ev)
	case Leave:
		s.leave(ev)
	case Report:
		s.report(ev)
	case Allow:
		s.allow(ev)
	case Tick:
		s.tick(ev)
	}
	for _, r := range s.touched {
		s.sendDuties(r)
	}
	s.tell()
	return s.actions
}

// Size counts who is in a channel's rooms.
func (s *Swarm) Size(channel string) (viewers, seeders int) {
	c := s.channels[channel]
	if c == nil {
		return 0, 0
	}
	for _, r := range c.rooms {
		viewers += r.members.len()
	}
	return viewers, c.seeders.len()
}

// Channels lists those in which somebody is, oldest first.
func (s *Swarm) Channels() (names []string) {
	for _, c := range s.order {
		names = append(names, c.name)
	}
	return names
}

// Rooms tells, by index, how many viewers each room of a channel has. An index that is free for now has none.
func (s *Swarm) Rooms(channel string) (sizes []int) {
	c := s.channels[channel]
	if c == nil {
		return nil
	}
	for _, r := range c.rooms {
		for len(sizes) <= r.index {
			sizes = append(sizes, 0)
		}
		sizes[r.index] = r.members.len()
	}
	return sizes
}

// RoomOf is the index of a viewer's room; false for a seeder, which serves all, and for a stranger.
func (s *Swarm) RoomOf(viewer uint64) (index int, ok bool) {
	v := s.viewers.Get(viewer)
	if v == nil || v.room == nil {
		return 0, false
	}
	return v.room.index, true
}

func (s *Swarm) do(a Action) { s.actions = append(s.actions, a) }

func (s *Swarm) touch(r *room) {
	if !slices.Contains(s.touched, r) {
		s.touched = append(s.touched, r)
	}
}

func (s *Swarm) join(ev Join) {
	if ev.Viewer == 0 || s.viewers.Get(ev.Viewer) != nil {
		return
	}
	c := s.channels[ev.Room]
	if c == nil {
		c = &channel{name: ev.Room}
		s.channels[ev.Room] = c
		s.order = append(s.order, c)
	}
	v := &viewer{
		id: ev.Viewer, channel: c, seeder: ev.Role == announce.Seeder, noUpload: ev.NoUpload, awkward: ev.NAT == announce.AddressDependent,
		subnet: ev.SubnetKey, isp: ev.ISPKey, region: ev.RegionKey, class: uplinkClass(0, ev.UplinkBps), joinedMs: uint32(s.nowMs), record: &nothing,
	}
	v.rematchAtMs = s.nowMs + rematchMs/3 + int64(v.id%rematchMs)
	s.viewers.Put(v)
	if v.seeder {
		c.seeders.add(v)
		s.reseat(v)
	} else {
		r := s.roomFor(v)
		r.add(v)
		s.touch(r)
		s.setRenditions(v, ev.Renditions)
		s.refresh(v)
		s.resize(r)
		s.capsFrom(v, ev.CapBps)
	}
	s.reunite(v, ev.Neighbours)
	s.topUp(v)
}

func (s *Swarm) leave(ev Leave) {
	v := s.viewers.Get(ev.Viewer)
	if v == nil {
		return
	}
	s.viewers.Delete(v.id)
	delete(s.told, v.id)
	neighbours := slices.Clone(v.edges)
	for _, e := range neighbours {
		s.part(v, e.to)
		if ev.Moved {
			e.to.searchAtMs = s.nowMs + moveMs
		} else {
			s.do(Gone{Viewer: e.to.id, Neighbour: v.id})
		}
	}
	v.gone, v.ready = true, false
	if v.seeder {
		s.reseat(v)
		v.channel.seeders.remove(v)
	} else {
		r := v.room
		s.unplay(v)
		r.remove(v)
		s.touch(r)
		s.resize(r)
	}
	s.forgetChannel(v.channel)
	for _, e := range neighbours {
		s.topUp(e.to)
	}
}

// forgetChannel ends a channel in which nobody is.
func (s *Swarm) forgetChannel(c *channel) {
	if len(c.rooms)+c.seeders.len() > 0 {
		return
	}
	delete(s.channels, c.name)
	s.order = slices.DeleteFunc(s.order, func(other *channel) bool { return other == c })
}

func (s *Swarm) report(ev Report) {
	v := s.viewers.Get(ev.Viewer)
	if v == nil {
		return
	}
	if v.room != nil {
		s.touch(v.room)
	}
	for _, d := range ev.Dropped {
		s.drop(v, d)
	}
	s.inferDead(v, ev.Neighbours)
	for _, r := range ev.RTTs {
		v.measured(r)
	}
	v.own().fare.report(s.nowMs, ev.MediaBytes, ev.Rescues, ev.StallMs, ev.Uploaded)
	v.fare.uplinkBps = ev.UplinkBps
	v.ready, v.class = ev.Ready, uplinkClass(v.class, ev.UplinkBps)
	s.setNoUpload(v, ev.NoUpload)
	s.setRenditions(v, ev.Renditions)
	s.reseat(v)
	s.topUp(v)
}

func (s *Swarm) setNoUpload(v *viewer, noUpload bool) {
	if v.room != nil {
		v.room.count(v, -1)
		defer v.room.count(v, 1)
	}
	v.noUpload = noUpload
}

func (s *Swarm) tick(ev Tick) {
	for _, c := range s.order {
		for _, r := range c.rooms {
			for _, v := range ev.share(r.members.items) {
				s.reconsider(v)
				s.wake(v)
				s.topUp(v)
				s.rematch(v)
			}
			s.look(r)
		}
		for _, v := range ev.share(c.seeders.items) {
			s.topUp(v)
		}
	}
}

// share is those of a set whose turn it is. Who is moved to another place between two parts has another turn, or none until the next tick.
func (t Tick) share(of []*viewer) []*viewer {
	if t.Parts <= 1 {
		return of
	}
	return of[len(of)*t.Part/t.Parts : len(of)*(t.Part+1)/t.Parts]
}
