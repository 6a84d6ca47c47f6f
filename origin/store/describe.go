package store

import "slipstream/origin/hls"

// Description is what can be said of a segment or part beside its bytes.
type Description struct {
	DurationMs int64
	Size       int64
	Codecs     string // of the rendition, as in RFC 6381; "" if not known yet
	Next       string // address of what follows, relative to the same playlist; "" if that is not out yet
}

// Describe returns what is known of a part, or with index -1 of a whole segment.
func (s *Store) Describe(rendition string, number int64, index int) (Description, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Description{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	d := Description{Codecs: r.media.Codecs}
	item := r.segment(number)
	if index < 0 {
		switch {
		case item != nil:
			d.DurationMs, d.Size = item.record.DurationMs, item.record.Size
		case r.archive != nil:
			found, ok := r.archive.Find(number)
			if !ok {
				return Description{}, false
			}
			d.DurationMs, d.Size = found.DurationMs, found.Size
		default:
			return Description{}, false
		}
		if r.has(number + 1) {
			d.Next = hls.SegmentURI(number + 1)
		}
		return d, true
	}
	parts := r.partsIn(number)
	if index >= len(parts) {
		return Description{}, false
	}
	switch {
	case index+1 < len(parts):
		d.Next = hls.PartURI(number, index+1)
	case item != nil && len(r.partsIn(number+1)) > 0:
		d.Next = hls.PartURI(number+1, 0)
	}
	d.DurationMs, d.Size = parts[index].record.DurationMs, parts[index].record.Size
	return d, true
}

// has reports whether a segment can be fetched.
func (r *ring) has(number int64) bool {
	if r.segment(number) != nil || r.archive == nil {
		return r.segment(number) != nil
	}
	_, ok := r.archive.Find(number)
	return ok
}

// partsIn returns the parts of a segment, whole or being filled.
func (r *ring) partsIn(number int64) []part {
	if r.open != nil && r.open.number == number {
		return r.open.parts
	}
	if item := r.segment(number); item != nil {
		return item.parts
	}
	return nil
}
