package sched

import "math/bits"

// This file serves neighbours: whom to serve next, and when to say no because it
// could not arrive in time.

type upload struct {
	n        *neighbour
	o        *object
	piece    int32
	mask     uint8 // leaves still to be sent
	started  bool
	queuedMs int64
}

// uploads is the queue of requests to serve and what is known of the uplink that
// serves it.
type uploads struct {
	queue  []upload
	bytes  int64 // in queue
	parked int   // of queue, those that wait for a piece that is on its way to us

	filled    []*neighbour // whose send buffers are not empty, in no order
	rate      int64        // bytes/s, estimated; 0: never saturated, so not known
	sinceMs   int64        // start of the running measurement
	drained   int64        // bytes drained in it
	sampledMs int64        // when rate was estimated last
	served    int64        // what the neighbour had that was served last
	trial     trial
	allowance int64 // bytes that the cap still allows
	allowedMs int64 // when allowance was last topped up
}

// UplinkBytesPerSec is the measured uplink, 0 while it was never saturated.
func (c *Core) UplinkBytesPerSec() int64 { return c.uploads.rate }

// hasToSend tells that somebody waits for what is here.
func (c *Core) hasToSend() bool { return len(c.uploads.queue) > c.uploads.parked }

func (c *Core) requested(o *object, n *neighbour, i, wanted int32) {
	u, mask := &c.uploads, uint8(wanted)&o.all(i)
	queued := u.find(n, o, i)
	switch {
	case mask == 0:
	case c.cfg.NoUpload || !o.has(i) && !o.awaits(i):
		c.refuse(n, o, i, NotHeld)
	case queued != nil: // a refusal would be a lie: it will be sent
		u.bytes += o.bytes(i, mask&^queued.mask)
		queued.mask |= mask
	case u.bytesFor(n) >= maxWindow*leafSize:
		if n.overAsked++; n.overAsked >= askStrikes {
			c.drop(n, TooManyAsked)
			return
		}
		c.refuse(n, o, i, Busy)
	case !c.offersTo(n, o) || len(u.queue) >= maxQueue || u.bytes+c.waiting() > c.uplink()*c.cfg.QueueMs/1000:
		c.refuse(n, o, i, Busy)
	default:
		if n.queued++; n.queued == 1 {
			n.served = max(n.served, u.served) // no credit for having asked for nothing
		}
		if !o.has(i) {
			o.piece[i].parked++
			u.parked++
		}
		u.queue = append(u.queue, upload{n: n, o: o, piece: i, mask: mask, queuedMs: c.nowMs})
		u.bytes += o.bytes(i, mask)
	}
}

// awaits tells whether a request may wait here for a piece that is on its way from the
// CDN. What comes from a neighbour is not promised: chains of promises break.
func (o *object) awaits(i int32) bool {
	p := &o.piece[i]
	return p.from == fromCDN && p.parked < maxParked
}

func (c *Core) refuse(n *neighbour, o *object, i int32, reason RefuseReason) {
	c.do(Action{Kind: SendRefuse, Neighbour: n.id, Object: o.id, Piece: i, Reason: reason})
}

