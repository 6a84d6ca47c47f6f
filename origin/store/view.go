package store

import (
	"slices"
	"sort"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

// Object is something that can be fetched. Its bytes must not be changed.
type Object struct {
	Data []byte
	Root manifest.Hash // tree root of Data; for a leaf list that of its segment
}

// Renditions returns the names of all renditions in the configured order.
func (s *Store) Renditions() []string { return slices.Clone(s.cfg.Renditions) }

// View returns the window of a rendition for its playlist, and whether there is such a rendition. The window
// ends with the newest segment; numbers that are missing in it are gaps.
func (s *Store) View(rendition string) (hls.View, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return hls.View{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	view := hls.View{Rendition: rendition}
	first, delegations := r.window(s.windowSegments())
	view.Delegations = delegations
	for i := first; i < len(r.segments); i++ {
		item := r.segments[i]
		if i > first {
			for n := r.segments[i-1].record.Sequence + 1; n < item.record.Sequence; n++ {
				view.Entries = append(view.Entries, hls.Entry{Number: n, Gap: true})
			}
		} else {
			view.DiscontinuitySequence = item.discontinuities
			if item.discontinuity {
				view.DiscontinuitySequence-- // its own tag is still in the playlist
			}
		}
		view.Entries = append(view.Entries, hls.Entry{
			Number: item.record.Sequence, Discontinuity: item.discontinuity, Record: item.record, Init: r.inits[item.record.Init].record,
		})
	}
	return view, true
}

// Head returns the newest segment number of a rendition and when it was published. A View changes only when Head does.
func (s *Store) Head(rendition string) (number, createdMs int64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.rings[rendition]; r != nil && r.last() != nil {
		rec := r.last().record
		return rec.Sequence, rec.CreatedMs, true
	}
	return -1, 0, false
}

// Signed returns the newest number ever signed for any rendition, by this run or an earlier one; -1 if there is none.
func (s *Store) Signed() int64 {
	newest := int64(-1)
	for _, r := range s.rings {
		r.publishing.Lock()
		newest = max(newest, r.signed)
		r.publishing.Unlock()
	}
	return newest
}

// window returns the index of the first segment to list and the delegations that the listed records need, oldest
// first. It goes backwards from the newest segment until the window or the room for delegations is full.
func (r *ring) window(segments int64) (first int, delegations []manifest.Delegation) {
	first = len(r.segments)
	for i := len(r.segments) - 1; i >= 0; i-- {
		item := r.segments[i]
		if item.record.Sequence <= r.last().record.Sequence-segments {
			break
		}
		need := delegations
		for _, d := range [2]manifest.Delegation{r.inits[item.record.Init].delegation, item.delegation} {
			if !slices.Contains(need, d) {
				need = append(need, d)
			}
		}
		if len(need) > manifest.MaxDelegations {
			break
		}
		first, delegations = i, need
	}
	slices.Reverse(delegations)
	return first, delegations
}

// Segment returns a segment's bytes.
func (s *Store) Segment(rendition string, number int64) (Object, bool) {
	return s.object(rendition, number, func(item *segment) []byte { return item.data })
}

// Leaves returns a segment's leaf list.
func (s *Store) Leaves(rendition string, number int64) (Object, bool) {
	return s.object(rendition, number, func(item *segment) []byte { return item.leaves })
}

func (s *Store) object(rendition string, number int64, data func(*segment) []byte) (Object, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Object{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].record.Sequence >= number })
	if i == len(r.segments) || r.segments[i].record.Sequence != number {
		return Object{}, false
	}
	item := r.segments[i]
	return Object{data(item), item.record.Root}, true
}

// Init returns the init section with the given hls.InitURI.
func (s *Store) Init(rendition, uri string) (Object, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Object{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for root, init := range r.inits {
		if hls.InitURI(root) == uri {
			return Object{init.data, root}, true
		}
	}
	return Object{}, false
}

// Status sums up one rendition.
type Status struct {
	Rendition string
	Head      int64 // newest number published in this run, -1 if none
	StartMs   int64 // start of its media
	CreatedMs int64 // when it was published
	Listed    int   // segments in memory
	HeldBytes int64 // bytes in memory
	Published Totals
	Media     Media
}

// Status returns the state of every rendition in the configured order.
func (s *Store) Status() []Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Status
	for _, name := range s.cfg.Renditions {
		r := s.rings[name]
		st := Status{Rendition: name, Head: -1, Listed: len(r.segments), HeldBytes: r.bytes, Published: r.published, Media: r.media}
		if last := r.last(); last != nil {
			st.Head, st.StartMs, st.CreatedMs = last.record.Sequence, last.record.StartMs, last.record.CreatedMs
		}
		out = append(out, st)
	}
	return out
}
