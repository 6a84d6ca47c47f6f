package store

import "sort"

// Pending is a segment for who packages the channel elsewhere: only the records are not in it, which each place signs by itself.
// The bytes must not be changed.
type Pending struct {
	Number          int64
	Init            []byte
	Data            []byte // nil while the segment is being filled: its parts are out one by one (Part)
	Discontinuities int64  // since the channel began, up to this segment
	Slate           bool   // it shows slate; not known before it is whole
}

// After returns the oldest segment above a number that is within the window, or else the one that is being filled.
func (s *Store) After(rendition string, number int64) (Pending, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Pending{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	last := r.last()
	if last == nil {
		return Pending{}, false
	}
	number = max(number, last.record.Sequence-s.windowSegments(), r.listed-1)
	i := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].record.Sequence > number })
	if i < len(r.segments) {
		item := r.segments[i]
		return Pending{item.record.Sequence, r.inits[item.record.Init].data, item.data, item.discontinuities, item.slate}, true
	}
	if open := r.following(); open != nil && open.number > number {
		return Pending{open.number, r.inits[open.init].data, nil, open.discontinuities, false}, true
	}
	return Pending{}, false
}

// Newest is the newest number that was ever published of a rendition, by this run or an earlier one; -1 if there is none.
func (s *Store) Newest(rendition string) int64 {
	r, ok := s.rings[rendition]
	if !ok {
		return -1
	}
	r.publishing.Lock()
	defer r.publishing.Unlock()
	return r.signed
}
