package swarm

import (
	"maps"
	"slices"
)

// Evidence is what a neighbour says, and neighbours lie. So it is weighed: only those who met the accused can speak, and nobody
// while he is suspended himself; half if he is half way there. And they must be as many as those neighbours of the accused who
// have nothing to say: whoever sends bad bytes is accused by nearly all who got any, an honest one by the liars among his
// neighbours.
//
// What comes from one network may well be one liar with many faces. So a network has one voice: against a viewer it counts
// once, and against no more than a few in an hour, whoever speaks for it. Liars with networks enough to outvote a room remain, so few
// are expelled in ten minutes. The others who would be are left alone as well as anybody can be who has no neighbours.

const (
	// accusationMs is how long evidence counts, and the span of the bound maxAccused on one network.
	accusationMs = 3_600_000
	maxAccused   = 4
	// maxVoices bounds how many networks of a channel are remembered to have spoken.
	maxVoices = 1 << 16
	// fullVoice is the weight of an accuser of good standing.
	fullVoice = 2
	// One viewer in expelShare of a room, and at least one, is expelled in expelMs.
	expelShare, expelMs = 100, 600_000
)

// accusation is evidence of one neighbour.
type accusation struct {
	by    uint64
	atMs  int64
	voice int
}

// network is who has one voice: a subnet or, where that is not known, a viewer.
type network struct{ subnet, viewer uint64 }

func (v *viewer) network() network {
	if v.subnet != 0 {
		return network{subnet: v.subnet}
	}
	return network{viewer: v.id}
}

// verdict is whom somebody of a network accused, and when.
type verdict struct {
	by, of uint64
	atMs   int64
}

// voices are what the networks of a channel said lately. It outlives who said it: to come back is no way to be heard again.
type voices struct {
	of      map[network][]verdict
	sweptMs int64
}

// heard is what a network said in the last hour.
func (v *voices) heard(from network, nowMs int64) []verdict {
	fresh := slices.DeleteFunc(v.of[from], func(x verdict) bool { return old(x.atMs, nowMs) })
	if len(fresh) == 0 {
		delete(v.of, from)
	} else {
		v.of[from] = fresh
	}
	return fresh
}

// say notes a verdict; false if there are too many networks who have something to say.
func (v *voices) say(from network, x verdict) bool {
	if old(v.sweptMs, x.atMs) {
		v.sweptMs = x.atMs
		maps.DeleteFunc(v.of, func(_ network, said []verdict) bool { return old(said[len(said)-1].atMs, x.atMs) })
	}
	if v.of == nil {
		v.of = map[network][]verdict{}
	}
	if v.of[from] == nil && len(v.of) >= maxVoices {
		return false
	}
	v.of[from] = append(v.of[from], x)
	return true
}

// old tells whether evidence counts no longer.
func old(atMs, nowMs int64) bool { return nowMs-atMs >= accusationMs }

// accuse notes evidence of v against w. A seeder is the operator's own, let in by a token that says so: who has something against
// one parts from it, and that is all.
func (s *Swarm) accuse(v, w *viewer) {
	if v.suspended || w.seeder || len(w.accusations) >= maxPast {
		return
	}
	heard := v.channel.voices.heard(v.network(), s.nowMs)
	if len(heard) >= maxAccused || slices.ContainsFunc(heard, func(x verdict) bool { return x.of == w.id }) {
		return
	}
	if !v.channel.voices.say(v.network(), verdict{v.id, w.id, s.nowMs}) {
		return
	}
	voice := fullVoice
	if s.doubtful(v) {
		voice /= 2
	}
	w.own().accusations = append(w.accusations, accusation{v.id, s.nowMs, voice})
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
		s.touch(w.room)
		if guilty {
			s.retract(w)
		}
	}
	if guilty && blame >= fullVoice*s.cfg.Expellers && !w.expelled && s.mayExpel(w.room) {
		w.expelled = true
		w.room.expelledMs = append(w.room.expelledMs, s.nowMs)
		s.do(Expel{Viewer: w.id})
	}
}

// mayExpel tells whether a room has not lost too many already.
func (s *Swarm) mayExpel(r *room) bool {
	r.expelledMs = slices.DeleteFunc(r.expelledMs, func(atMs int64) bool { return s.nowMs-atMs >= expelMs })
	return len(r.expelledMs) < max(1, r.members.len()/expelShare)
}

// retract takes back what a viewer said who turned out to be bad himself.
func (s *Swarm) retract(v *viewer) {
	for _, x := range v.channel.voices.heard(v.network(), s.nowMs) {
		w := s.viewers.Get(x.of)
		if x.by != v.id || w == nil {
			continue
		}
		w.accusations = slices.DeleteFunc(w.accusations, func(a accusation) bool { return a.by == v.id })
		if w.suspended && !w.expelled {
			s.judge(w)
		}
	}
}

// reconsider forgets old evidence.
func (s *Swarm) reconsider(v *viewer) {
	if len(v.accusations) == 0 || !old(v.accusations[0].atMs, s.nowMs) {
		return
	}
	v.accusations = slices.DeleteFunc(v.accusations, func(a accusation) bool { return old(a.atMs, s.nowMs) })
	if v.suspended && !v.expelled {
		s.judge(v)
	}
}
