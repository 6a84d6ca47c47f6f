package sched

import "slices"

// neighbour is a viewer or seeder at the other end of a data channel.
type neighbour struct {
	// What every decision looks at lies together.
	id        int32
	seat      int32 // its place in the books of objects
	mute      bool  // owed us something for too long: what it holds is not counted on
	slow      bool  // takes far less than the others
	queued    int32 // pieces queued for it
	leafUs    int64 // estimated time to deliver one leaf, µs
	window    int64 // bytes that it may owe us
	inflight  int64 // bytes that it owes us
	blockedMs int64 // not asked before then
	buffered  int64 // bytes in our send buffer towards it
	drainedMs int64 // when that last shrank or began to fill

	progressMs    int64 // when it last delivered, or first owed
	strikes, lies int32
	refusals      int32 // as busy, in a row without a leaf in between
	unsolicited   int32
	overAsked     int32

	filledMs int64 // when buffered was last 0
	drained  int64 // bytes that left the buffer in the running measurement of the uplink
	served   int64 // bytes sent to it, or what the least served had when it first asked again

	_ int64 // two lines of the cache each
}

// learnPace takes a new estimate of how long a leaf takes.
func (c *Core) learnPace(n *neighbour, leafUs int64) {
	n.leafUs = min(max(leafUs, minLeafUs), maxLeafUs)
	c.mayAsk()
	n.window = min(max(c.cfg.PipelineMs*1000*leafSize/n.leafUs, minWindow*leafSize), maxWindow*leafSize)
}

// etaMs estimates how long bytes more from n would take.
func (n *neighbour) etaMs(bytes int64) int64 {
	return (n.inflight + bytes) * n.leafUs / (leafSize * 1000)
}

// hasRoom tells whether so many bytes more may be asked of a neighbour now: enough to
// keep its uplink busy over a round trip, little enough to go elsewhere soon. With at
// most a leaf on its way it may be asked in any case, or it would idle meanwhile.
func (c *Core) hasRoom(n *neighbour, bytes int64) bool {
	return n.blockedMs <= c.nowMs && (n.inflight <= leafSize || n.inflight+bytes <= n.window)
}

// neighbour finds one by its id, most often at once. The ids lie together: looking into each
// neighbour on the way would be a wait for memory each.
func (c *Core) neighbour(id int32) *neighbour {
	if id < 0 {
		return nil
	}
	near := &c.near[id%nearby]
	if *near != nil && (*near).id == id {
		return *near
	}
	lo, hi := 0, len(c.ids)
	for lo < hi {
		mid := (lo + hi) / 2
		if c.ids[mid] < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(c.ids) && c.ids[lo] == id {
		*near = c.neighbours[lo]
		return *near
	}
	return nil
}

func (c *Core) addNeighbour(id int32) {
	if id < 0 || c.neighbour(id) != nil {
		return
	}
	seat := int32(0)
	for int(seat) < len(c.seats) && c.seats[seat] {
		seat++
	}
	if int(seat) == len(c.seats) {
		c.seats = append(c.seats, false)
		for _, o := range c.objects {
			o.addSeat()
		}
	}
	c.seats[seat] = true
	if len(c.slab) == 0 {
		c.slab = make([]neighbour, neighbourSlab)
	}
	n := &c.slab[0]
	c.slab = c.slab[1:]
	*n = neighbour{id: id, seat: seat, progressMs: c.nowMs}
	c.learnPace(n, initialLeafUs)
	i := len(c.neighbours)
	for i > 0 && c.neighbours[i-1].id > id {
		i--
	}
	c.neighbours = append(c.neighbours, nil)
	copy(c.neighbours[i+1:], c.neighbours[i:])
	c.neighbours[i] = n
	c.ids = slices.Insert(c.ids, i, id)
	for _, o := range c.objects {
		c.announceTo(n, o)
	}
}

func (c *Core) removeNeighbour(n *neighbour) {
	for _, o := range c.objects {
		c.writeOff(o, n)
		c.lost(o, n)
		o.told[n.seat], o.knows[n.seat] = false, false
	}
	c.uploads.filter(func(q *upload) bool { return q.n != n })
	if c.uploads.trial.leafTo == n.id {
		c.uploads.trial.leafTo = nobody
	}
	c.seats[n.seat] = false
	c.setBuffered(n, 0)
	c.near[n.id%nearby] = nil
	c.quietMs = 0
	for i := range c.neighbours {
		if c.neighbours[i] == n {
			c.neighbours = append(c.neighbours[:i], c.neighbours[i+1:]...)
			c.ids = slices.Delete(c.ids, i, i+1)
			return
		}
	}
}

// writeOff strikes what a neighbour owes of an object from its account: it will not
// send. The channel keeps the order: what it did send came before it said so.
func (c *Core) writeOff(o *object, n *neighbour) {
	for i := range o.piece {
		p := &o.piece[i]
		if p.from == n.id {
			c.release(o, int32(i))
		}
		if p.late == n.id {
			p.late, p.lateOwed = nobody, 0
		}
	}
}

// drop closes the connection to a neighbour and forgets it at once.
func (c *Core) drop(n *neighbour, reason DropReason) {
	c.do(Action{Kind: Drop, Neighbour: n.id, Reason: reason})
	c.removeNeighbour(n)
}

// have replaces what is known of a neighbour's holdings.
func (c *Core) have(o *object, n *neighbour, bits []byte) {
	if len(bits) != bitfieldLen(o.pieces) {
		return
	}
	c.lost(o, n)
	o.knows[n.seat] = true
	for i := range o.pieces {
		if hasBit(bits, i) {
			c.gain(o, n, i)
		}
	}
}

func (c *Core) gain(o *object, n *neighbour, i int32) {
	if held := o.heldBy(n); !held.has(i) {
		held.add(i)
		o.around().add(i)
		if o.open().has(i) {
			c.mayAsk()
		}
		if !n.mute {
			o.holders[i]++
		}
	}
}

func (c *Core) notHeld(o *object, n *neighbour, i int32) {
	if held := o.heldBy(n); held.has(i) {
		held.remove(i)
		c.mayAsk() // what nobody holds may be asked for in advance
		if !n.mute {
			o.holders[i]--
		}
	}
}

// lost forgets all that a neighbour said of an object.
func (c *Core) lost(o *object, n *neighbour) {
	held := o.heldBy(n)
	for i := held.next(0); i >= 0; i = held.next(i + 1) {
		c.notHeld(o, n, i)
	}
	clear(o.promisedBy(n))
	clear(o.hopedOf(n))
}

// coming notes that somebody near has a piece on its way, once for each neighbour and
// piece: who promises again and again delays nobody.
func (c *Core) coming(o *object, n *neighbour, i int32) {
	if promised := o.promisedBy(n); !promised.has(i) {
		promised.add(i)
		o.around().add(i)
		c.mayAsk()
		o.hopedOf(n).add(i)
		o.piece[i].comingMs = c.nowMs + c.cfg.ProgressMs
	}
}

// setMute takes a neighbour's holdings off the books, or puts them back: what only the
// dead hold is to be rescued like what nobody holds.
func (c *Core) setMute(n *neighbour, mute bool) {
	if n.mute == mute {
		return
	}
	n.mute = mute
	c.mayAsk()
	by := int32(1)
	if mute {
		by = -1
	}
	for _, o := range c.objects {
		held := o.heldBy(n)
		for i := held.next(0); i >= 0; i = held.next(i + 1) {
			o.holders[i] += by
		}
	}
}
