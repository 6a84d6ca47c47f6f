package sched

// This file finds out with one leaf whether an uplink of which nothing is known carries
// anything in time. On one that does not, a leaf holds up all that we ask and acknowledge
// for seconds, so there must not be many before that is known.

// trial is the leaf that shows it.
type trial struct {
	leafTo  int32 // who is sent it; nobody: none is on its way
	bytes   int64
	sinceMs int64
	lost    int32 // times in a row that nothing of it arrived

	passed bool  // the last one was through in time
	failed int32 // in a row
	with   int32 // who was told of something although we offer nothing, so that it asks
	withMs int64 // when
}

// silent tells that our uplink is known to carry no leaf in time: we offer nothing.
func (c *Core) silent() bool {
	return c.uploads.rate > 0 && leafSize*1000 > c.uplink()*2*c.cfg.QueueMs
}

// PassesOn tells whether neighbours get anything from us. A tracker gives no duty to who
// passes nothing on.
func (c *Core) PassesOn() bool { return !c.cfg.NoUpload && !c.silent() }

// careful tells that the uplink has not shown that it carries a leaf in time, or has
// shown that it does not.
func (c *Core) careful() bool {
	return !c.uploads.trial.passed && (c.uploads.rate == 0 || c.silent())
}

// mayTry tells whether a leaf may be sent while we are careful: one at a time, and as
// long as we are late ourselves only for who has waited long.
func (c *Core) mayTry() bool {
	u := &c.uploads
	if u.trial.leafTo != nobody {
		return false
	}
	next := c.nextUp()
	late := next != nil && c.nowMs >= c.hardDeadlineMs(next)
	return !late || c.nowMs-u.queue[0].queuedMs >= c.cfg.ProgressMs
}

func (t *trial) begin(n *neighbour, bytes, nowMs int64) {
	t.leafTo, t.bytes, t.sinceMs = n.id, bytes, nowMs
}

// judge looks whether the leaf is through.
func (c *Core) judge(n *neighbour) {
	t := &c.uploads.trial
	took := c.nowMs - t.sinceMs
	switch {
	case n.id != t.leafTo:
	case n.buffered > 0 && took < trialPatience*c.cfg.ProgressMs:
	case n.buffered >= t.bytes:
		// Nothing of it: the neighbour is dead, unless the next one looks dead too.
		t.leafTo = nobody
		if t.lost++; t.lost >= trialsLost {
			c.fail(minRate)
		}
	case t.bytes < leafSize/2:
		t.leafTo = nobody // too little to tell
	case took > 2*c.cfg.QueueMs:
		c.fail((t.bytes - n.buffered) * 1000 / took)
	default:
		if c.silent() {
			c.uploads.rate = 0
		}
		*t = trial{leafTo: nobody, with: nobody, passed: true}
	}
}

// fail books that the uplink is too slow to offer anything, and says no to all who wait.
func (c *Core) fail(rate int64) {
	u := &c.uploads
	u.trial = trial{leafTo: nobody, with: nobody, failed: u.trial.failed + 1}
	u.rate, u.sampledMs = min(max(rate, minRate), maxRate), c.nowMs
	u.filter(func(q *upload) bool {
		c.refuse(q.n, q.o, q.piece, Busy)
		return false
	})
}

// tryAgain tells one neighbour of the newest object that we hold something of, so that it
// asks for it: lines get better, or were busy with something else.
func (c *Core) tryAgain() {
	u := &c.uploads
	t := &u.trial
	if t.leafTo != nobody {
		return
	}
	if t.with != nobody && c.nowMs-t.withMs >= trialMs {
		t.with, u.sampledMs = nobody, c.nowMs // it did not ask
	}
	if t.with != nobody || len(c.neighbours) == 0 || c.nowMs-u.sampledMs < trialAgainMs<<min(t.failed, trialDoublings) {
		return
	}
	for i := len(c.objects) - 1; i >= 0; i-- {
		if o := c.objects[i]; o.lacking < o.pieces {
			n := c.neighbours[int(mix32(c.cfg.Seed^uint32(o.sequence))%uint32(len(c.neighbours)))]
			t.with, t.withMs = n.id, c.nowMs
			c.do(Action{Kind: SendHave, Neighbour: n.id, Object: o.id})
			return
		}
	}
}
