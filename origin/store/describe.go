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
		if item == nil {
			return Description{}, false
		}
		if r.segment(number+1) != nil {
			d.Next = hls.SegmentURI(number + 1)
		}
		d.DurationMs, d.Size = item.record.DurationMs, item.record.Size
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
