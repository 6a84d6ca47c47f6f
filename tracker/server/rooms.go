package server

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"runtime"
	"slices"
	"sync"

	"slipstream/tracker/announce"
)

// rooms is this node's channels: who is in which cell. A channel is in one cell, until so many come at once that one
// core cannot welcome them all: then in more. Those of a cell know of each other; seeders are in all cells of their
// channel.
type rooms struct {
	srv   *Server
	cells []*cell

	mu       sync.Mutex
	channels map[string]*audience
	load     []int // clients per cell
}

// audience is where the clients of one channel are.
type audience struct {
	rooms   *rooms
	name    string
	open    []int // cells that it uses, oldest first
	viewers []int // per cell, used or not
	clients int   // seeders included
	seeders []*seat

	// joins counts those of the second that began at sinceMs.
	joins   int
	sinceMs int64
}

const (
	maxCells = 64
	// usualRoom is how many clients a cell has before a channel that they rush into gets another: about a room of
	// package swarm, so that no room is smaller for it.
	usualRoom = 1000
	// rush is how many join a channel in one second when it needs another core. It is also how soon the first in a new
	// cell are no longer alone.
	rush = 100
)

func newRooms(s *Server) *rooms {
	n := s.cfg.Cells
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	n = min(n, maxCells)
	r := &rooms{srv: s, channels: map[string]*audience{}, load: make([]int, n)}
	for i := range n {
		r.cells = append(r.cells, newCell(s, i))
	}
	return r
}

// Enter implements Rooms.
func (r *rooms) Enter(from Address, e Enter) (Seat, *announce.Error) {
	role, at := e.Join.Role, r.srv.cfg.Now()
	st := &seat{addr: from, since: uint32(at.Unix())}
	said := entry{
		renditions: e.Join.Renditions, noUpload: e.Join.NoUpload, uplinkBps: e.Join.UplinkBps, nat: e.Join.NAT,
		subnet: e.Subnet, isp: e.ISP, region: e.Region,
	}
	if role == announce.Seeder {
		st.seeder = &seeding{said: said}
	}
	r.mu.Lock()
	c, refusal := r.place(st, e)
	if refusal != nil {
		r.mu.Unlock()
		return nil, refusal
	}
	welcome := e.Welcome
	welcome.ID, welcome.ReportMs, welcome.Viewers = st.id, r.srv.cfg.ReportMs, int64(c.clients)
	r.srv.metrics.joined(role, len(r.channels))
	if role != announce.Seeder {
		r.mu.Unlock()
		if e.Resume == nil {
			r.srv.tell(from, welcome)
		}
		r.cells[st.cell].post(st, entered{said, e.Resume, at})
		return st, nil
	}
	defer r.mu.Unlock() // a cell must not hear that a seeder is gone before it hears that it came
	if e.Resume == nil {
		r.srv.tell(from, welcome)
	}
	for _, i := range c.open {
		r.cells[i].post(st, entered{said, e.Resume, at})
	}
	return st, nil
}

// place finds a client its channel and cell.
func (r *rooms) place(st *seat, e Enter) (*audience, *announce.Error) {
	limits := &r.srv.rules.Load().Limits
	c := r.channels[e.Channel]
	switch {
	case c == nil && len(r.channels) >= limits.Rooms:
		return nil, says(announce.CodeTrackerFull, "The tracker serves as many channels as it can; try again in a few minutes.")
	case c != nil && c.clients >= limits.RoomViewers:
		return nil, says(announce.CodeRoomFull, "The channel's room is full; playback goes on without neighbours.")
	case c == nil:
		c = &audience{rooms: r, name: e.Channel, viewers: make([]int, len(r.cells))}
		r.channels[c.name] = c
		r.extend(c)
	}
	st.audience = c
	c.clients++
	if st.seeder != nil {
		st.cell = uint8(c.open[0])
		c.seeders = append(c.seeders, st)
	} else {
		st.cell = uint8(r.choose(c, e.ISP))
		c.viewers[st.cell]++
		r.load[st.cell]++
	}
	if st.id = newID(); e.Resume != nil {
		st.id = e.Resume.ID
	}
	return c, nil
}

// choose finds a viewer's cell: of those that its channel uses the one of its ISP, if that is not much larger than the
// smallest. A channel that has shrunk to one room fills only its largest, so that the others end by themselves.
func (r *rooms) choose(c *audience, isp uint64) int {
	nowMs := r.srv.cfg.Now().UnixMilli()
	if nowMs-c.sinceMs >= 1000 || nowMs < c.sinceMs {
		c.joins, c.sinceMs = 0, nowMs
	}
	c.joins++
	size := func(a, b int) int { return cmp.Compare(c.viewers[a], c.viewers[b]) }
	smallest := slices.MinFunc(c.open, size)
	if c.viewers[smallest] >= usualRoom && c.joins >= rush && len(c.open) < len(r.cells) {
		return r.extend(c)
	}
	if largest := slices.MaxFunc(c.open, size); c.joins < rush && c.clients < usualRoom {
		return largest
	}
	if isp != 0 {
		own := slices.MaxFunc(c.open, func(a, b int) int { return cmp.Compare(affinity(isp, a), affinity(isp, b)) })
		if c.viewers[own] <= c.viewers[smallest]+c.viewers[smallest]/4 {
			return own
		}
	}
	return smallest
}

