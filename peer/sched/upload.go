package sched

// This file serves neighbours: what to announce, whom to serve next, and when
// to say no because it could not arrive in time.

type upload struct {
	n        *neighbour
	object   int32
	leaf     int32
	bytes    int64
	queuedMs int64
}

// uploads is the queue of requests to serve, first come first served, and what
// is known of the uplink that serves it.
type uploads struct {
	queue []upload
	bytes int64 // in queue

	rate      int64 // bytes/s, estimated; 0: never saturated, so not known
	sinceMs   int64 // start of the running measurement
	drained   int64 // bytes drained in it
	allowance int64 // bytes that the configured cap still allows
	allowedMs int64 // when allowance was last topped up
}

// UplinkBytesPerSec is the measured uplink, 0 while it was never saturated.
func (c *Core) UplinkBytesPerSec() int64 { return c.uploads.rate }

func (c *Core) requested(o *object, n *neighbour, leaf int32) {
	switch {
	case c.cfg.NoUpload || !o.has(leaf):
		c.do(Action{Kind: SendRefuse, Neighbour: n.id, Object: o.id, Leaf: leaf, Reason: NotHeld})
	case c.uploads.queuedFor(n, o.id, leaf): // a refusal would be a lie: it will be sent
	case n.queued >= maxQueuedEach:
		if n.overAsked++; n.overAsked >= askStrikes {
			c.drop(n, TooManyAsked)
			return
		}
		c.refuse(n, o.id, leaf)
	case len(c.uploads.queue) >= maxQueue || c.uploads.bytes+c.waiting() > c.uplink()*c.cfg.QueueMs/1000:
		c.refuse(n, o.id, leaf)
	default:
		n.queued++
		u := upload{n, o.id, leaf, o.leafBytes(leaf), c.nowMs}
		c.uploads.queue = append(c.uploads.queue, u)
		c.uploads.bytes += u.bytes
	}
}

func (c *Core) refuse(n *neighbour, object, leaf int32) {
	c.do(Action{Kind: SendRefuse, Neighbour: n.id, Object: object, Leaf: leaf, Reason: Busy})
}

// uplink is the estimate used for decisions: measured, else assumed, never
// above the cap.
func (c *Core) uplink() int64 {
	rate := c.uploads.rate
	if rate == 0 {
		rate = assumedUplink
	}
	if c.cfg.UploadBytesPerSec > 0 {
		rate = min(rate, c.cfg.UploadBytesPerSec)
	}
	return rate
}

// upload hands leaves to the transport, but never more than it will send within
// about bufferMs: what waits here can still be cancelled or refused.
func (c *Core) upload() {
	u := &c.uploads
	if len(u.queue) == 0 {
		return
	}
	limit := int64(bufferUnknown)
	if u.rate > 0 {
		limit = max(c.uplink()*bufferMs/1000, bufferMin)
	}
	total := c.waiting()
	c.topUpAllowance()
	kept := u.queue[:0]
	for _, q := range u.queue {
		switch {
		case c.nowMs-q.queuedMs > staleUploadMs:
			u.bytes -= q.bytes
			q.n.queued--
			c.refuse(q.n, q.object, q.leaf)
		case c.clogged(q.n) || total+q.bytes > limit && total > 0 || !c.allowed(q.bytes):
			kept = append(kept, q)
		default:
			u.bytes -= q.bytes
			q.n.queued--
			c.buffered(q.n, q.n.buffered+q.bytes)
			total += q.bytes
			c.do(Action{Kind: SendLeaf, Neighbour: q.n.id, Object: q.object, Leaf: q.leaf})
		}
	}
	u.queue = kept
}

// topUpAllowance and allowed are a token bucket of one second at the cap.
func (c *Core) topUpAllowance() {
	u, limit := &c.uploads, c.cfg.UploadBytesPerSec
	if limit > 0 {
		elapsed := min(c.nowMs-u.allowedMs, 1000) // at first allowedMs is 0 and nowMs an epoch
		u.allowance = min(u.allowance+elapsed*limit/1000, max(limit, leafSize))
		u.allowedMs = c.nowMs
	}
}

func (c *Core) allowed(bytes int64) bool {
	if c.cfg.UploadBytesPerSec <= 0 {
		return true
	}
	if c.uploads.allowance < bytes {
		return false
	}
	c.uploads.allowance -= bytes
	return true
}

