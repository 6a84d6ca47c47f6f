package world

import (
	"slipstream/peer/sched"
	"slipstream/peer/sched/prefetch"
)

// crowd is how many viewers are too many for the cache that is nearest to the processor.
const crowd = 100

// warm asks for the memory of those whose turn comes next, in steps: to know where something
// lies, what points to it must be there. Each step has the time of a turn.
func (w *world) warm(at int) {
	if len(w.turns) < crowd {
		return
	}
	if at += sched.WarmSteps + 1; at < len(w.turns) {
		prefetch.First(w.viewers[w.turns[at]], 6)
		prefetch.Slice(w.inboxes.of[w.turns[at]].soon)
	}
	for step := range sched.WarmSteps {
		if at--; at >= len(w.turns) {
			continue
		}
		v := w.viewers[w.turns[at]]
		if v.core == nil {
			continue
		}
		v.core.Warm(step)
		switch step {
		case 0:
			for n := range v.ends {
				prefetch.First(&v.ends[n], 1)
			}
			prefetch.Slice(v.objects.held)
			prefetch.Slice(v.sending.ends)
		case 1:
			for _, n := range v.sending.ends {
				prefetch.Value(&v.ends[n].buffer)
			}
		case 2:
			for _, n := range v.sending.ends {
				prefetch.Slice(v.ends[n].buffer.leaves)
			}
		}
	}
}
