package swarm

// For some viewers peers do harm: a line that is busier with promises than with media, a router that chokes on a dozen
// connections. They stall again and again, while many of their leaves come late and are fetched from the CDN in the end. Such a one
// is parted from everybody and plays from the CDN alone for a while. That needs no message of its own: a client without neighbours
// does just that. If its uplink is busy, it is told first to upload less (cap.go).

const (
	// A viewer is harmed that stalls and rescues harmShare of its media, in parts of 1000, harmRounds looks in a row.
	harmShare, harmRounds = 100, 3
	// calmShare is the part of a room that may stall for that: where more do, the reason is another.
	calmShare = 8
	// minRestMs and maxRestMs bound the time for which it is left alone, which doubles.
	minRestMs, maxRestMs = 300_000, 3_600_000
)

// rest is when a viewer is left alone.
type rest struct {
	harmed  int   // looks in a row
	forMs   int64 // the last time, 0 = never
	untilMs int64 // 0 = is not
}

func (r *rest) resting() bool { return r.untilMs > 0 }

// spare looks for those of a room for whom peers do harm. It comes after the fares were closed.
func (s *Swarm) spare(r *room) {
	stalled := 0
	for _, v := range r.members.items {
		if v.fare.stalled {
			stalled++
		}
	}
	calm := stalled <= max(1, r.members.len()/calmShare)
	for _, v := range r.members.items {
		s.ease(v)
		if !v.fare.fresh {
			continue
		}
		stalledAlone := v.fare.stalled && calm
		s.restrain(v, stalledAlone)
		if !stalledAlone || v.fare.rescuePerMille < harmShare {
			v.rest.harmed = 0
		} else if v.rest.harmed++; v.rest.harmed >= harmRounds {
			s.layOff(v)
		}
	}
}

// layOff parts v from everybody for a while.
func (s *Swarm) layOff(v *viewer) {
	v.own().rest.harmed = 0
	v.rest.forMs = min(max(2*v.rest.forMs, minRestMs), maxRestMs)
	v.rest.untilMs = s.nowMs + v.rest.forMs
	for len(v.edges) > 0 {
		x := v.edges[len(v.edges)-1].to
		s.separate(v, x)
		s.topUp(x)
	}
	s.refresh(v)
	s.reseat(v)
}

// wake ends a rest that is over.
func (s *Swarm) wake(v *viewer) {
	if v.rest.resting() && s.nowMs >= v.rest.untilMs {
		v.rest.untilMs = 0
		s.refresh(v)
		s.reseat(v)
	}
}
