package sched

import "slices"

// This file measures our uplink by what leaves the send buffers.

// buffered books how much the transport still holds for a neighbour.
func (c *Core) buffered(n *neighbour, bytes int64) {
	u := &c.uploads
	if c.waiting() == 0 {
		c.restartMeasurement()
	}
	drained := n.buffered - max(bytes, 0)
	stood := n.slow || c.clogged(n) // what stood may go all at once, which says nothing
	if drained > 0 || n.buffered == 0 {
		n.drainedMs = c.nowMs
	}
	if n.buffered == 0 {
		n.filledMs = c.nowMs
	}
	c.setBuffered(n, n.buffered-drained)
	n.slow = n.slow && n.buffered > 0
	if drained > 0 {
		if !stood {
			n.drained += drained
			u.drained += drained
			c.raiseUplink()
		}
		c.judge(n)
	}
}

// setBuffered keeps the list of those whose send buffers are not empty.
func (c *Core) setBuffered(n *neighbour, bytes int64) {
	u := &c.uploads
	switch {
	case n.buffered == 0 && bytes > 0:
		u.filled = append(u.filled, n)
	case n.buffered > 0 && bytes == 0:
		at := slices.Index(u.filled, n)
		u.filled = slices.Delete(u.filled, at, at+1)
	}
	n.buffered = bytes
}

// clogged tells whether a neighbour takes nothing any more: it died, or does not
// want to read. It must not hold up the others, nor speak for our uplink.
func (c *Core) clogged(n *neighbour) bool {
	return n.buffered > 0 && c.nowMs-n.drainedMs >= c.cfg.ProgressMs
}

// waiting is what the send buffers that move hold in all.
func (c *Core) waiting() int64 {
	total := int64(0)
	for _, n := range c.uploads.filled {
		if !n.slow && !c.clogged(n) {
			total += n.buffered
		}
	}
	return total
}

// measureUplink takes a sample whenever the send buffers held busyBytes for
// uplinkSampleMs: only a busy uplink shows its rate. Less than that is on its way
// for a round trip on any uplink. Where nothing drained there was no uplink.
func (c *Core) measureUplink() {
	u := &c.uploads
	if n := c.neighbour(u.trial.leafTo); n != nil {
		c.judge(n)
	}
	if c.careful() {
		c.restartMeasurement()
		c.findTaker()
	} else if c.waiting() < c.busyBytes() {
		c.restartMeasurement()
		c.hope()
	} else if elapsed := c.nowMs - u.sinceMs; elapsed >= uplinkSampleMs && u.drained > 0 {
		c.findSlow()
		u.sample(c.nowMs, elapsed)
		c.restartMeasurement()
		c.doubt()
	}
}

// findSlow marks neighbours that took less than a quarter of an equal share of what was
// sent while they had something to take: they read slowly, and the send buffers must
// not fill with what is for them.
func (c *Core) findSlow() {
	busy := int64(0)
	for _, n := range c.neighbours {
		if n.buffered > 0 || n.drained > 0 {
			busy++
		}
	}
	for _, n := range c.neighbours {
		n.slow = n.buffered > 0 && n.filledMs <= c.uploads.sinceMs && n.drained*busy*4 < c.uploads.drained
	}
}

// raiseUplink lets an estimate that has become too low recover: buffers that ran
// empty early are a lower bound. An uplink believed slow is never asked for enough
// to be busy long.
func (c *Core) raiseUplink() {
	u := &c.uploads
	elapsed := max(c.nowMs-u.sinceMs, TickMs) // the transport takes the first leaf in no time
	if u.rate > 0 && u.drained*1000/elapsed > u.rate && !c.careful() && c.waiting() == 0 {
		u.sample(c.nowMs, elapsed)
		c.restartMeasurement()
	}
}

func (c *Core) restartMeasurement() {
	c.uploads.sinceMs = c.nowMs
	if c.uploads.drained == 0 {
		return // nor has any neighbour
	}
	c.uploads.drained = 0
	for _, n := range c.neighbours {
		n.drained = 0
	}
}

// crawls tells that our uplink is known to be so slow that large pieces, or any, would
// always come too late.
func (c *Core) crawls() bool {
	return c.uploads.rate > 0 && c.uploads.rate*2*c.cfg.QueueMs < 4*leafSize*1000
}

// busyBytes is what must wait all the time for the uplink to count as busy.
func (c *Core) busyBytes() int64 {
	if c.crawls() {
		return crawlBusyBytes
	}
	return uplinkBusyBytes
}

// hope raises an estimate by which we offer nothing, and so are asked for nothing and
// measure nothing, until it is tried again.
func (c *Core) hope() {
	u := &c.uploads
	if c.crawls() && c.nowMs-u.sampledMs >= uplinkHopeMs {
		u.rate += u.rate / 8
		u.sampledMs = c.nowMs
	}
}

func (u *uploads) sample(nowMs, elapsedMs int64) {
	u.sampledMs = nowMs
	sample := max(min(u.drained*1000/elapsedMs, maxRate), minRate)
	if u.rate == 0 {
		u.rate = sample
	}
	u.rate = (u.rate*3 + sample) / 4
}