// affinity ranks cells for an ISP (rendezvous hashing with the finalizer of MurmurHash3).
func affinity(isp uint64, cell int) uint64 {
	x := isp ^ uint64(cell+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// extend lets a channel use one more cell, the one with the fewest viewers. Its seeders are there at once.
func (r *rooms) extend(c *audience) int {
	best := -1
	for i := range r.cells {
		if !slices.Contains(c.open, i) && (best < 0 || r.load[i] < r.load[best]) {
			best = i
		}
	}
	c.open = append(c.open, best)
	for _, st := range c.seeders {
		r.cells[best].post(st, entered{entry: st.seeder.said})
	}
	return best
}

// newID draws an id: random, so that nobody can guess a stranger's or choose a rank, and that no two nodes draw the same.
func newID() announce.PeerID {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails since Go 1.24
		if id := announce.PeerID(binary.BigEndian.Uint64(b[:])); id != 0 {
			return id
		}
	}
}

// seat implements Seat.
type seat struct {
	audience *audience
	addr     Address
	id       announce.PeerID
	cell     uint8 // a seeder's is the one that counts what it reports
	left     bool
	since    uint32   // when it came, in Unix seconds
	seeder   *seeding // nil: a viewer
}

// seeding is what only a seeder has: what it said when it joined, for the cells to come, and its duties, per cell, of
// which it is told together.
type seeding struct {
	said   entry
	mu     sync.Mutex
	duties map[int][]announce.Share
}

func (st *seat) role() announce.Role {
	if st.seeder != nil {
		return announce.Seeder
	}
	return announce.Viewer
}

// entry is what a client said when it joined, and where it is.
type entry struct {
	renditions          []string
	noUpload            bool
	uplinkBps           int64
	nat                 announce.NAT
	subnet, isp, region uint64
}

// Signal implements Seat. A seeder's goes to all its cells; the one that knows the other passes it on.
func (st *seat) Signal(s announce.SignalTo) { st.post(s) }

// Report implements Seat.
func (st *seat) Report(report announce.Report) { st.post(report) }

// post tells a viewer's cell, or all those of a seeder.
func (st *seat) post(body any) {
	r := st.audience.rooms
	if st.seeder == nil {
		r.cells[st.cell].post(st, body)
		return
	}
	r.mu.Lock()
	open := slices.Clone(st.audience.open)
	r.mu.Unlock()
	for _, i := range open {
		r.cells[i].post(st, body)
	}
}

// Leave implements Seat.
func (st *seat) Leave() { st.giveUp(exited{}) }

// Move implements Seat.
func (st *seat) Move() { st.giveUp(exited{moved: true}) }

// Channel implements Seat.
func (st *seat) Channel() string { return st.audience.name }

func (st *seat) giveUp(how exited) {
	r, c := st.audience.rooms, st.audience
	r.mu.Lock()
	defer r.mu.Unlock()
	if st.left {
		return
	}
	st.left = true
	c.clients--
	if st.seeder != nil {
		c.seeders = slices.DeleteFunc(c.seeders, func(other *seat) bool { return other == st })
		for _, i := range c.open {
			r.cells[i].post(st, how)
		}
	} else {
		r.cells[st.cell].post(st, how)
		r.load[st.cell]--
		c.viewers[st.cell]--
		if c.viewers[st.cell] == 0 && len(c.open) > 1 {
			r.retire(c, int(st.cell))
		}
	}
	if c.clients == 0 {
		delete(r.channels, c.name)
	}
	r.srv.metrics.left(st.role(), len(r.channels))
}

// retire ends a channel's use of a cell.
func (r *rooms) retire(c *audience, cell int) {
	c.open = slices.DeleteFunc(c.open, func(i int) bool { return i == cell })
	for _, st := range c.seeders {
		r.cells[cell].post(st, exited{})
	}
}

// duty tells a client its stripes, a seeder those of all its cells.
func (st *seat) duty(cell int, shares []announce.Share) {
	srv, seeder := st.audience.rooms.srv, st.seeder
	if seeder == nil {
		srv.tell(st.addr, announce.Duty{Duties: shares})
		return
	}
	seeder.mu.Lock() // until it is told, so that the last word is the latest
	defer seeder.mu.Unlock()
	if seeder.duties == nil {
		seeder.duties = map[int][]announce.Share{}
	}
	if seeder.duties[cell] = shares; len(shares) == 0 {
		delete(seeder.duties, cell)
	}
	srv.tell(st.addr, announce.Duty{Duties: union(seeder.duties)})
}

// union adds up the stripes of each rendition, as many renditions as a message holds.
func union(cells map[int][]announce.Share) (all []announce.Share) {
	for _, shares := range cells {
		for _, share := range shares {
			i, found := slices.BinarySearchFunc(all, share.Rendition, func(s announce.Share, name string) int { return cmp.Compare(s.Rendition, name) })
			if !found {
				all = slices.Insert(all, i, announce.Share{Rendition: share.Rendition})
			}
			all[i].Stripes |= share.Stripes
		}
	}
	return all[:min(len(all), announce.MaxDuties)]
}
