package sched

// This file asks neighbours: which leaf next, from whom, and what if it does
// not come.

// pull requests open leaves from neighbours that hold them, the object with the
// earliest deadline first, within it the rarest leaf first.
func (c *Core) pull() {
	least := int64(leafSize) // the shortest leaf there is
	for _, o := range c.wanted {
		least = min(least, o.leafBytes(o.leaves-1))
	}
	room := 0 // neighbours that can be asked for anything at all
	for _, n := range c.neighbours {
		if c.hasRoom(n, least) {
			room++
		}
	}
	for _, o := range c.wanted {
		if room == 0 || c.mustWait(o) {
			return
		}
		if o.open == 0 {
			continue
		}
		for _, leaf := range c.rarestFirst(o) {
			n := c.bestHolder(o, leaf)
			if n == nil {
				continue
			}
			c.request(o, leaf, n)
			if !c.hasRoom(n, least) {
				if room--; room == 0 {
					return
				}
			}
		}
	}
}

// hasRoom tells whether so many bytes more may be asked of a neighbour now; one
// leaf always, if it owes nothing.
func (c *Core) hasRoom(n *neighbour, bytes int64) bool {
	return n.blockedMs <= c.nowMs && (n.inflight == 0 || n.inflight+bytes <= n.windowBytes(c.cfg.PipelineMs))
}

// rarestFirst lists the open leaves that some neighbour holds. Ties start at a
// different leaf in every viewer, so that neighbours fetch different ones and
// have something to swap.
func (c *Core) rarestFirst(o *object) []int32 {
	c.order = c.order[:0]
	turn := int32(mix32(c.cfg.Seed^uint32(o.sequence)) % uint32(o.leaves))
	for i := range o.leaves {
		leaf := (turn + i) % o.leaves
		if o.holders[leaf] == 0 || !o.isOpen(leaf) {
			continue
		}
		at := len(c.order)
		c.order = append(c.order, leaf)
		for at > 0 && o.holders[c.order[at-1]] > o.holders[leaf] {
			c.order[at] = c.order[at-1]
			at--
		}
		c.order[at] = leaf
	}
	return c.order
}

// bestHolder is the neighbour expected to deliver a leaf first, if any can in
// time; ties go to the lower id. Later than that only while the CDN can not take
// it: otherwise fetch would take it back at once.
func (c *Core) bestHolder(o *object, leaf int32) *neighbour {
	var best *neighbour
	bytes := o.leafBytes(leaf)
	bestEta := c.lastDueMs(c.hardDeadlineMs(o)) - c.nowMs + 1
	if c.cdn.blockedMs > c.nowMs || c.cdn.fetches >= c.cfg.MaxFetches {
		bestEta = max(bestEta, c.cfg.ProgressMs)
	}
	for _, n := range c.neighbours {
		if !n.holdsLeaf(o, leaf) || !c.hasRoom(n, bytes) {
			continue
		}
		if eta := n.etaMs(bytes); eta < bestEta {
			best, bestEta = n, eta
		}
	}
	return best
}

func (c *Core) request(o *object, leaf int32, n *neighbour) {
	bytes := o.leafBytes(leaf)
	if n.inflight == 0 {
		n.progressMs = c.nowMs
	}
	s := &o.leaf[leaf]
	s.from, s.sentMs, s.dueMs = n.id, c.nowMs, c.nowMs+n.etaMs(bytes)
	o.open--
	n.inflight += bytes
	c.do(Action{Kind: SendRequest, Neighbour: n.id, Object: o.id, Leaf: leaf})
}

// release makes a pending leaf open again (or merely no longer pending).
func (c *Core) release(o *object, leaf int32) {
	s := &o.leaf[leaf]
	if s.from == nobody {
		return
	}
	if n := c.neighbour(s.from); n != nil {
		n.inflight -= o.leafBytes(leaf)
	}
	s.from = nobody
	o.open++
}

// expirePulls gives up on neighbours that owe leaves, are past due and have
// delivered nothing for ProgressMs. WebRTC notices a death after 8 to 18 s.
func (c *Core) expirePulls() {
	for i := len(c.neighbours) - 1; i >= 0; i-- {
		n := c.neighbours[i]
		if n.inflight == 0 || c.nowMs-n.progressMs < c.cfg.ProgressMs || !c.releasePastDue(n) {
			continue
		}
		if n.blockedMs > c.nowMs {
			continue // one silence is one strike, however many requests run into it
		}
		n.strikes++
		n.blockedMs = c.nowMs + c.cfg.ProgressMs<<min(n.strikes-1, 3)
		n.rate = max(n.rate/2, minRate)
		if n.strikes >= stallStrikes {
			c.drop(n, Stalled)
		}
	}
}

func (c *Core) releasePastDue(n *neighbour) bool {
	found := false
	for _, o := range c.wanted {
		for leaf := range o.leaves {
			s := &o.leaf[leaf]
			if s.from == n.id && max(s.dueMs, s.sentMs+c.cfg.ProgressMs) <= c.nowMs {
				c.cancelPull(o, leaf)
				found = true
			}
		}
	}
	return found
}

func (c *Core) refused(o *object, n *neighbour, leaf int32, reason RefuseReason) {
	if o.leaf[leaf].from != n.id {
		return
	}
	c.release(o, leaf)
	switch reason {
	case NotHeld:
		if n.holdsLeaf(o, leaf) {
			n.holds[o.slot][leaf>>3] &^= 0x80 >> (leaf & 7)
			o.holders[leaf]--
		}
		if n.lies++; n.lies >= lieStrikes {
			c.drop(n, Liar)
		}
	default:
		n.blockedMs = max(n.blockedMs, c.nowMs+c.cfg.BusyBackoffMs)
	}
}

// verified books a leaf that is now in the store.
func (c *Core) verified(o *object, leaf, from int32) {
	if o.has(leaf) {
		return
	}
	s := &o.leaf[leaf]
	pending := s.from
	if n := c.neighbour(from); n != nil {
		c.delivered(n, o.leafBytes(leaf), s.sentMs, pending == from)
	}
	if pending >= 0 && pending != from {
		c.cancelPull(o, leaf)
	}
	c.release(o, leaf)
	setBit(o.have, leaf)
	o.open--
	o.missing--
	o.fresh = append(o.fresh, leaf)
	if o.missing == 0 {
		c.removeWanted(o)
	}
}

// cameTooLate tells whether a leaf nobody expects was asked for once: another was
// faster. That is no offence, but only once.
func (c *Core) cameTooLate(e *Event, n *neighbour) bool {
	o := c.object(e.Object)
	if o == nil || e.Leaf < 0 || e.Leaf >= o.leaves || o.leaf[e.Leaf].late != n.id {
		return false
	}
	o.leaf[e.Leaf].late = nobody
	return true
}

// delivered updates what is known of a neighbour that kept its word.
func (c *Core) delivered(n *neighbour, bytes, sentMs int64, onTime bool) {
	if onTime {
		elapsed := max(c.nowMs-max(sentMs, n.progressMs), 1)
		n.rate = max(min((n.rate*3+bytes*1000/elapsed)/4, maxRate), minRate)
	}
	n.progressMs = c.nowMs
	n.strikes = 0
	n.unsolicited = max(n.unsolicited-1, 0) // leaves and cancels cross now and then
}
