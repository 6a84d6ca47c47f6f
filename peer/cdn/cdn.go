// Package cdn chooses which of several CDNs a viewer asks: the pathways of Content Steering (RFC 8216bis, section 7), or
// addresses that the viewer was given. It is pure; player/src/choice.ts is its twin, and both replay testdata/choice.json.
//
// One CDN is preferred to the next. What fails is ill from that moment on, and the next one is asked, in the middle of a segment if
// need be: everything is verified whoever sent it. When the penalty is over, one harmless request finds out whether
// the CDN is well again; if it is, viewers are back with it, and if not, the penalty doubles. Where all are ill, the one
// is asked whose penalty ends first: a wrong judgement must not silence anybody.
package cdn

import (
	"cmp"
	"slices"
)

const (
	// PenaltyMs is how long a CDN is left alone after its first failure; twice as long after each further one.
	PenaltyMs = 2000
	doublings = 7
	// ForgiveMs is how long a CDN must have been well for its failures to be forgotten.
	ForgiveMs = 60_000
	// Max bounds the CDNs of a viewer.
	Max = 8
)

// None is no CDN.
const None = -1

// Choice is one viewer's. CDNs go by their index among the names.
type Choice struct {
	spread int64 // of penalties: up to half as long again, in parts of 1000
	cdns   []candidate
}

type candidate struct {
	name     string
	rank     int   // 0: the one that is preferred
	untilMs  int64 // ill, and not asked before; 0: well
	sinceMs  int64 // since when it is that
	failures int
	probing  bool
}

// New returns a choice among at most Max CDNs, the preferred one first. Spread, 0 to 999, is drawn for each viewer, so that not all are back in
// the same moment.
func New(names []string, spread int64) *Choice {
	c := &Choice{spread: spread}
	for i, name := range names[:min(len(names), Max)] {
		c.cdns = append(c.cdns, candidate{name: name, rank: i})
	}
	return c
}

// Count is how many CDNs there are.
func (c *Choice) Count() int { return len(c.cdns) }

// Prefer puts the CDNs in an order. Names that are not known are passed over; CDNs that are not named come last.
func (c *Choice) Prefer(names []string) {
	for i := range c.cdns {
		if c.cdns[i].rank = slices.Index(names, c.cdns[i].name); c.cdns[i].rank < 0 {
			c.cdns[i].rank = len(names) + i
		}
	}
}

// Next is whom to ask, but for those that were tried for the same thing already (bit i: CDN i): the best of those that are well, else
// the one whose penalty ends first; None if all were tried.
func (c *Choice) Next(tried uint) int {
	best := None
	for i, p := range c.cdns {
		if tried>>i&1 == 0 && (best == None || cmp.Or(cmp.Compare(p.untilMs, c.cdns[best].untilMs), cmp.Compare(p.rank, c.cdns[best].rank)) < 0) {
			best = i
		}
	}
	return best
}

// Failed books that a CDN did not answer, or not with what was asked for.
func (c *Choice) Failed(nowMs int64, cdn int) {
	p := &c.cdns[cdn]
	p.probing = false
	if p.untilMs > nowMs {
		return // others said so
	}
	if p.untilMs == 0 && nowMs-p.sinceMs >= ForgiveMs {
		p.failures = 0
	}
	penaltyMs := int64(PenaltyMs) << min(p.failures, doublings)
	p.failures++
	p.sinceMs, p.untilMs = nowMs, nowMs+penaltyMs+penaltyMs*c.spread/2000
}

// Worked books that a CDN gave what was asked for at startedMs. What was asked before it fell ill says nothing.
func (c *Choice) Worked(startedMs int64, cdn int) {
	p := &c.cdns[cdn]
	if p.untilMs > 0 && startedMs > p.sinceMs {
		p.probing, p.untilMs, p.sinceMs = false, 0, startedMs
	}
}

// Probe is who is to be asked whether it is well again, because it is preferred to the one that is asked now; None if nobody. The answer is to
// be booked by Worked or Failed.
func (c *Choice) Probe(nowMs int64) int {
	now := c.Next(0)
	best := None
	for i, p := range c.cdns {
		due := p.untilMs > 0 && p.untilMs <= nowMs && !p.probing && p.rank < c.cdns[now].rank
		if due && (best == None || p.rank < c.cdns[best].rank) {
			best = i
		}
	}
	if best != None {
		c.cdns[best].probing = true
	}
	return best
}
