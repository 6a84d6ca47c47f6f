package sched

import "math/bits"

// This file elects, without a tracker, who fetches a stripe from the CDN. Who had to
// rescue one goes on to fetch it, at once, as if that were a duty. Several may have begun
// out of each other's sight, and somebody's duty may merely have been late: so whoever acts
// stands back now and then, the less often the longer nobody else has come forward, and
// resigns when the stripe then comes from a neighbour.

// acting is what a viewer has taken upon itself of a rendition.
type acting struct {
	rendition int32
	stripes   uint32
	alone     [Stripes]uint8 // how often standing back has shown that nobody else fetches it
}

func (c *Core) actingFor(rendition int32) *acting {
	for i := range c.acting {
		if c.acting[i].rendition == rendition {
			return &c.acting[i]
		}
	}
	return nil
}

// markActing tells which pieces of a new object we fetch untold: of a stripe that was
// rescued once, none yet.
func (c *Core) markActing(o *object) {
	a := c.actingFor(o.rendition)
	if a == nil || a.stripes == 0 {
		return
	}
	for i := range o.pieces {
		stripe := Stripe(i, o.pieces, o.sequence)
		draw := mix32(mix32(c.cfg.Seed^uint32(o.sequence+1)) ^ uint32(stripe))
		switch {
		case a.stripes>>stripe&1 == 0:
		case draw&(1<<a.alone[stripe]-1) != 0:
			o.acting().add(i)
		default:
			o.standing().add(i)
		}
	}
}

// rescued notes that a piece has to be fetched because nobody near brings it: its stripe is
// ours from now on, if we can pass it on.
func (c *Core) rescued(o *object, i int32) {
	if o.duty().has(i) || o.acting().has(i) || len(c.neighbours) == 0 || !c.offers(o) {
		return
	}
	a := c.actingFor(o.rendition)
	if a == nil {
		c.acting = append(c.acting, acting{rendition: o.rendition})
		a = &c.acting[len(c.acting)-1]
	}
	stripe := Stripe(i, o.pieces, o.sequence)
	if o.rescued>>stripe&1 == 0 && a.stripes>>stripe&1 != 0 {
		a.alone[stripe] = min(a.alone[stripe]+1, aloneMost)
	}
	o.rescued |= 1 << stripe
	a.stripes |= 1 << stripe
}

// resign notes that a piece came from a neighbour.
func (c *Core) resign(o *object, i int32) {
	a := c.actingFor(o.rendition)
	if a == nil || a.stripes == 0 {
		return
	}
	if stripe := Stripe(i, o.pieces, o.sequence); o.rescued>>stripe&1 == 0 {
		a.stripes &^= 1 << stripe
		c.quietMs = 0 // who is not sated rescues earlier
		a.alone[stripe] = 0
	}
}

// sated tells that we act for twice our share of the stripes: others rescue first.
func (c *Core) sated(rendition int32) bool {
	a := c.actingFor(rendition)
	return a != nil && bits.OnesCount32(a.stripes)*(len(c.neighbours)+1) >= 2*Stripes
}

// standBackMs is until when others are waited for: longer than a stripe takes to come from
// afar, less long than others wait for us.
func (c *Core) standBackMs(o *object, hardMs int64) int64 {
	return o.addedMs + (hardMs-o.addedMs)/standBackShare
}
