package sched

// Core schedules for one viewer. It is not safe for concurrent use: one
// goroutine owns it.
type Core struct {
	cfg     Config
	startMs int64 // first time seen
	nowMs   int64

	objects    []*object // by slot; nil: free
	wanted     []*object // missing something, by (deadline, id)
	bySlot     map[int32]int
	neighbours []*neighbour // by id
	duties     []duty

	uploads uploads
	cdn     cdn

	actions []Action
	order   []int32 // scratch: open leaves, rarest first
}

type duty struct {
	rendition int32
	stripes   int64
}

// New returns a scheduler that knows nothing yet.
func New(cfg Config) *Core {
	return &Core{
		cfg: cfg, startMs: -1, bySlot: make(map[int32]int),
		cdn: cdn{rate: initialCDNRate, waitMs: initialCDNWait},
	}
}

// Handle tells what happened up to nowMs and returns what is to be done, in
// order. nowMs (epoch ms) never goes back. The slice is valid until the next call.
func (c *Core) Handle(nowMs int64, events []Event) []Action {
	if c.startMs < 0 {
		c.startMs = nowMs
	}
	c.nowMs = max(nowMs, c.nowMs)
	c.actions = c.actions[:0]
	tick := false
	for i := range events {
		tick = tick || events[i].Kind == Tick
		c.apply(&events[i])
	}
	if tick {
		c.expirePulls()
		c.measureUplink()
	}
	c.pull()
	c.fetch()
	c.announce(tick)
	c.upload()
	return c.actions
}

// apply is the one place where an event changes the state. Events about objects
// or neighbours that are not there are stale and ignored.
func (c *Core) apply(e *Event) {
	switch e.Kind {
	case ObjectAdd:
		c.addObject(e)
		return
	case NeighbourAdd:
		c.addNeighbour(e.Neighbour)
		return
	case Duty:
		c.setDuty(e.Rendition, e.Value)
		return
	case FetchDone, FetchFailed:
		c.fetchEnded(e)
		return
	case NeighbourRemove, Buffered, Unsolicited:
		if n := c.neighbour(e.Neighbour); n != nil {
			c.applyToNeighbour(e, n)
		}
		return
	}
	o := c.object(e.Object)
	if o == nil {
		return
	}
	switch e.Kind {
	case ObjectWant:
		c.want(o, e.Value)
		return
	case ObjectRemove:
		c.removeObject(o)
		return
	}
	if e.Kind != Have && e.Kind != Lost && (e.Leaf < 0 || e.Leaf >= o.leaves) {
		return
	}
	switch e.Kind {
	case Verified:
		c.verified(o, e.Leaf, e.Neighbour)
		return
	}
	if n := c.neighbour(e.Neighbour); n != nil {
		c.applyToHolding(e, o, n)
	}
}

func (c *Core) applyToNeighbour(e *Event, n *neighbour) {
	switch e.Kind {
	case NeighbourRemove:
		c.removeNeighbour(n)
	case Buffered:
		c.buffered(n, e.Value)
	case Unsolicited:
		if c.cameTooLate(e, n) {
			return
		}
		if n.unsolicited++; n.unsolicited >= intruderStrikes {
			c.drop(n, Intruder)
		}
	}
}

func (c *Core) applyToHolding(e *Event, o *object, n *neighbour) {
	switch e.Kind {
	case Have:
		c.have(o, n, e.Bits)
	case Gain:
		c.gain(o, n, e.Leaf)
	case Lost:
		c.writeOff(o, n)
		c.lost(o, n)
	case Request:
		c.requested(o, n, e.Leaf)
	case Cancel:
		c.uploads.cancel(n, o.id, e.Leaf)
	case Refuse:
		c.refused(o, n, e.Leaf, int32(e.Value))
	case Rejected:
		c.drop(n, BadLeaf)
	}
}

// Expects tells whether a leaf from a neighbour was asked for and would still
// be of use; the shell asks before it verifies anything.
func (c *Core) Expects(neighbour, object, leaf int32) bool {
	o := c.object(object)
	if o == nil || leaf < 0 || leaf >= o.leaves || o.has(leaf) {
		return false
	}
	return o.leaf[leaf].from == neighbour || o.leaf[leaf].late == neighbour
}

func (c *Core) object(id int32) *object {
	if slot, ok := c.bySlot[id]; ok {
		return c.objects[slot]
	}
	return nil
}

func (c *Core) neighbour(id int32) *neighbour {
	lo, hi := 0, len(c.neighbours)
	for lo < hi {
		mid := (lo + hi) / 2
		if c.neighbours[mid].id < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(c.neighbours) && c.neighbours[lo].id == id {
		return c.neighbours[lo]
	}
	return nil
}

func (c *Core) do(a Action) { c.actions = append(c.actions, a) }
