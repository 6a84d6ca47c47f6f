package session

import (
	"errors"
	"maps"
	"slices"

	"slipstream/origin/manifest"
)

// This file keeps each rendition's window: which segments may be played, and what that means for the objects.

const (
	minWindow    = 8      // segments that a window may grow to by neighbours' records, however short the playlist is
	maxTold      = 3      // segments that neighbours are told of when a poll brings several
	keepBeyondMs = 10_000 // what left the window is kept this much longer for those who are behind
)

// takeWindow replaces a rendition's window by what a playlist says, adds what is new to the objects and forgets what is
// too old. Where the CDN lags behind what neighbours told, that stays.
func (s *Session) takeWindow(r *rendition, playlist manifest.Playlist, verified []manifest.Verified) {
	segments := s.entries(r, playlist, verified)
	if playlist.EndList && len(r.window) == 0 {
		s.takeRecording(r, segments)
		return
	}
	r.length = len(segments)
	last := verified[len(verified)-1].Record.Sequence
	for i, e := range r.segments {
		if e.Number == last+1 {
			segments = append(segments, r.segments[i:]...)
			break
		}
	}
	for i, listed := range r.listed {
		if listed.Number == last+1 {
			playlist.Segments = append(playlist.Segments, r.listed[i:]...)
			break
		}
	}
	r.segments, r.listed = segments, playlist.Segments
	s.takeParts(r, playlist)
	s.renew(r)
	if playlist.EndList {
		s.over(r)
	}
}

// renew makes a rendition's window anew, and acts on what changed.
func (s *Session) renew(r *rendition) {
	s.compose(r)
	s.show(r)
	for _, e := range r.window {
		s.addObject(r, e)
	}
	for _, number := range slices.Sorted(maps.Keys(r.whole)) {
		s.addObject(r, r.whole[number])
		s.assemble(r, number)
	}
	s.forgetOld(r)
}

// entries makes a window of a playlist. A gap has no record: it lies between what comes before and after it.
func (s *Session) entries(r *rendition, playlist manifest.Playlist, verified []manifest.Verified) []entry {
	window := make([]entry, len(playlist.Segments))
	next := 0
	for i, listed := range playlist.Segments {
		if listed.Gap {
			window[i] = entry{Segment: Segment{Rendition: r.name, Number: listed.Number, DurationMs: listed.DurationMs, Gap: true}}
			if i > 0 {
				window[i].StartMs = window[i-1].StartMs + window[i-1].DurationMs
			}
			continue
		}
		window[i] = s.entry(r, verified[next])
		s.checkInit(r, verified[next])
		next++
	}
	for i := len(window) - 2; i >= 0 && next > 0; i-- { // those that the window begins with
		if window[i].Gap && window[i].StartMs == 0 {
			window[i].StartMs = window[i+1].StartMs - window[i].DurationMs
		}
	}
	return window
}

// entry is a verified segment's. One whose URI is not understood can come from neighbours only.
func (s *Session) entry(r *rendition, v manifest.Verified) entry {
	e := entry{key: keyOf(v.Record), record: v.Record, Segment: Segment{
		Rendition: r.name, Number: v.Record.Sequence,
		StartMs: v.Record.StartMs, DurationMs: v.Record.DurationMs,
		Discontinuity: v.Segment.Discontinuity,
	}}
	ref, err := r.url.Parse(v.Segment.URI)
	if err != nil {
		s.log.Warn("a segment's URI is not understood", "segment", v.Record.Sequence, "error", err)
		return e
	}
	e.url = ref.String()
	return e
}

// extend takes a record that neighbours told for what comes next. It reports false where only the playlist can say
// what that is.
func (s *Session) extend(r *rendition, rec manifest.Record, nowMs int64) bool {
	beforeMs := r.endMs()
	takes := s.extendBySegment
	if rec.Kind == manifest.KindPart {
		takes = s.extendByPart
	}
	if err := takes(r, rec, nowMs); err != nil {
		s.log.Debug("a record does not continue what is known", "error", err)
		return false
	}
	s.renew(r)
	s.moved(r, beforeMs, nowMs, false)
	return true
}

