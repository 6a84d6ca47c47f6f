package swarm

import "slices"

// Evidence is what a neighbour says, and neighbours lie. So it is weighed: only those who met the accused can speak,
// of one subnet only one counts, nobody counts against more than a few in an hour or while he is suspended himself,
// half if he is half way there. And they must be as many as those neighbours of the accused who have nothing to say:
// whoever sends bad bytes is accused by nearly all who got any, an honest one by the liars among his neighbours.

const (
	// accusationMs is how long evidence counts, and the span of the bound maxAccused on one accuser.
	accusationMs = 3_600_000
	maxAccused   = 4
	// fullVoice is the weight of an accuser of good standing.
	fullVoice = 2
)

// accusation is evidence of one neighbour.
type accusation struct {
	by     uint64
	subnet uint64
	atMs   int64
	voice  int
}

// verdict is whom a viewer accused, and when.
type verdict struct {
	of   uint64
	atMs int64
}

// accuse notes evidence of v against w.
func (s *Swarm) accuse(v, w *viewer) {
	old := func(atMs int64) bool { return s.nowMs-atMs >= accusationMs }
	v.accused = slices.DeleteFunc(v.accused, func(a verdict) bool { return old(a.atMs) })
	if v.suspended || len(v.accused) >= maxAccused || len(w.accusations) >= maxPast {
		return
	}
	same := func(a accusation) bool { return a.by == v.id || a.subnet != 0 && a.subnet == v.subnet }
	if slices.ContainsFunc(w.accusations, same) {
		return
	}
	voice := fullVoice
	if s.doubtful(v) {
		voice /= 2
	}
	v.accused = append(v.accused, verdict{w.id, s.nowMs})
	w.accusations = append(w.accusations, accusation{v.id, v.subnet, s.nowMs, voice})
	s.judge(w)
}

// doubtful tells whether v is half way to be suspended.
func (s *Swarm) doubtful(v *viewer) bool { return 2*v.blame() >= fullVoice*s.cfg.Accusers }

// blame is the weight of what is held against v.
func (v *viewer) blame() (sum int) {
	for _, a := range v.accusations {
		sum += a.voice
	}
	return sum
}

// judge acts on what is held against w.
func (s *Swarm) judge(w *viewer) {
	blame := w.blame()
	guilty := blame >= fullVoice*s.cfg.Accusers && len(w.accusations) >= len(w.edges)
	if guilty != w.suspended {
		w.suspended = guilty
		s.refresh(w)
		s.reseat(w)
		if w.room != nil {
			s.touch(w.room)
		}
		if guilty {
			s.retract(w)
		}
	}
	if guilty && blame >= fullVoice*s.cfg.Expellers && !w.expelled {
		w.expelled = true
		s.do(Expel{Viewer: w.id})
	}
}

// retract takes back what a viewer said who turned out to be bad himself.
func (s *Swarm) retract(v *viewer) {
	for _, a := range v.accused {
		w := s.viewers[a.of]
		if w == nil {
			continue
		}
		w.accusations = slices.DeleteFunc(w.accusations, func(b accusation) bool { return b.by == v.id })
		if w.suspended && !w.expelled {
			s.judge(w)
		}
	}
}

// reconsider forgets old evidence.
func (s *Swarm) reconsider(v *viewer) {
	if len(v.accusations) == 0 || s.nowMs-v.accusations[0].atMs < accusationMs {
		return
	}
	v.accusations = slices.DeleteFunc(v.accusations, func(a accusation) bool { return s.nowMs-a.atMs >= accusationMs })
	if v.suspended && !v.expelled {
		s.judge(v)
	}
}
