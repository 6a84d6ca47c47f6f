package session

import "slices"

// Media returns the verified bytes of a segment in the window of a followed rendition, nil if it is not whole. They are a
// part of the store and must not be changed. Only the loop may call it: an Audience, or a function given to Do.
func (s *Session) Media(rendition string, number int64) []byte {
	for _, r := range s.renditions {
		if r.name != rendition {
			continue
		}
		for _, e := range slices.Concat(r.segments, r.window) {
			if e.Number == number && e.Part == 0 {
				if data, err := s.store.Object(e.key); err == nil {
					return data
				}
			}
		}
	}
	return nil
}
