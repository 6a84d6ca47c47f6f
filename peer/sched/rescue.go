package sched

// This file asks the CDN: at once for what is our duty, late for what nobody
// else brings.

// cdn is what is known of the CDN and what is under way.
type cdn struct {
	rate      int64 // bytes/s, estimated
	waitMs    int64 // to the first byte, estimated
	fetches   int   // under way
	failures  int32 // in a row
	blockedMs int64 // nothing is fetched before then
}

// fetch starts CDN requests for runs of leaves that are due there.
func (c *Core) fetch() {
	if c.cdn.blockedMs > c.nowMs {
		return
	}
	for _, o := range c.wanted {
		if c.cdn.fetches >= c.cfg.MaxFetches || c.mustWait(o) {
			return
		}
		hardMs := c.hardDeadlineMs(o)
		if o.open == 0 && c.nowMs < hardMs || o.fetchBlockedMs > c.nowMs {
			continue // all is under way, or the CDN just failed to give it
		}
		for leaf := int32(0); leaf < o.leaves && c.cdn.fetches < c.cfg.MaxFetches; leaf++ {
			first := leaf
			for leaf < o.leaves && c.dueAtCDN(o, leaf, hardMs) {
				leaf++
			}
			if leaf > first {
				c.startFetch(o, first, leaf-1)
			}
		}
	}
}

// mustWait tells that an object is not to be asked for yet, because the one that is
// due first is past its hard deadline and the CDN can give it: then the whole
// downlink belongs to that one.
func (c *Core) mustWait(o *object) bool {
	first := c.wanted[0]
	return o.deadlineMs > first.deadlineMs && c.hardDeadlineMs(first) <= c.nowMs &&
		first.fetchBlockedMs <= c.nowMs && c.cdn.blockedMs <= c.nowMs
}

// hardDeadlineMs is the last moment at which fetching all that is missing of an
// object from the CDN still meets its deadline.
func (c *Core) hardDeadlineMs(o *object) int64 {
	bytes := int64(o.missing) * leafSize
	return o.deadlineMs - c.cfg.MarginMs - c.cdn.waitMs - bytes*1000/c.cdn.rate
}

// lastDueMs is the latest delivery that may be waited for: if it fails to come,
// half of the margin is left to fetch it from the CDN.
func (c *Core) lastDueMs(hardMs int64) int64 { return hardMs + c.cfg.MarginMs/2 - hedgeMs }

func (c *Core) dueAtCDN(o *object, leaf int32, hardMs int64) bool {
	s := &o.leaf[leaf]
	switch {
	case o.has(leaf) || s.from == fromCDN:
		return false
	case s.from != nobody:
		// On its way from a neighbour: one hedge, when it is overdue or cannot be
		// waited for.
		return c.nowMs >= hardMs && (s.dueMs+hedgeMs <= c.nowMs || s.dueMs > c.lastDueMs(hardMs))
	case c.nowMs >= hardMs:
		return true
	case c.onDuty(o, leaf):
		return true // whoever holds it has no room for us: pull was here before
	case o.holders[leaf] > 0:
		return false // pull will find a neighbour with room
	case len(c.neighbours) == 0:
		return c.nowMs >= min(c.startMs+c.cfg.LonelyGraceMs, c.softDeadlineMs(o, leaf, hardMs))
	}
	return c.nowMs >= c.softDeadlineMs(o, leaf, hardMs)
}

// softDeadlineMs is when this viewer, of all that lack a stripe, rescues it if
// nobody near it holds it. It differs from viewer to viewer: the first to rescue
// announces what it got, and the others need not.
func (c *Core) softDeadlineMs(o *object, leaf int32, hardMs int64) int64 {
	spread := min(c.cfg.StaggerMs, (hardMs-o.addedMs)/2)
	if spread <= 0 {
		return hardMs
	}
	stripe := uint32(Stripe(leaf, o.leaves, o.sequence))
	h := mix32(mix32(c.cfg.Seed^uint32(o.sequence)) ^ stripe)
	return hardMs - int64(h)*spread>>32 // a share of spread: it moves as the hard deadline moves, and does not jump
}

func (c *Core) startFetch(o *object, first, last int32) {
	for leaf := first; leaf <= last; leaf++ {
		if o.leaf[leaf].from >= 0 {
			c.cancelPull(o, leaf)
		}
		o.leaf[leaf].from = fromCDN
		o.open--
	}
	c.cdn.fetches++
	c.do(Action{Kind: Fetch, Object: o.id, Leaf: first, Last: last})
}

// fetchEnded books the end of a CDN request, also of one for an object that is
// gone by now.
func (c *Core) fetchEnded(e *Event) {
	if c.cdn.fetches == 0 {
		return // nothing was asked for
	}
	c.cdn.fetches--
	o := c.object(e.Object)
	if o != nil {
		for leaf := max(e.Leaf, 0); leaf <= e.Last && leaf < o.leaves; leaf++ {
			if o.leaf[leaf].from == fromCDN {
				c.release(o, leaf)
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
		c.cdn.rate = max(min((c.cdn.rate*3+e.Value*1000/elapsed)/4, maxRate), minRate)
	} else {
		c.cdn.waitMs = min((c.cdn.waitMs*3+elapsed)/4, cdnWaitMaxMs)
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
