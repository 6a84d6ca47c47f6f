package store

import (
	"slices"

	"slipstream/origin/health"
	"slipstream/origin/hls"
)

// presence says whether a rendition is offered to players.
type presence int

const (
	offered presence = iota
	joining          // it is being made, but a player that began with it would not find a whole window
	absent           // it is not being made; what was published of it can be fetched as long as it is held
)

// Offer says which renditions are made from now on, the others being left out: the source is smaller, or the machine too slow.
// Until it is called all are. Where others are on the air already, one that was not made before is offered when its newest
// segments are a whole window.
func (s *Store) Offer(names []string, nowMs int64) {
	for _, r := range s.rings {
		r.publishing.Lock() // whoever publishes holds one of them only
		defer r.publishing.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	onAir, discontinuities := false, int64(0)
	for _, r := range s.rings {
		last := r.last()
		if r.presence != offered {
			continue
		}
		count := r.discontinuities
		if last != nil {
			onAir = onAir || nowMs-last.record.CreatedMs <= hls.OffAirMs
			count++ // the run that begins now
		}
		discontinuities = max(discontinuities, count)
	}
	for name, r := range s.rings {
		wanted := slices.Contains(names, name)
		switch {
		case !wanted:
			r.presence = absent
			r.announce() // who waits for more of it is told
		case r.presence == absent:
			// Nothing from before is listed: what happened meanwhile is unknown to it, and renditions must count
			// discontinuities alike (RFC 8216bis, section 6.2.4).
			r.presence, r.discontinuities, r.listed = offered, discontinuities, 0
			if last := r.last(); last != nil {
				r.listed = last.record.Sequence + 1
			}
			if onAir {
				r.presence = joining
			}
		}
	}
}

// Made reports whether a rendition is being made.
func (s *Store) Made(rendition string) bool {
	r, ok := s.rings[rendition]
	if !ok {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return r.presence != absent
}

// returns reports whether the next segment is the first since the rendition was made before.
func (r *ring) returns() bool {
	last := r.last()
	return last != nil && last.record.Sequence < r.listed
}

// settle offers a rendition that has been joining for long enough.
func (r *ring) settle() {
	if r.presence != joining || r.last().record.Sequence-r.listed < health.Recent-1 {
		return
	}
	if missing, _ := r.recent(); missing == 0 {
		r.presence = offered
	}
}
