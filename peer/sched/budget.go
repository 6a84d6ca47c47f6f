package sched

// This file shares out the downlink: what is due later must not take the line from what
// is due first. A viewer that asked nobody but the CDN, for one object after the other,
// would be in time; what is asked beyond that must leave it so.

// budget is what may still be asked for, as time that our line needs for it.
type budget struct {
	us         int64 // for objects due at deadlineMs or later
	afterUs    int64 // likewise, for those due later
	deadlineMs int64
	missingUs  int64 // of the objects so far
	onWayUs    int64 // of the objects to come
}

const unlimitedUs = 1 << 50

// startBudget begins a pass over the wanted objects.
func (c *Core) startBudget() {
	c.budget = budget{us: unlimitedUs, afterUs: unlimitedUs}
	for _, o := range c.wanted {
		c.budget.onWayUs += int64(o.onWay) * c.cdn.leafUs
	}
}

// budgetFor goes on to the next wanted object and tells whether it may be asked for at
// all. The objects before it can be had from the CDN in time if the line carries all
// that they miss and what is on its way of later ones; the rest is what may be asked.
func (c *Core) budgetFor(o *object) bool {
	b := &c.budget
	if o.deadlineMs > b.deadlineMs {
		after := b.afterUs
		if int64(o.leaves)*c.cdn.leafUs*ampleHalves <= (o.deadlineMs-b.deadlineMs)*2000 {
			// The line has room as long as a request for what is due first waits for an answer.
			after = max(after, (c.cdn.waitMs-usualWaitMs)*1000-b.missingUs-b.onWayUs)
		}
		b.us, b.deadlineMs = min(b.us, after), o.deadlineMs
	}
	b.missingUs += int64(o.missing) * c.cdn.leafUs
	b.onWayUs -= int64(o.onWay) * c.cdn.leafUs
	if o.fetchBlockedMs <= c.nowMs && c.cdn.blockedMs <= c.nowMs {
		spareMs := min(o.deadlineMs-c.marginMs(o)-c.waitMs(o)-c.nowMs, unlimitedUs/1000)
		b.afterUs = min(b.afterUs, spareMs*1000-b.missingUs-b.onWayUs)
	}
	return c.affords(o)
}

// affords tells whether a piece of the object may be asked for.
func (c *Core) affords(o *object) bool { return c.budget.us >= int64(o.each)*c.cdn.leafUs }

// spend books that one is asked for.
func (c *Core) spend(o *object) { c.budget.us -= int64(o.each) * c.cdn.leafUs }
