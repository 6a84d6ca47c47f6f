package sched

// This file keeps the books of objects: which there are, which are wanted, which of
// their pieces are our duty.

func (c *Core) addObject(e *Event) {
	if e.Object < 0 || e.Leaves < 1 || e.Leaves > 4096 || e.Sequence < 0 || e.Size <= int64(e.Leaves-1)*leafSize ||
		e.Size > int64(e.Leaves)*leafSize || c.object(e.Object) != nil {
		return
	}
	o := &object{}
	if n := len(c.spare); n > 0 {
		o, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	o.reset(e, int32(len(c.seats)), c.nowMs)
	c.born++
	o.born = c.born
	c.objects = append(c.objects, o)
	c.byID[o.id] = o
	c.markDuty(o)
	c.markActing(o)
	c.added = append(c.added, o)
	if o.deadlineMs > 0 {
		c.insertWanted(o)
	}
}

// want sets or moves an object's deadline. What neighbours owe of an object that
// is no longer wanted is taken back; a CDN request under way ends by itself.
func (c *Core) want(o *object, deadlineMs int64) {
	c.removeWanted(o)
	if o.deadlineMs <= 0 {
		o.addedMs = c.nowMs
	}
	o.deadlineMs = deadlineMs
	if deadlineMs > 0 {
		if o.missing > 0 {
			c.insertWanted(o)
		}
		return
	}
	c.cancelPulls(o)
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
	c.mayAsk()
	c.quietMs = 0
}

func (c *Core) removeWanted(o *object) {
	c.wanted = without(c.wanted, o)
	c.mayAsk()
}

func without(list []*object, o *object) []*object {
	for i, x := range list {
		if x == o {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}

func (c *Core) removeObject(o *object) {
	c.cancelPulls(o)
	c.removeWanted(o)
	c.uploads.filter(func(q *upload) bool { return q.o != o })
	for _, n := range c.neighbours {
		if o.told[n.seat] {
			c.do(Action{Kind: SendLost, Neighbour: n.id, Object: o.id})
		}
	}
	c.news = without(c.news, o)
	c.objects = without(c.objects, o)
	delete(c.byID, o.id)
	c.recent[o.id%recents] = nil
	c.added = without(c.added, o)
	if len(c.spare) < maxSpare {
		c.spare = append(c.spare, o)
	}
}

// object finds one by its id. Those that are spoken of are a few that came one after the
// other, so the map is rarely asked.
func (c *Core) object(id int32) *object {
	if id < 0 {
		return nil
	}
	recent := &c.recent[id%recents]
	if *recent == nil || (*recent).id != id {
		o := c.byID[id]
		if o == nil {
			return nil
		}
		*recent = o
	}
	return *recent
}

func (c *Core) setDuty(rendition int32, stripes int64) {
	at := 0
	for at < len(c.duties) && c.duties[at].rendition != rendition {
		at++
	}
	if at == len(c.duties) {
		c.duties = append(c.duties, duty{rendition: rendition})
	}
	c.duties[at].stripes = stripes
	if a := c.actingFor(rendition); a != nil {
		*a = acting{rendition: rendition} // there is a tracker again, which sees more
	}
	for _, o := range c.objects {
		if o.rendition == rendition {
			c.markDuty(o)
		}
	}
}

func (c *Core) markDuty(o *object) {
	clear(o.duty())
	c.mayAsk()
	c.quietMs = 0
	for _, d := range c.duties {
		for i := int32(0); i < o.pieces && d.rendition == o.rendition; i++ {
			if d.stripes>>Stripe(i, o.pieces, o.sequence)&1 != 0 {
				o.duty().add(i)
			}
		}
	}
}
