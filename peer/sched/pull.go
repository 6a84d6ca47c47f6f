package sched

import (
	"math"
	"math/bits"
	"slices"
)

// This file asks neighbours: which piece next, from whom, and what if it does
// not come.

// pull requests open pieces from neighbours that hold them, the object with the earliest
// deadline first, within it the rarest piece first.
func (c *Core) pull() {
	if c.nowMs < c.askMs {
		return
	}
	c.askMs = math.MaxInt64
	if !slices.ContainsFunc(c.wanted, (*object).askable) {
		return
	}
	c.roomy = c.roomy[:0]
	for _, n := range c.neighbours {
		if c.hasRoom(n, leafSize) {
			c.roomy = append(c.roomy, n)
		} else if n.blockedMs > c.nowMs {
			c.askMs = min(c.askMs, n.blockedMs)
		}
	}
	c.startBudget()
	for _, o := range c.wanted {
		if !c.budgetFor(o) || len(c.roomy) == 0 || c.lineFull() {
			return
		}
		c.pullObject(o)
		c.askInAdvance(o)
	}
}

// mayAsk notes that something changed after which somebody may be asked who could not be:
// a neighbour has room or something to give, or an object more time. What only passes
// time does is in askMs.
func (c *Core) mayAsk() { c.askMs = 0 }

// askInAdvance requests open pieces that nobody near holds from neighbours to which
// they are coming, at most once of each: they are sent the moment they are verified, and
// have waited for no announcement and no request. What we are to fetch ourselves is not
// asked for.
func (c *Core) askInAdvance(o *object) {
	turn := o.turn(c.cfg.Seed)
	c.order = c.order[:0]
	for w := range o.words {
		hoped := uint32(0)
		for _, n := range c.roomy {
			hoped |= o.hopedOf(n)[w]
		}
		for hoped &= o.open()[w] &^ o.duty()[w]; hoped != 0; hoped &= hoped - 1 {
			i := w<<5 + int32(bits.TrailingZeros32(hoped))
			if o.holders[i] == 0 && c.nowMs < o.piece[i].comingMs {
				c.order = append(c.order, (i-turn+o.pieces)%o.pieces)
			}
		}
	}
	slices.Sort(c.order)
	for _, key := range c.order {
		i := (key + turn) % o.pieces
		for _, n := range c.roomy {
			if hope := o.hopedOf(n); hope.has(i) && c.affords(o) && c.hasRoom(n, o.bytes(i, o.piece[i].missing)) {
				hope.remove(i)
				c.request(o, i, n)
				o.piece[i].advance = true
				o.piece[i].dueMs += advanceMs
				break
			}
		}
	}
}

func (c *Core) pullObject(o *object) {
	order := c.rarestFirst(o)
	if len(order) == 0 {
		return
	}
	withinMs := c.lastDueMs(o, c.hardDeadlineMs(o)) - c.nowMs
	if c.cdn.blockedMs > c.nowMs || len(c.cdn.started) >= c.cfg.MaxFetches {
		// Later only while the CDN cannot take it: otherwise fetch would take it back at once.
		withinMs = max(withinMs, c.cfg.ProgressMs-1)
	}
	turn := o.turn(c.cfg.Seed)
	for _, key := range order {
		i := (key&keyMask + turn) % o.pieces
		n := c.bestHolder(o, i, withinMs)
		if n == nil {
			continue
		}
		c.request(o, i, n)
		if c.lineFull() || !c.affords(o) {
			return
		}
		if !c.hasRoom(n, leafSize) {
			at := slices.Index(c.roomy, n)
			c.roomy = slices.Delete(c.roomy, at, at+1)
			if len(c.roomy) == 0 {
				return
			}
		}
	}
}

// Keys of rarestFirst: the number of holders above keyBits, the piece below.
const (
	keyBits = 10 // an object has at most 1024 pieces
	keyMask = 1<<keyBits - 1
)