var errNoPattern = errors.New("the playlist does not tell where it would be")

func (s *Session) extendBySegment(r *rendition, rec manifest.Record, nowMs int64) error {
	uri, ok := manifest.NextURI(r.listed, rec.Sequence)
	if !ok {
		return errNoPattern
	}
	v, err := r.verifier.Next(rec, nowMs)
	if err != nil {
		return err
	}
	v.Segment.URI = uri
	r.listed, r.segments = append(r.listed, v.Segment), append(r.segments, s.entry(r, v))
	if surplus := len(r.segments) - max(r.length, minWindow); surplus > 0 {
		r.listed, r.segments = r.listed[surplus:], r.segments[surplus:]
	}
	return nil
}

func (s *Session) extendByPart(r *rendition, rec manifest.Record, nowMs int64) error {
	listed := make([]manifest.Part, len(r.parts))
	for i, p := range r.parts {
		listed[i] = p.Part
	}
	uri, ok := manifest.NextPartURI(listed, rec.Sequence, rec.Part)
	if !ok {
		return errNoPattern
	}
	p, err := r.verifier.NextPart(rec, nowMs)
	if err != nil {
		return err
	}
	p.Part.URI = uri
	r.parts = append(r.parts, p)
	return nil
}

// endMs is the media time at which what is known ends.
func (r *rendition) endMs() int64 {
	if len(r.window) == 0 {
		return 0
	}
	last := r.window[len(r.window)-1]
	return last.StartMs + last.DurationMs
}

// moved books a new head, and tells neighbours of what came after a media time.
func (s *Session) moved(r *rendition, beforeMs, nowMs int64, byPoll bool) {
	head := r.window[len(r.window)-1]
	newest := slices.Clone(r.window[max(len(r.window)-maxTold, 0):])
	stepMs := int64(1)
	for _, e := range newest {
		stepMs = max(stepMs, e.DurationMs)
	}
	if r.endMs() > beforeMs {
		r.edge.learned(nowMs, r.endMs(), stepMs, byPoll)
	} else {
		r.edge.closed()
	}
	if whole, split := r.whole[r.verifier.Head()]; split {
		newest = append(newest, whole)
	}
	for _, e := range newest {
		o := s.objectByKey(e.key)
		if o != nil && byPoll && r.active && (e.StartMs >= beforeMs || e.assembled) {
			s.tell(o)
		}
	}
	for _, n := range s.neighbours.byID {
		if o := s.objectByKey(head.key); o != nil && n.known[o.id] {
			r.edge.announced(nowMs)
		}
	}
}

// forgetOld removes what left a rendition's window a while ago; the renditions that nobody plays share its clock.
func (s *Session) forgetOld(r *rendition) {
	oldestMs := r.window[0].StartMs - keepBeyondMs
	for _, o := range s.objects {
		if (o.rendition == r || !o.rendition.active) && o.record.StartMs < oldestMs {
			s.removeObject(o)
		}
	}
}

// show lets the audience see a window, if it plays that rendition. It sees it before it is asked for deadlines.
func (s *Session) show(r *rendition) {
	if r.active {
		s.cfg.Audience.Advance(s.nowMs(), r.name, s.view(r))
	}
}

// view is a rendition's window as the audience sees it. It is made anew only when it has changed.
func (s *Session) view(r *rendition) []Segment {
	if r.changed {
		r.changed = false
		r.view = make([]Segment, len(r.window))
		for i, e := range r.window {
			r.view[i] = e.Segment
			if o := s.objectByKey(e.key); o != nil {
				r.view[i].Complete = s.store.Complete(e.key)
				r.view[i].Bytes, r.view[i].FirstMs, r.view[i].DoneMs = o.record.Size, o.firstMs, o.doneMs
			}
		}
	}
	return r.view
}
