package store

// Discontinuities is how many there were up to the newest segment that was ever published of a rendition.
func (s *Store) Discontinuities(rendition string) int64 {
	r, ok := s.rings[rendition]
	if !ok {
		return 0
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if last := r.last(); last != nil {
		return last.discontinuities
	}
	return r.counted
}

// CountOn has this run begin behind so many discontinuities, if it has not yet: who packages for this origin knows of them, and it has lost its
// own count with its data.
func (s *Store) CountOn(discontinuities int64) {
	for _, r := range s.rings {
		r.publishing.Lock() // whoever publishes holds one of them only
		defer r.publishing.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	missing := discontinuities + 1 - s.first
	if missing <= 0 {
		return
	}
	s.first += missing
	for _, r := range s.rings {
		r.discontinuities += missing
		for _, item := range r.segments {
			item.discontinuities += missing
		}
		if r.open != nil {
			r.open.discontinuities += missing
		}
	}
}