// rarestFirst lists the open pieces that somebody with room holds, as keys that sort by
// the number of holders. Ties start at a different piece in every viewer, so that
// neighbours fetch different ones and have something to swap.
func (c *Core) rarestFirst(o *object) []int32 {
	c.order = c.order[:0]
	turn := o.turn(c.cfg.Seed)
	for w := range o.words {
		offered := uint32(0)
		for _, n := range c.roomy {
			offered |= o.heldBy(n)[w]
		}
		for offered &= o.open()[w]; offered != 0; offered &= offered - 1 {
			i := w<<5 + int32(bits.TrailingZeros32(offered))
			c.order = append(c.order, min(o.holders[i], manyHolders)<<keyBits|(i-turn+o.pieces)%o.pieces)
		}
	}
	slices.Sort(c.order)
	return c.order
}

// turn is the piece that a viewer begins with.
func (o *object) turn(seed uint32) int32 {
	return int32(mix32(seed^uint32(o.sequence)) % uint32(o.pieces))
}

// bestHolder is the neighbour expected to deliver a piece first, if any can in time;
// ties go to the lower id.
func (c *Core) bestHolder(o *object, i int32, withinMs int64) *neighbour {
	var best *neighbour
	bytes := o.bytes(i, o.piece[i].missing)
	for _, n := range c.roomy {
		if !o.heldBy(n).has(i) || !c.hasRoom(n, bytes) {
			continue
		}
		if eta := n.etaMs(bytes); eta <= withinMs {
			best, withinMs = n, eta-1
		}
	}
	return best
}

func (c *Core) request(o *object, i int32, n *neighbour) {
	p := &o.piece[i]
	bytes := o.bytes(i, p.missing)
	if n.inflight == 0 {
		n.progressMs = c.nowMs
	}
	p.from, p.owed = n.id, p.missing
	p.sentMs, p.dueMs = c.nowMs, c.nowMs+n.etaMs(bytes)
	c.pending(o, i)
	p.advance = false
	c.spend(o)
	c.owe(n, bytes)
	c.do(Action{Kind: SendRequest, Neighbour: n.id, Object: o.id, Piece: i, Mask: int32(p.missing)})
}

// lineFull tells that neighbours owe us as much as our line carries in a while, as far as
// the CDN has shown what it carries: what is urgent must not wait behind more.
func (c *Core) lineFull() bool {
	return c.cdn.measured && c.owed >= lineLeast && c.owed*c.cdn.leafUs >= c.cfg.PipelineMs*1000*leafSize
}

// owe books bytes that a neighbour owes us now.
func (c *Core) owe(n *neighbour, bytes int64) {
	c.mayAsk()
	n.inflight += bytes
	c.owed += bytes
}

// pending notes that a piece was asked for somewhere.
func (c *Core) pending(o *object, i int32) {
	o.open().remove(i)
	o.onWay += int32(bits.OnesCount8(o.piece[i].missing))
}

// release makes a pending piece open again (or merely no longer pending).
func (c *Core) release(o *object, i int32) {
	p := &o.piece[i]
	if n := c.neighbour(p.from); n != nil {
		c.owe(n, -o.bytes(i, p.owed))
	}
	if p.from != nobody {
		o.onWay -= int32(bits.OnesCount8(p.missing))
	}
	p.from, p.owed = nobody, 0
	if p.missing != 0 {
		o.open().add(i)
		c.mayAsk()
		c.quietMs = 0
		if p.parked > 0 {
			c.unpark(o, i)
		}
	}
}

// cancelPull takes a request to a neighbour back; leaves may be on their way already and
// are still welcome.
func (c *Core) cancelPull(o *object, i int32) {
	p := &o.piece[i]
	p.late, p.lateOwed = p.from, p.owed
	c.do(Action{Kind: SendCancel, Neighbour: p.from, Object: o.id, Piece: i})
	c.release(o, i)
}

func (c *Core) cancelPulls(o *object) {
	for i := range o.piece {
		if o.piece[i].from >= 0 {
			c.cancelPull(o, int32(i))
		}
	}
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
		c.learnPace(n, n.leafUs*2)
		c.setMute(n, true)
		if n.strikes >= stallStrikes {
			c.drop(n, Stalled)
		}
	}
}

