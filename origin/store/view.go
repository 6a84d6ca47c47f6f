package store

import (
	"slices"
	"sort"

	"slipstream/origin/health"
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
// ends with the newest segment and the parts after it; numbers that are missing in it are gaps.
func (s *Store) View(rendition string) (hls.View, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return hls.View{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	view := hls.View{Rendition: rendition, PartTargetMs: r.partTargetMs}
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
			view.SinceMs = item.sinceMs
		}
		init := r.inits[item.record.Init]
		entry := hls.Entry{Number: item.record.Sequence, Discontinuity: item.discontinuity, Record: item.record, Init: init.record, Codecs: init.codecs}
		if i >= len(r.segments)-listedParts {
			entry.Parts = partsOf(item.parts)
		}
		view.Entries = append(view.Entries, entry)
	}
	if r.partTargetMs > 0 {
		s.viewEdge(&view, r)
	}
	return view, true
}

// viewEdge adds what only a playlist with parts tells: the segment that is being filled, and where the other renditions are.
func (s *Store) viewEdge(view *hls.View, r *ring) {
	if r.following() != nil {
		view.Open = &hls.Entry{Number: r.open.number, Discontinuity: r.open.discontinuity, Init: r.inits[r.open.init].record, Parts: partsOf(r.open.parts)}
	}
	for _, name := range s.cfg.Renditions {
		other := s.rings[name]
		last := other.last()
		if other == r || last == nil || other.presence != offered {
			continue
		}
		report := hls.Report{Rendition: name, Number: last.record.Sequence, Part: len(last.parts) - 1}
		if open := other.following(); open != nil {
			report.Number, report.Part = open.number, len(open.parts)-1
		}
		view.Reports = append(view.Reports, report)
	}
}

func partsOf(parts []part) []hls.Part {
	var out []hls.Part
	for _, p := range parts {
		out = append(out, hls.Part{Record: p.record, Independent: p.independent})
	}
	return out
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
// first. It goes backwards from the newest until the window or the room for delegations is full.
func (r *ring) window(segments int64) (first int, delegations []manifest.Delegation) {
	need := func(have []manifest.Delegation, more ...manifest.Delegation) []manifest.Delegation {
		for _, d := range more {
			if !slices.Contains(have, d) {
				have = append(have, d)
			}
		}
		return have
	}
	signedParts := func(have []manifest.Delegation, parts []part) []manifest.Delegation {
		for _, p := range slices.Backward(parts) {
			have = need(have, p.delegation)
		}
		return have
	}
	first = len(r.segments)
	if r.open != nil {
		delegations = need(signedParts(nil, r.open.parts), r.inits[r.open.init].delegation)
	}
	for i := len(r.segments) - 1; i >= 0; i-- {
		item := r.segments[i]
		if item.record.Sequence <= r.last().record.Sequence-segments || item.record.Sequence < r.listed {
			break
		}
		all := need(slices.Clone(delegations), r.inits[item.record.Init].delegation, item.delegation)
		if all = signedParts(all, item.parts); len(all) > manifest.MaxDelegations {
			break
		}
		first, delegations = i, all
	}
	slices.Reverse(delegations)
	return first, delegations
}

// Segment returns the bytes of a segment in memory; others Kept may open.
func (s *Store) Segment(rendition string, number int64) (Object, bool) {
	return s.object(rendition, number, func(item *segment) []byte { return item.data })
}

// Muxed is a segment with what it takes to take its tracks apart. The bytes must not be changed.
type Muxed struct {
	StartMs, DurationMs int64
	Root                manifest.Hash // tree root of Data
	Init, Data          []byte
}

// Muxed returns a segment, from memory or disk, with its init section.
func (s *Store) Muxed(rendition string, number int64) (Muxed, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Muxed{}, false
	}
	s.mu.RLock()
	item := r.segment(number)
	if item == nil {
		s.mu.RUnlock()
		return s.kept(rendition, number)
	}
	defer s.mu.RUnlock()
	rec := item.record
	return Muxed{rec.StartMs, rec.DurationMs, rec.Root, r.inits[rec.Init].data, item.data}, true
}

// Leaves returns a segment's leaf list.
func (s *Store) Leaves(rendition string, number int64) (Object, bool) {
	if list, ok := s.object(rendition, number, func(item *segment) []byte { return item.leaves }); ok {
		return list, true
	}
	return s.keptLeaves(rendition, number)
}

func (s *Store) object(rendition string, number int64, data func(*segment) []byte) (Object, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Object{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	item := r.segment(number)
	if item == nil {
		return Object{}, false
	}
	return Object{data(item), item.record.Root}, true
}

// segment returns the segment of that number, nil if it is not there.
func (r *ring) segment(number int64) *segment {
	i := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].record.Sequence >= number })
	if i == len(r.segments) || r.segments[i].record.Sequence != number {
		return nil
	}
	return r.segments[i]
}

// Init returns the init section with the given hls.InitURI.
func (s *Store) Init(rendition, uri string) (Object, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Object{}, false
	}
	s.mu.RLock()
	for root, init := range r.inits {
		if hls.InitURI(root) == uri {
			s.mu.RUnlock()
			return Object{init.data, root}, true
		}
	}
	s.mu.RUnlock()
	if r.archive == nil {
		return Object{}, false
	}
	data, root, ok := r.archive.Init(uri)
	return Object{data, root}, ok
}

// Status sums up one rendition.
type Status struct {
	Rendition string
	Head      int64 // newest number published in this run, -1 if none
	StartMs   int64 // start of its media
	CreatedMs int64 // when it was published
	Listed    int   // segments in memory
	Missing   int   // of the health.Recent newest numbers, those without a segment
	Slate     int   // of them, those with slate
	HeldBytes int64 // bytes in memory
	Published Totals
	Media     Media
}

// Status returns the state of every rendition that is offered, in the configured order.
func (s *Store) Status() []Status { return s.status(offered) }

// Past returns the state of those that are not made any more.
func (s *Store) Past() []Status { return s.status(absent) }

func (s *Store) status(of presence) []Status {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Status
	for _, name := range s.cfg.Renditions {
		r := s.rings[name]
		if r.presence != of {
			continue
		}
		st := Status{Rendition: name, Head: -1, Listed: len(r.segments), HeldBytes: r.bytes, Published: r.published, Media: r.media}
		if last := r.last(); last != nil {
			st.Head, st.StartMs, st.CreatedMs = last.record.Sequence, last.record.StartMs, last.record.CreatedMs
			st.Missing, st.Slate = r.recent()
		}
		out = append(out, st)
	}
	return out
}

// recent counts the newest numbers without a segment, before the first one of this run too, and those with slate.
func (r *ring) recent() (missing, slate int) {
	missing, newest := health.Recent, r.last().record.Sequence
	for i := len(r.segments) - 1; i >= 0 && r.segments[i].record.Sequence > newest-health.Recent; i-- {
		missing--
		if r.segments[i].slate {
			slate++
		}
	}
	return missing, slate
}
