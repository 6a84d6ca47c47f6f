package swarm

import "slipstream/tracker/announce"

// Config holds the policy's numbers. Zero values mean the defaults in brackets.
type Config struct {
	Seed         uint32 // of all random choices; every room draws its own sequence from it
	Degree       int    // neighbours that a viewer is filled up to [8]
	MaxDegree    int    // neighbours that a viewer accepts [12]
	SeederDegree int    // neighbours that a seeder is filled up to and accepts [48]
	Copies       int    // holders of each stripe [1]
	Holders      int    // viewers of a rendition among which stripes are dealt [16 × Copies]
	Accusers     int    // neighbours whose evidence shuts a viewer out [3]
}

const (
	// settleMs is how long a connection may take to come about before its absence means something. Clients give up
	// after 15 s.
	settleMs = 20_000
	// retryMs and maxRetryMs bound the waiting time before a failed pair is introduced again.
	retryMs, maxRetryMs = 30_000, 600_000
	// searchMs and maxSearchMs bound the waiting time before a viewer for whom nobody was found is looked after again.
	searchMs, maxSearchMs = 1_000, 32_000
	// maxPast is how many failed pairs are remembered per viewer.
	maxPast = 64
	// maxRenditions is how many renditions of a room have duties; it is what one duty message holds.
	maxRenditions = announce.MaxDuties
)

// Swarm is all rooms of a tracker. It is not safe for concurrent use.
type Swarm struct {
	cfg     Config
	rooms   map[string]*room
	order   []*room // rooms, oldest first: what maps must not decide
	viewers map[uint64]*viewer

	nowMs   int64
	actions []Action  // of the current Handle
	touched *room     // whose deals may have changed; every event but Tick is about one room
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
	orElse(&cfg.Degree, 8, 2)
	orElse(&cfg.MaxDegree, 12, cfg.Degree)
	orElse(&cfg.SeederDegree, 48, cfg.MaxDegree)
	orElse(&cfg.Copies, 1, 1)
	orElse(&cfg.Holders, announce.Stripes*cfg.Copies, cfg.Copies)
	orElse(&cfg.Accusers, 3, 1)
	return &Swarm{cfg: cfg, rooms: map[string]*room{}, viewers: map[uint64]*viewer{}}
}

// Handle takes one event at a time in epoch milliseconds and returns what is to be done about it, in order. The slice
// is valid until the next call. Events about unknown viewers, and a Join of a known one, are ignored.
func (s *Swarm) Handle(nowMs int64, ev Event) []Action {
	s.nowMs = nowMs
	clear(s.actions)
	s.actions = s.actions[:0]
	s.touched = nil
	switch ev := ev.(type) {
	case Join:
		s.join(ev)
	case Leave:
		s.leave(ev)
	case Report:
		s.report(ev)
	case Tick:
		for _, r := range s.order {
			for _, v := range r.members.items {
				s.topUp(v)
			}
		}
	}
	if s.touched != nil {
		s.sendDuties(s.touched)
	}
	return s.actions
}

// Size counts who is in a room.
func (s *Swarm) Size(name string) (viewers, seeders int) {
	r := s.rooms[name]
	if r == nil {
		return 0, 0
	}
	return r.members.len() - r.seeders.len(), r.seeders.len()
}

func (s *Swarm) do(a Action) { s.actions = append(s.actions, a) }

func (s *Swarm) join(ev Join) {
	if ev.Viewer == 0 || s.viewers[ev.Viewer] != nil {
		return
	}
	r := s.rooms[ev.Room]
	if r == nil {
		r = newRoom(ev.Room, s.cfg.Seed)
		s.rooms[ev.Room] = r
		s.order = append(s.order, r)
	}
	v := &viewer{id: ev.Viewer, room: r, seeder: ev.Role == announce.Seeder, subnet: ev.SubnetKey, rank: rankOf(ev.Room, ev.Viewer)}
	s.viewers[v.id] = v
	s.touched = r
	r.add(v)
	s.setRenditions(v, ev.Renditions)
	s.seat(v)
	s.refresh(v)
	s.topUp(v)
}

func (s *Swarm) leave(ev Leave) {
	v := s.viewers[ev.Viewer]
	if v == nil {
		return
	}
	delete(s.viewers, v.id)
	r := v.room
	s.touched = r
	neighbours := v.edges
	for _, e := range neighbours {
		s.do(Gone{Viewer: e.to.id, Neighbour: v.id})
		e.to.forget(v)
		r.degrees -= e.to.counts()
		s.refresh(e.to)
	}
	r.degrees -= len(neighbours) * v.counts()
	v.gone, v.ready = true, false
	s.setRenditions(v, nil)
	s.seat(v)
	r.remove(v)
	if r.members.len() == 0 {
		s.dropRoom(r)
		return
	}
	for _, e := range neighbours {
		s.topUp(e.to)
	}
}

func (s *Swarm) dropRoom(r *room) {
	delete(s.rooms, r.name)
	for i, other := range s.order {
		if other == r {
			s.order = append(s.order[:i], s.order[i+1:]...)
			return
		}
	}
}

func (s *Swarm) report(ev Report) {
	v := s.viewers[ev.Viewer]
	if v == nil {
		return
	}
	s.touched = v.room
	for _, d := range ev.Dropped {
		s.drop(v, d)
	}
	s.inferDead(v, ev.Neighbours)
	moved := s.setRenditions(v, ev.Renditions)
	class := uplinkClass(v.class, ev.UplinkBps)
	if moved || ev.Ready != v.ready || class != v.class {
		v.ready, v.class = ev.Ready, class
		s.seat(v)
	}
	s.topUp(v)
}
