package sched

import (
	"math"
	"math/bits"
)

// This file asks the CDN: at once for what is our duty, late for what nobody
// else brings.

// cdn is what is known of the CDN and what is under way.
type cdn struct {
	leafUs    int64   // estimated time for one leaf, µs
	measured  bool    // at least once
	waitMs    int64   // to the first byte, estimated
	received  int64   // bytes in all
	started   []start // the requests under way
	failures  int32   // in a row
	blockedMs int64   // nothing is fetched before then
}

// start is when a request began, in bytes that had come from the CDN.
type start struct {
	object, first int32
	received      int64
}

// ended forgets a request and tells how many bytes all requests brought during it: they
// share the line, and none alone shows what it carries.
func (d *cdn) ended(e *Event) int64 {
	for i, s := range d.started {
		if s.object == e.Object && s.first == e.Leaf {
			d.started = append(d.started[:i], d.started[i+1:]...)
			return max(d.received-s.received, e.Value)
		}
	}
	d.started = d.started[1:] // the shell named another leaf: bounded all the same
	return e.Value
}

// fetch starts CDN requests for runs of leaves that are due there.
func (c *Core) fetch() {
	if c.nowMs < c.quietMs || c.cdn.blockedMs > c.nowMs || len(c.cdn.started) >= c.cfg.MaxFetches || c.allQuiet() {
		return
	}
	c.startBudget()
	for _, o := range c.wanted {
		if len(c.cdn.started) >= c.cfg.MaxFetches || !c.budgetFor(o) {
			return
		}
		hardMs := c.hardDeadlineMs(o)
		if o.fetchBlockedMs > c.nowMs || c.nowMs < c.quietUntilMs(o, hardMs) {
			continue
		}
		c.fetchObject(o, hardMs)
	}
}

// allQuiet tells that nothing can be due at the CDN, the usual case, and notes until when:
// what makes anything due earlier sets quietMs back.
func (c *Core) allQuiet() bool {
	c.quietMs = math.MaxInt64
	for _, o := range c.wanted {
		c.quietMs = min(c.quietMs, max(o.fetchBlockedMs, c.quietUntilMs(o, c.hardDeadlineMs(o))))
	}
	return c.nowMs < c.quietMs
}

// quietUntilMs is until when nothing of an object can be due at the CDN: nothing open is
// our duty, and the earliest soft deadline that anybody could draw has not come.
func (c *Core) quietUntilMs(o *object, hardMs int64) int64 {
	if len(c.neighbours) == 0 {
		return 0
	}
	earliestMs := hardMs - c.spreadMs(o, hardMs)
	duty, acting, standing := o.duty(), o.acting(), o.standing()
	for w, open := range o.open() {
		if open&(duty[w]|acting[w]) != 0 {
			return 0
		}
		if open&standing[w] != 0 {
			earliestMs = min(earliestMs, c.standBackMs(o, hardMs))
		}
	}
	return earliestMs
}

// fetchObject fetches what is due, leaves in a row by one request.
func (c *Core) fetchObject(o *object, hardMs int64) {
	first, last := int32(-1), int32(-1)
	for i := int32(0); i < o.pieces; i++ {
		missing := o.piece[i].missing
		if missing != 0 && (!c.affords(o) || !c.dueAtCDN(o, i, hardMs)) {
			missing = 0
		}
		from := i*o.each + int32(bits.TrailingZeros8(missing))
		if first >= 0 && from != last+1 {
			if c.startFetch(o, first, last); len(c.cdn.started) >= c.cfg.MaxFetches {
				return
			}
			first = -1
		}
		if missing == 0 {
			continue
		}
		c.spend(o)
		if c.nowMs < hardMs {
			c.rescued(o, i)
		}
		if first < 0 {
			first = from
		}
		// What lies behind a gap in a piece is fetched when this request has ended.
		last = from + int32(bits.TrailingZeros8(^(missing >> (from - i*o.each)))) - 1
	}
	if first >= 0 {
		c.startFetch(o, first, last)
	}
}

// hardDeadlineMs is the last moment at which fetching all that is missing of an object
// from the CDN still meets its deadline, also if the line carries a fifth less for it
// than it did, because neighbours use it too.
func (c *Core) hardDeadlineMs(o *object) int64 {
	return o.deadlineMs - c.marginMs(o) - c.waitMs(o) - int64(o.missing)*c.cdn.leafUs*5/4000
}

// waitMs is the CDN's wait as far as there is time for it: where that is short, to count on the worst wait of late would be to
// ask for everything at once, and so to make the next waits longer.
func (c *Core) waitMs(o *object) int64 {
	return min(c.cdn.waitMs, max((o.deadlineMs-o.addedMs)/waitShare, 0))
}

// marginMs is what the estimates may be wrong by: less where there is less time.
func (c *Core) marginMs(o *object) int64 {
	return min(c.cfg.MarginMs, max((o.deadlineMs-o.addedMs)/marginShare, 0))
}

// lastDueMs is the latest delivery that may be waited for: if it fails to come,
// half of the margin is left to fetch it from the CDN.
func (c *Core) lastDueMs(o *object, hardMs int64) int64 { return hardMs + c.marginMs(o)/2 - hedgeMs }