// uplink is the estimate used for decisions: measured, else assumed, never
// above the cap.
func (c *Core) uplink() int64 {
	u := &c.uploads
	rate := u.rate
	switch {
	case rate > 0:
	case u.trial.passed:
		rate = assumedUplink
	default:
		rate = hopedUplink
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
	c.refuseStale()
	c.topUpAllowance()
	if !c.hasToSend() {
		return
	}
	limit := int64(bufferUnknown)
	if u.rate > 0 {
		limit = max(c.uplink()*bufferMs/1000, c.busyBytes()+leafSize)
	}
	total := c.waiting()
	for len(u.queue) > 0 {
		if c.careful() && !c.mayTry() {
			return
		}
		at := c.nextUpload(limit)
		if at < 0 {
			return
		}
		q := &u.queue[at]
		leaf := q.piece*q.o.each + int32(bits.TrailingZeros8(q.mask))
		bytes := q.o.leafBytes(leaf)
		if total > 0 && total+bytes > limit || !c.allowed(bytes) {
			return
		}
		total += bytes
		c.sendLeaf(at, leaf, bytes)
	}
}

func (c *Core) sendLeaf(at int, leaf int32, bytes int64) {
	u := &c.uploads
	q := &u.queue[at]
	n := q.n
	c.do(Action{Kind: SendLeaf, Neighbour: n.id, Object: q.o.id, Leaf: leaf})
	if c.careful() {
		u.trial.begin(n, bytes, c.nowMs)
	}
	c.buffered(n, n.buffered+bytes)
	n.served += bytes
	u.served = max(u.served, n.served)
	u.bytes -= bytes
	q.started = true
	if q.mask &= q.mask - 1; q.mask == 0 {
		c.gain(q.o, n, q.piece) // soon
		n.queued--
		u.queue = append(u.queue[:at], u.queue[at+1:]...)
	}
}

// nextUpload is the place in the queue of what is to be sent next, −1 if nobody can
// take anything. A piece that was begun is finished, because only whole pieces travel
// on. Then comes what fewest hold, as far as we know, so that it spreads; of that, what
// the least served asked for, so that nobody takes another's share; then the oldest.
func (c *Core) nextUpload(limit int64) int {
	best, bestCopies := -1, int32(0)
	for i := range c.uploads.queue {
		q := &c.uploads.queue[i]
		if !q.o.has(q.piece) || c.heldUp(q.n, limit) {
			continue
		}
		if q.started {
			return i
		}
		copies := q.o.holders[q.piece]
		if best < 0 || copies < bestCopies ||
			copies == bestCopies && q.n.served < c.uploads.queue[best].n.served {
			best, bestCopies = i, copies
		}
	}
	return best
}

// heldUp tells whether a neighbour is to get nothing now: it takes nothing any more, or
// has its share of the send buffers while others wait. Who takes far less than the
// others has no more than one leaf there.
func (c *Core) heldUp(n *neighbour, limit int64) bool {
	t := &c.uploads.trial
	switch {
	case c.careful() && t.seen(n, len(c.neighbours)):
		return true
	case n.buffered == 0:
		return false
	case n.slow || c.clogged(n):
		return true
	}
	return int(n.queued) < len(c.uploads.queue) && n.buffered >= max(limit/2, 2*leafSize)
}

// refuseStale says no to what waited so long that it was asked elsewhere.
func (c *Core) refuseStale() {
	if c.nowMs-c.uploads.queue[0].queuedMs <= staleUploadMs { // the oldest
		return
	}
	c.uploads.filter(func(q *upload) bool {
		stale := c.nowMs-q.queuedMs > staleUploadMs
		if stale {
			c.refuse(q.n, q.o, q.piece, Busy)
		}
		return !stale
	})
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

func (u *uploads) find(n *neighbour, o *object, i int32) *upload {
	for at := range u.queue {
		if q := &u.queue[at]; q.piece == i && q.n == n && q.o == o {
			return q
		}
	}
	return nil
}

// bytesFor is what is queued for a neighbour.
func (u *uploads) bytesFor(n *neighbour) int64 {
	bytes := int64(0)
	for at := range u.queue {
		if q := &u.queue[at]; q.n == n {
			bytes += q.o.bytes(q.piece, q.mask)
		}
	}
	return bytes
}

func (u *uploads) filter(keep func(*upload) bool) {
	kept := u.queue[:0]
	for i := range u.queue {
		q := &u.queue[i]
		if keep(q) {
			kept = append(kept, *q)
			continue
		}
		u.bytes -= q.o.bytes(q.piece, q.mask)
		q.n.queued--
		if q.o.piece[q.piece].parked > 0 && !q.o.has(q.piece) {
			q.o.piece[q.piece].parked--
			u.parked--
		}
	}
	u.queue = kept
}

// unpark refuses what neighbours wait for and will not come.
func (c *Core) unpark(o *object, i int32) {
	c.uploads.filter(func(q *upload) bool {
		if q.o == o && q.piece == i {
			c.refuse(q.n, o, i, NotHeld)
			return false
		}
		return true
	})
}