func (c *Core) releasePastDue(n *neighbour) bool {
	found := false
	for _, o := range c.wanted {
		for i := range o.piece {
			p := &o.piece[i]
			if p.from == n.id && max(p.dueMs, p.sentMs+c.cfg.ProgressMs) <= c.nowMs {
				c.cancelPull(o, int32(i))
				found = true
			}
		}
	}
	return found
}

func (c *Core) refused(o *object, n *neighbour, i int32, reason RefuseReason) {
	if o.piece[i].from != n.id {
		return
	}
	c.release(o, i)
	switch reason {
	case NotHeld:
		if !o.heldBy(n).has(i) {
			return // it was asked in advance
		}
		c.notHeld(o, n, i)
		if n.lies++; n.lies >= lieStrikes {
			c.drop(n, Liar)
		}
	default:
		// Who can wait, waits longer: the others have less time.
		wait := min(max((c.hardDeadlineMs(o)-c.nowMs)/backoffShare, backoffLeastMs), c.cfg.BusyBackoffMs)
		if n.blockedMs <= c.nowMs { // not one of several answers to what was asked together
			n.refusals++
		}
		if n.refusals > busyStrikes {
			c.setMute(n, true) // always busy is as good as dead, and as easily said
			wait <<= min(n.refusals-busyStrikes, busyDoublings)
		}
		n.blockedMs = max(n.blockedMs, c.nowMs+wait)
	}
}

// verified books a leaf that is now in the store.
func (c *Core) verified(o *object, leaf, from int32) {
	i, bit := o.pieceOf(leaf)
	p := &o.piece[i]
	if p.missing&bit == 0 {
		return
	}
	p.missing &^= bit
	o.missing--
	c.mayAsk()
	if p.from != nobody {
		o.onWay--
	}
	if from == CDN {
		c.cdn.received += o.leafBytes(leaf)
	}
	if n := c.neighbour(from); n != nil {
		c.delivered(o, n, p, leaf, bit)
	}
	if p.missing != 0 {
		return
	}
	if from != CDN {
		c.resign(o, i)
	}
	if n := c.neighbour(from); n != nil {
		c.gain(o, n, i) // only whole pieces travel, so it need not be told of this one
	}
	if p.from >= 0 && p.owed != 0 {
		c.cancelPull(o, i) // somebody else was faster
	}
	c.release(o, i)
	o.open().remove(i)
	c.uploads.parked -= int(p.parked)
	p.parked = 0
	o.lacking--
	o.fresh().add(i)
	c.hasNews(o)
	if o.missing == 0 {
		c.completed(o)
		c.removeWanted(o)
	}
}

// delivered updates what is known of a neighbour that kept its word.
func (c *Core) delivered(o *object, n *neighbour, p *piece, leaf int32, bit uint8) {
	bytes := o.leafBytes(leaf)
	switch {
	case p.from == n.id && p.owed&bit != 0:
		p.owed &^= bit
		c.owe(n, -bytes)
		if !p.advance {
			tookUs := (c.nowMs - max(p.sentMs, n.progressMs)) * 1000 * leafSize / bytes
			c.learnPace(n, (n.leafUs*3+tookUs)/4)
		}
		p.advance = false
	case p.late == n.id:
		p.lateOwed &^= bit
	}
	n.progressMs = c.nowMs
	n.strikes = 0
	n.refusals = 0
	c.setMute(n, false)
	n.unsolicited = max(n.unsolicited-1, 0) // leaves and cancels cross now and then
}

// cameTooLate tells whether a leaf nobody expects was asked for once: another was
// faster. That is no offence, but only once.
func (c *Core) cameTooLate(e *Event, n *neighbour) bool {
	o := c.object(e.Object)
	if o == nil || e.Leaf < 0 || e.Leaf >= o.leaves {
		return false
	}
	i, bit := o.pieceOf(e.Leaf)
	p := &o.piece[i]
	switch {
	case p.from == n.id && p.owed&bit != 0 && p.missing&bit == 0:
		p.owed &^= bit
		c.owe(n, -o.leafBytes(e.Leaf))
	case p.from == n.id && p.owed&bit != 0:
		c.release(o, i) // it came and was of no use, so it is to be asked for again
		return false
	case p.late == n.id && p.lateOwed&bit != 0:
		p.lateOwed &^= bit
	default:
		return false
	}
	return true
}
