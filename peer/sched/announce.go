package sched

import "slices"

// This file tells neighbours what we hold and what is on its way to us.

// offers tells whether we announce pieces of an object: not without consent, and not
// while our uplink is so slow that a piece of it would always come too late.
func (c *Core) offers(o *object) bool {
	return !c.cfg.NoUpload && int64(o.each)*leafSize*1000 <= c.uplink()*2*c.cfg.QueueMs
}

// offersTo tells whether we announce them to a neighbour: to one only, while it is
// doubtful whether our uplink is of use, because announcements are uplink, too.
func (c *Core) offersTo(n *neighbour, o *object) bool {
	switch {
	case c.starting():
		return false
	case c.doubtful():
		return n.id == c.uploads.trial.with && !c.cfg.NoUpload
	}
	return c.offers(o)
}

// introduce tells neighbours of new objects, and what we have of them, be it nothing. It comes before
// anything is fetched, because a HAVE replaces all that was said of an object, so also a COMING just before it. On a busy
// machine it waits until there is more to say.
func (c *Core) introduce() {
	for _, o := range c.added {
		if c.busyMs() > 0 {
			c.hasNews(o)
			continue
		}
		for _, n := range c.neighbours {
			if !o.told[n.seat] && !o.knows[n.seat] {
				c.announceTo(n, o)
			}
		}
	}
	c.added = c.added[:0]
}

// announce tells neighbours what we gained, gathered so that a burst of pieces is
// one message.
func (c *Core) announce() {
	if c.cfg.NoUpload {
		return
	}
	waiting := c.news[:0]
	for _, o := range c.news {
		if c.nowMs-o.lastGainMs < c.gatherMs(o) || c.nowMs-o.newsMs < c.easeMs(o) {
			waiting = append(waiting, o)
			continue
		}
		o.lastGainMs = c.nowMs
		for _, n := range c.neighbours {
			switch {
			case !c.offersTo(n, o):
				o.told[n.seat] = false // a HAVE makes up for it later
			case !o.told[n.seat]:
				c.announceTo(n, o)
			default:
				c.announceGains(n, o)
			}
		}
		clear(o.fresh())
		o.news = false
	}
	c.news = waiting
}

// hasNews notes that there is something to announce of an object.
func (c *Core) hasNews(o *object) {
	if o.news {
		return
	}
	o.news, o.newsMs = true, c.nowMs
	i := len(c.news)
	for i > 0 && c.news[i-1].born > o.born {
		i--
	}
	c.news = slices.Insert(c.news, i, o)
}

func (c *Core) announceGains(n *neighbour, o *object) {
	held, fresh := o.heldBy(n), o.fresh()
	for i := fresh.next(0); i >= 0; i = fresh.next(i + 1) {
		if !held.has(i) {
			c.do(Action{Kind: SendGain, Neighbour: n.id, Object: o.id, Piece: i})
		}
	}
}

func (c *Core) announceTo(n *neighbour, o *object) {
	if (o.lacking < o.pieces || o.deadlineMs > 0 && !o.knows[n.seat]) && c.offersTo(n, o) {
		o.told[n.seat] = true
		c.do(Action{Kind: SendHave, Neighbour: n.id, Object: o.id})
	}
}

// announceComing tells neighbours that pieces are on their way from the CDN, so that
// nobody near fetches them too.
func (c *Core) announceComing(o *object, first, last int32) {
	for _, n := range c.neighbours {
		if !c.offersTo(n, o) {
			continue
		}
		if !o.told[n.seat] {
			c.announceTo(n, o)
		}
		held, promised := o.heldBy(n), o.promisedBy(n)
		for i := first; i <= last; i++ {
			if !held.has(i) && !promised.has(i) {
				c.do(Action{Kind: SendComing, Neighbour: n.id, Object: o.id, Piece: i})
			}
		}
	}
}

// gatherMs is how long gains of an object are gathered: longer where there is time,
// because a message costs a viewer about as much as five packets of media.
func (c *Core) gatherMs(o *object) int64 {
	return min(max((o.deadlineMs-c.nowMs)/gatherShare, c.cfg.GainIntervalMs), gatherMaxMs)
}

// easeMs is how long the first gain waits for others: not at all where objects come late,
// some while where they have lately been complete long before they were needed, or where
// the machine is too busy for many messages; then a quarter of the time that is left at most,
// because each neighbour on the way to a viewer may wait as long.
func (c *Core) easeMs(o *object) int64 {
	easy := min(max(c.slackMs-easyMs, 0)/easeShare, easeMaxMs)
	return max(easy, min(c.busyMs(), (o.deadlineMs-c.nowMs)/busyShare))
}

// completed notes how much time an object leaves.
func (c *Core) completed(o *object) {
	if o.deadlineMs > 0 {
		c.slackMs = (3*c.slackMs + min(max(o.deadlineMs-c.nowMs, 0), slackMaxMs)) / 4
	}
}
