package sched

// This file finds out with single leaves whether an uplink of which nothing is known
// carries anything in time. On one that does not, a leaf holds up all that we ask and
// acknowledge for seconds, so there must not be many before that is known.

// trial is the leaf that shows it.
type trial struct {
	leafTo  int32 // who is sent it; nobody: none is on its way
	last    int32 // who was sent it last
	bytes   int64
	sinceMs int64 // or when the last one was through
	slow    int32 // leaves in a row that took too long
	lost    int32 // leaves in a row of which nothing arrived

	passed bool  // the last one was through in time
	failed int32 // times in a row
	with   int32 // the only one who hears what we hold, so that it asks
	withMs int64 // since when
}

// silent tells that our uplink is known to carry no leaf in time: we offer nothing.
func (c *Core) silent() bool { return c.uploads.rate > 0 && c.uplink() < c.least() }

// least is the uplink that just carries a leaf in time.
func (c *Core) least() int64 { return leafSize*1000/(2*c.cfg.QueueMs) + 1 }

// PassesOn tells whether neighbours get anything from us. A tracker gives no duty to who
// passes nothing on.
func (c *Core) PassesOn() bool { return !c.cfg.NoUpload && !c.silent() }

// Useful tells that a duty would be of use: our uplink has carried a leaf in time. Who was
// asked for nothing for a while has the benefit of the doubt, because without a duty there
// may never be anything to ask for: of two viewers one would fetch all.
func (c *Core) Useful() bool {
	return !c.careful() || !c.doubtful() && c.nowMs-c.startMs >= untriedMs
}

// careful tells that the uplink has not shown that it carries a leaf in time, or has
// shown that it does not.
func (c *Core) careful() bool {
	return !c.uploads.trial.passed && c.uploads.rate <= c.least()
}

// doubtful tells that the uplink has shown that it is slow at least once.
func (c *Core) doubtful() bool {
	t := &c.uploads.trial
	return c.careful() && (c.uploads.rate > 0 || t.slow+t.lost > 0 || t.leafTo != nobody && c.nowMs-t.sinceMs > c.cfg.ProgressMs)
}

// starting tells that we have only begun, and what we are to play is late: the line is
// for that alone.
func (c *Core) starting() bool {
	if !c.careful() || c.nowMs-c.startMs >= startMs {
		return false
	}
	next := c.nextUp()
	return next != nil && c.nowMs >= c.hardDeadlineMs(next)
}

// mayTry tells whether a leaf may be sent while we are careful: one at a time, with a
// pause after a slow one.
func (c *Core) mayTry() bool {
	t := &c.uploads.trial
	return t.leafTo == nobody && (t.slow == 0 || c.nowMs-t.sinceMs >= c.cfg.ProgressMs) && !c.starting()
}

// doubt has leaves go one by one again where a measurement says that the uplink carries
// none in time: it may have been the receivers' fault.
func (c *Core) doubt() {
	if u := &c.uploads; u.rate < c.least() && u.trial.failed == 0 {
		u.rate, u.trial.passed = c.least(), false
	}
}

func (t *trial) begin(n *neighbour, bytes, nowMs int64) {
	t.leafTo, t.last, t.bytes, t.sinceMs = n.id, n.id, bytes, nowMs
}

// seen tells that a neighbour has shown what it can: it is another's turn.
func (t *trial) seen(n *neighbour, neighbours int) bool {
	return t.slow+t.lost > 0 && t.last == n.id && neighbours > 1
}

// judge looks whether the leaf is through.
func (c *Core) judge(n *neighbour) {
	t := &c.uploads.trial
	took := c.nowMs - t.sinceMs
	if n.id != t.leafTo || n.buffered > 0 && took < trialPatience*c.cfg.ProgressMs {
		return
	}
	arrived := t.bytes - n.buffered
	t.leafTo, t.sinceMs = nobody, c.nowMs
	switch {
	case arrived <= 0: // the neighbour is dead, unless the next ones look dead too
		if t.lost++; t.lost >= trialsLost {
			c.fail(minRate)
		}
	case took > c.cfg.ProgressMs: // the neighbour may be slow, unless the next one is, too
		if t.slow++; t.slow >= trialsSlow || c.silent() {
			c.fail(arrived * 1000 / took)
		}
	case t.bytes >= leafSize/2: // less is too little to tell
		if c.uploads.rate > 0 {
			c.uploads.rate = min(max(arrived*1000/max(took, 1), c.least()), maxRate)
		}
		*t = trial{leafTo: nobody, with: nobody, passed: true}
		c.announceAll()
	}
}

// announceAll has those neighbours hear what we hold who have not.
func (c *Core) announceAll() {
	for _, o := range c.objects {
		for _, n := range c.neighbours {
			if !o.told[n.seat] {
				c.announceTo(n, o)
			}
		}
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

// findTaker lets one neighbour after the other hear what we hold, as long as our uplink is
// doubtful, until one asks for it. After trials that failed it waits: lines get better, or
// were busy with something else.
func (c *Core) findTaker() {
	u := &c.uploads
	t := &u.trial
	if !c.doubtful() || t.leafTo != nobody || len(u.queue) > 0 || len(c.neighbours) == 0 ||
		t.with != nobody && c.nowMs-t.withMs < c.cfg.ProgressMs ||
		c.silent() && c.nowMs-u.sampledMs < trialAgainMs<<min(2*t.failed, trialDoublings) {
		return
	}
	at := 0
	for at < len(c.neighbours) && c.neighbours[at].id <= t.with {
		at++
	}
	n := c.neighbours[at%len(c.neighbours)]
	t.with, t.withMs = n.id, c.nowMs
	for i := max(len(c.objects)-trialObjects, 0); i < len(c.objects); i++ {
		if !c.objects[i].told[n.seat] {
			c.announceTo(n, c.objects[i])
		}
	}
}