// buffered books how much the transport still holds for a neighbour.
func (c *Core) buffered(n *neighbour, bytes int64) {
	u := &c.uploads
	if c.waiting() == 0 {
		u.sinceMs, u.drained = c.nowMs, 0
	}
	drained := n.buffered - max(bytes, 0)
	if drained > 0 || n.buffered == 0 {
		n.drainedMs = c.nowMs
	}
	n.buffered -= drained
	if drained > 0 {
		u.drained += drained
		c.raiseUplink()
	}
}

// clogged tells whether a neighbour takes nothing any more: it died, or does not
// want to read. It must not hold up the others, nor speak for our uplink.
func (c *Core) clogged(n *neighbour) bool {
	return n.buffered > 0 && c.nowMs-n.drainedMs >= c.cfg.ProgressMs
}

// waiting is what the send buffers that move hold in all.
func (c *Core) waiting() int64 {
	total := int64(0)
	for _, n := range c.neighbours {
		if !c.clogged(n) {
			total += n.buffered
		}
	}
	return total
}

// measureUplink takes a sample whenever the send buffers held uplinkBusyBytes for
// uplinkSampleMs: only a busy uplink shows its rate. Less than that is on its way
// for a round trip on any uplink. Where nothing drained there was no uplink.
func (c *Core) measureUplink() {
	u := &c.uploads
	if c.waiting() < uplinkBusyBytes {
		u.sinceMs, u.drained = c.nowMs, 0
	} else if elapsed := c.nowMs - u.sinceMs; elapsed >= uplinkSampleMs && u.drained > 0 {
		u.sample(c.nowMs, elapsed)
	}
}

// raiseUplink lets an estimate that has become too low recover: buffers that ran
// empty early are a lower bound. An uplink believed slow is never asked for enough
// to be busy long.
func (c *Core) raiseUplink() {
	u := &c.uploads
	elapsed := max(c.nowMs-u.sinceMs, TickMs) // the transport takes the first leaf in no time
	if c.waiting() == 0 && u.rate > 0 && u.drained*1000/elapsed > u.rate {
		u.sample(c.nowMs, elapsed)
	}
}

func (u *uploads) sample(nowMs, elapsedMs int64) {
	sample := max(min(u.drained*1000/elapsedMs, maxRate), minRate)
	if u.rate == 0 {
		u.rate = sample
	}
	u.rate = (u.rate*3 + sample) / 4
	u.sinceMs, u.drained = nowMs, 0
}

func (u *uploads) queuedFor(n *neighbour, object, leaf int32) bool {
	for i := range u.queue {
		if u.queue[i].n == n && u.queue[i].object == object && u.queue[i].leaf == leaf {
			return true
		}
	}
	return false
}

func (u *uploads) cancel(n *neighbour, object, leaf int32) {
	u.filter(func(q *upload) bool { return q.n != n || q.object != object || q.leaf != leaf })
}

func (u *uploads) removeNeighbour(n *neighbour) {
	u.filter(func(q *upload) bool { return q.n != n })
}

func (u *uploads) removeObject(object int32) {
	u.filter(func(q *upload) bool { return q.object != object })
}

func (u *uploads) filter(keep func(*upload) bool) {
	kept := u.queue[:0]
	for i := range u.queue {
		q := &u.queue[i]
		if keep(q) {
			kept = append(kept, *q)
			continue
		}
		u.bytes -= q.bytes
		q.n.queued--
	}
	u.queue = kept
}

// announce tells neighbours what we gained, gathered over GainIntervalMs so that
// a burst of leaves is one message.
func (c *Core) announce(tick bool) {
	if c.cfg.NoUpload {
		return
	}
	for _, o := range c.objects {
		if o == nil || len(o.fresh) == 0 {
			continue
		}
		if !tick && c.nowMs-o.lastGainMs < c.cfg.GainIntervalMs {
			continue
		}
		o.lastGainMs = c.nowMs
		for _, n := range c.neighbours {
			if !n.announced[o.slot] {
				c.announceTo(n, o)
				continue
			}
			for _, leaf := range o.fresh {
				if !n.holdsLeaf(o, leaf) {
					c.do(Action{Kind: SendGain, Neighbour: n.id, Object: o.id, Leaf: leaf})
				}
			}
		}
		o.fresh = o.fresh[:0]
	}
}

func (c *Core) announceTo(n *neighbour, o *object) {
	if o.missing < o.leaves && !c.cfg.NoUpload {
		n.announced[o.slot] = true
		c.do(Action{Kind: SendHave, Neighbour: n.id, Object: o.id})
	}
}
