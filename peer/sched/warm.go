package sched

import "slipstream/peer/sched/prefetch"

// WarmSteps is how many steps Warm takes.
const WarmSteps = 4

// Warm asks for the memory that the next call is likely to need. It is for those who run
// thousands of cores in turn: to know where something lies, what points to it must be
// there, so between one step and the next there should be time for memory to come.
func (c *Core) Warm(step int) {
	switch step {
	case 0:
		prefetch.Value(c)
	case 1:
		prefetch.Slice(c.wanted)
		prefetch.Slice(c.neighbours)
		prefetch.Slice(c.ids)
		prefetch.Slice(c.uploads.queue)
	case 2:
		for _, o := range c.wanted {
			prefetch.Value(o)
		}
		for _, n := range c.neighbours {
			prefetch.First(n, 1)
		}
	case 3:
		for _, o := range c.wanted {
			prefetch.Slice(o.books)
			prefetch.Slice(o.holders)
			prefetch.Slice(o.piece)
		}
	}
}
