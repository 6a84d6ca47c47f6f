package sched

// Core schedules for one viewer. It is not safe for concurrent use: one
// goroutine owns it.
type Core struct {
	cfg     Config
	startMs int64 // first time seen
	nowMs   int64

	objects []*object // in the order in which they came
	wanted  []*object // missing something, by (deadline, id)
	byID    map[int32]*object
	recent  [recents]*object // of byID, by the last bits of their ids
	spare   []*object        // memory of objects that are gone
	added   []*object        // in this call
	news    []*object        // with something to announce, in the order of objects
	born    int64            // objects so far
	slackMs int64            // how long before they were needed objects were complete lately
	tickMs  int64            // when the last tick was
	lateUs  int64            // how late ticks are on average

	neighbours []*neighbour       // by id
	near       [nearby]*neighbour // of neighbours, by the last bits of their ids
	slab       []neighbour        // where the next ones are to lie: side by side
	ids        []int32            // theirs
	seats      []bool             // taken
	owed       int64              // bytes that they owe us in all
	duties     []duty
	acting     []acting

	uploads uploads
	cdn     cdn
	budget  budget // of the running pass over wanted

	stirred bool  // something happened after which somebody may be asked
	askMs   int64 // nobody can be asked before then; see pull
	quietMs int64 // nothing is due at the CDN before then; see fetch
	*Scratch
}

// Scratch is memory that a core uses during a call, and for its answer. Cores that take
// turns may share it.
type Scratch struct {
	actions []Action
	roomy   []*neighbour // scratch: who can be asked
	order   []int32      // scratch: pieces, the most wanted first
}

const (
	recents = 8  // objects are found at once
	nearby  = 16 // neighbours likewise
)

type duty struct {
	rendition int32
	stripes   int64
}

// New returns a scheduler that knows nothing yet.
func New(cfg Config) *Core { return NewIn(new(Scratch), cfg) }

// NewIn is New for one of several that share their scratch: what one answers is valid until
// another is called.
func NewIn(scratch *Scratch, cfg Config) *Core {
	return &Core{
		Scratch: scratch, cfg: cfg, startMs: -1, byID: make(map[int32]*object),
		cdn:     cdn{leafUs: initialCDNLeafUs, waitMs: initialCDNWait},
		uploads: uploads{trial: trial{leafTo: nobody, with: nobody}},
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
		c.ticked()
		c.expirePulls()
		c.measureUplink()
	}
	c.introduce()
	if c.stirred || tick {
		c.pull()
		c.fetch()
		c.stirred = false
	}
	c.announce()
	c.upload()
	return c.actions
}

// apply is the one place where an event changes the state. Events about objects
// or neighbours that are not there are stale and ignored.
func (c *Core) apply(e *Event) {
	switch e.Kind {
	case Tick:
		return
	case ObjectAdd:
		c.addObject(e)
	case NeighbourAdd:
		c.addNeighbour(e.Neighbour)
	case Duty:
		c.setDuty(e.Rendition, e.Value)
	case Cap:
		c.cfg.UploadBytesPerSec = e.Value
	case FetchDone, FetchFailed:
		c.fetchEnded(e)
	case NeighbourRemove, Buffered, Unsolicited:
		if n := c.neighbour(e.Neighbour); n != nil {
			c.applyToNeighbour(e, n)
		}
		return
	case Request, Cancel:
		if o := c.object(e.Object); o != nil {
			c.applyToHolding(e, o)
		}
		return
	default:
		if o := c.object(e.Object); o != nil {
			c.applyToObject(e, o)
		}
	}
	c.stirred = true
}

func (c *Core) applyToNeighbour(e *Event, n *neighbour) {
	switch e.Kind {
	case NeighbourRemove:
		c.removeNeighbour(n)
		c.stirred = true
	case Buffered:
		c.buffered(n, e.Value)
	case Unsolicited:
		if c.cameTooLate(e, n) {
			return
		}
		if n.unsolicited++; n.unsolicited >= intruderStrikes {
			c.drop(n, Intruder)
			c.stirred = true
		}
	}
}

func (c *Core) applyToObject(e *Event, o *object) {
	switch e.Kind {
	case ObjectWant:
		c.want(o, e.Value)
	case ObjectRemove:
		c.removeObject(o)
	case Verified:
		if e.Leaf >= 0 && e.Leaf < o.leaves {
			c.verified(o, e.Leaf, e.Neighbour)
		}
	default:
		c.applyToHolding(e, o)
	}
}

// applyToHolding books what a neighbour says of an object.
func (c *Core) applyToHolding(e *Event, o *object) {
	n := c.neighbour(e.Neighbour)
	if n == nil {
		return
	}
	switch e.Kind {
	case Have:
		c.have(o, n, e.Bits)
		return
	case Lost:
		c.writeOff(o, n)
		c.lost(o, n)
		return
	case Rejected:
		if e.Leaf >= 0 && e.Leaf < o.leaves {
			c.drop(n, BadLeaf)
		}
		return
	}
	if e.Piece < 0 || e.Piece >= o.pieces {
		return
	}
	switch e.Kind {
	case Gain:
		c.gain(o, n, e.Piece)
	case Coming:
		c.coming(o, n, e.Piece)
	case Request:
		c.requested(o, n, e.Piece, e.Mask)
	case Cancel:
		c.uploads.filter(func(q *upload) bool { return q.n != n || q.o != o || q.piece != e.Piece })
	case Refuse:
		c.refused(o, n, e.Piece, int32(e.Value))
	}
}

// Expects tells whether a leaf from a neighbour was asked for and would still
// be of use; the shell asks before it verifies anything.
func (c *Core) Expects(neighbour, object, leaf int32) bool {
	o := c.object(object)
	if o == nil || leaf < 0 || leaf >= o.leaves || o.hasLeaf(leaf) {
		return false
	}
	i, bit := o.pieceOf(leaf)
	p := &o.piece[i]
	return p.from == neighbour && p.owed&bit != 0 || p.late == neighbour && p.lateOwed&bit != 0
}

func (c *Core) do(a Action) { c.actions = append(c.actions, a) }