func (c *Core) dueAtCDN(o *object, i int32, hardMs int64) bool {
	p := &o.piece[i]
	switch {
	case p.from == fromCDN:
		return false
	case p.from != nobody:
		// On its way from a neighbour: one hedge, when it is overdue or cannot be
		// waited for.
		return c.nowMs >= hardMs && (p.dueMs+hedgeMs <= c.nowMs || p.dueMs > c.lastDueMs(o, hardMs))
	case c.nowMs >= hardMs:
		return true
	case o.duty().has(i):
		return true // whoever holds it has no room for us: pull was here before
	case o.holders[i] > 0:
		return false // pull will find a neighbour with room
	case c.nowMs < p.comingMs:
		return false // it will soon be announced
	case o.acting().has(i):
		return true
	case len(c.neighbours) == 0:
		// As any player does: one object after the other, as soon as it is there.
		return o == c.nextUp() && c.nowMs >= c.startMs+c.cfg.LonelyGraceMs || c.nowMs >= c.softDeadlineMs(o, i, hardMs)
	}
	return c.nowMs >= c.softDeadlineMs(o, i, hardMs)
}

// nextUp is the object that is due first of those that the CDN is not known to lack.
func (c *Core) nextUp() *object {
	for _, o := range c.wanted {
		if o.fetchBlockedMs <= c.nowMs {
			return o
		}
	}
	return nil
}

// softDeadlineMs is when this viewer, of all that lack a stripe, rescues it if
// nobody near it holds it. It differs from viewer to viewer: the first to rescue
// says so, and the others need not.
func (c *Core) softDeadlineMs(o *object, i int32, hardMs int64) int64 {
	if o.standing().has(i) {
		return c.standBackMs(o, hardMs)
	}
	stripe := uint32(Stripe(i, o.pieces, o.sequence))
	h := mix32(mix32(c.cfg.Seed^uint32(o.sequence)) ^ stripe)
	return hardMs - int64(h)*c.spreadMs(o, hardMs)>>32 // a share of the spread: it moves as the hard deadline moves, and does not jump
}

// spreadMs is how long before the hard deadline the first rescuers begin.
func (c *Core) spreadMs(o *object, hardMs int64) int64 {
	spreadMs := max(min(c.cfg.StaggerMs, (hardMs-o.addedMs)/staggerShare), 0)
	if c.sated(o.rendition) {
		spreadMs /= satedShare
	}
	return spreadMs
}

func (c *Core) startFetch(o *object, first, last int32) {
	from, _ := o.pieceOf(first)
	to, _ := o.pieceOf(last)
	for i := from; i <= to; i++ {
		if o.piece[i].from >= 0 {
			c.cancelPull(o, i)
		}
		o.piece[i].from = fromCDN
		c.pending(o, i)
	}
	c.mayAsk() // while the CDN is busy neighbours may take longer
	c.cdn.started = append(c.cdn.started, start{object: o.id, first: first, received: c.cdn.received})
	c.do(Action{Kind: Fetch, Object: o.id, Leaf: first, Last: last})
	c.announceComing(o, from, to)
}

// fetchEnded books the end of a CDN request, also of one for an object that is
// gone by now.
func (c *Core) fetchEnded(e *Event) {
	if len(c.cdn.started) == 0 {
		return // nothing was asked for
	}
	c.mayAsk()
	c.quietMs = 0
	meanwhile := c.cdn.ended(e)
	o := c.object(e.Object)
	if o != nil {
		for leaf := max(e.Leaf, 0); leaf <= e.Last && leaf < o.leaves; leaf += o.each - leaf%o.each {
			if i, _ := o.pieceOf(leaf); o.piece[i].from == fromCDN {
				c.release(o, i)
			}
		}
	}
	if e.Kind == FetchFailed {
		c.fetchFailed(o, e.Value)
		return
	}
	c.cdn.failures = 0
	if o != nil {
		o.fetchFailures = 0
	}
	elapsed := max(e.ElapsedMs, 1)
	if e.Value >= cdnSampleBytes {
		// A wait is not longer than the whole request; who makes only large ones would not learn it otherwise.
		c.cdn.waitMs = min(c.cdn.waitMs, (c.cdn.waitMs*3+elapsed)/4)
		tookUs := (elapsed - min(c.cdn.waitMs, elapsed/2)) * 1000 * leafSize / meanwhile
		if c.cdn.measured { // before, it was a guess
			tookUs = (c.cdn.leafUs*3 + tookUs) / 4
		}
		c.cdn.measured = true
		c.cdn.leafUs = max(min(tookUs, maxLeafUs), minLeafUs)
	} else {
		wait := max(elapsed-meanwhile*c.cdn.leafUs/(leafSize*1000), 0)
		c.cdn.waitMs = min(max((c.cdn.waitMs*7+wait)/8, wait), cdnWaitMaxMs) // up at once, down slowly
	}
}

// fetchFailed backs off: from the object if the CDN answered that it will not
// give it, else from the CDN as a whole.
func (c *Core) fetchFailed(o *object, status int64) {
	if status >= 400 && status < 500 {
		if o != nil && o.fetchBlockedMs <= c.nowMs {
			o.fetchBlockedMs = c.nowMs + int64(cdnBackoffMs)<<min(o.fetchFailures, objectBackoffDoublings)
			o.fetchFailures++
		}
		return
	}
	if c.cdn.blockedMs <= c.nowMs { // requests that fail together are one failure
		c.cdn.blockedMs = c.nowMs + int64(cdnBackoffMs)<<min(c.cdn.failures, cdnBackoffDoublings)
		c.cdn.failures++
	}
}
