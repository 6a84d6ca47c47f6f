package sched

// This file keeps the books: which objects there are, who is here and who holds
// what.

func (c *Core) addObject(e *Event) {
	if e.Object < 0 || e.Leaves < 1 || e.Leaves > 4096 || e.Sequence < 0 || e.Size <= int64(e.Leaves-1)*leafSize ||
		e.Size > int64(e.Leaves)*leafSize || c.object(e.Object) != nil {
		return
	}
	slot := 0
	for slot < len(c.objects) && c.objects[slot] != nil {
		slot++
	}
	if slot == len(c.objects) {
		c.objects = append(c.objects, nil)
		for _, n := range c.neighbours {
			n.holds = append(n.holds, nil)
			n.announced = append(n.announced, false)
		}
	}
	o := newObject(e, slot, c.nowMs)
	c.objects[slot] = o
	c.bySlot[o.id] = slot
	if o.deadlineMs > 0 {
		c.insertWanted(o)
	}
}

// want sets or moves an object's deadline. What neighbours owe of an object that
// is no longer wanted is taken back; a CDN request under way ends by itself.
func (c *Core) want(o *object, deadlineMs int64) {
	c.removeWanted(o)
	o.deadlineMs = deadlineMs
	if deadlineMs > 0 {
		if o.missing > 0 {
			c.insertWanted(o)
		}
		return
	}
	c.cancelPulls(o)
}

func (c *Core) cancelPulls(o *object) {
	for leaf := range o.leaves {
		if o.leaf[leaf].from >= 0 {
			c.cancelPull(o, leaf)
		}
	}
}

// cancelPull takes a request to a neighbour back; the leaf may be on its way
// already and is still welcome.
func (c *Core) cancelPull(o *object, leaf int32) {
	from := o.leaf[leaf].from
	c.release(o, leaf)
	o.leaf[leaf].late = from
	c.do(Action{Kind: SendCancel, Neighbour: from, Object: o.id, Leaf: leaf})
}

func (c *Core) insertWanted(o *object) {
	i := len(c.wanted)
	for i > 0 && (c.wanted[i-1].deadlineMs > o.deadlineMs ||
		c.wanted[i-1].deadlineMs == o.deadlineMs && c.wanted[i-1].id > o.id) {
		i--
	}
	c.wanted = append(c.wanted, nil)
	copy(c.wanted[i+1:], c.wanted[i:])
	c.wanted[i] = o
}

func (c *Core) removeWanted(o *object) {
	for i, w := range c.wanted {
		if w == o {
			c.wanted = append(c.wanted[:i], c.wanted[i+1:]...)
			return
		}
	}
}

func (c *Core) removeObject(o *object) {
	c.cancelPulls(o)
	c.removeWanted(o)
	c.uploads.removeObject(o.id)
	for _, n := range c.neighbours {
		if n.announced[o.slot] {
			c.do(Action{Kind: SendLost, Neighbour: n.id, Object: o.id})
		}
		n.holds[o.slot] = nil
		n.announced[o.slot] = false
	}
	c.objects[o.slot] = nil
	delete(c.bySlot, o.id)
}

func (c *Core) addNeighbour(id int32) {
	if id < 0 || c.neighbour(id) != nil {
		return
	}
	n := &neighbour{
		id: id, rate: initialRate, progressMs: c.nowMs,
		holds: make([][]byte, len(c.objects)), announced: make([]bool, len(c.objects)),
	}
	i := len(c.neighbours)
	for i > 0 && c.neighbours[i-1].id > id {
		i--
	}
	c.neighbours = append(c.neighbours, nil)
	copy(c.neighbours[i+1:], c.neighbours[i:])
	c.neighbours[i] = n
	for _, o := range c.objects {
		if o != nil {
			c.announceTo(n, o)
		}
	}
}

func (c *Core) removeNeighbour(n *neighbour) {
	for _, o := range c.objects {
		if o == nil {
			continue
		}
		c.writeOff(o, n)
		c.lost(o, n)
	}
	c.uploads.removeNeighbour(n)
	for i := range c.neighbours {
		if c.neighbours[i] == n {
			c.neighbours = append(c.neighbours[:i], c.neighbours[i+1:]...)
			return
		}
	}
}

// writeOff strikes what a neighbour owes of an object from its account: it will not
// send. The channel keeps the order: what it did send came before it said so.
func (c *Core) writeOff(o *object, n *neighbour) {
	for leaf := range o.leaves {
		if o.leaf[leaf].from == n.id {
			c.release(o, leaf)
		}
		if o.leaf[leaf].late == n.id {
			o.leaf[leaf].late = nobody
		}
	}
}

// drop closes the connection to a neighbour and forgets it at once.
func (c *Core) drop(n *neighbour, reason DropReason) {
	c.do(Action{Kind: Drop, Neighbour: n.id, Reason: reason})
	c.removeNeighbour(n)
}

func (c *Core) setDuty(rendition int32, stripes int64) {
	for i := range c.duties {
		if c.duties[i].rendition == rendition {
			c.duties[i].stripes = stripes
			return
		}
	}
	c.duties = append(c.duties, duty{rendition, stripes})
}

func (c *Core) onDuty(o *object, leaf int32) bool {
	for _, d := range c.duties {
		if d.rendition == o.rendition {
			return d.stripes>>Stripe(leaf, o.leaves, o.sequence)&1 != 0
		}
	}
	return false
}

func (c *Core) have(o *object, n *neighbour, bits []byte) {
	if len(bits) != bitfieldLen(o.leaves) {
		return
	}
	c.lost(o, n)
	held := make([]byte, len(bits))
	copy(held, bits)
	n.holds[o.slot] = held
	for leaf := range o.leaves {
		if hasBit(held, leaf) {
			o.holders[leaf]++
		}
	}
}

func (c *Core) gain(o *object, n *neighbour, leaf int32) {
	if n.holds[o.slot] == nil {
		n.holds[o.slot] = make([]byte, bitfieldLen(o.leaves))
	}
	if !hasBit(n.holds[o.slot], leaf) {
		setBit(n.holds[o.slot], leaf)
		o.holders[leaf]++
	}
}

func (c *Core) lost(o *object, n *neighbour) {
	bits := n.holds[o.slot]
	if bits == nil {
		return
	}
	for leaf := range o.leaves {
		if hasBit(bits, leaf) {
			o.holders[leaf]--
		}
	}
	n.holds[o.slot] = nil
}
