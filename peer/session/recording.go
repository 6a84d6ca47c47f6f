package session

import (
	"slices"

	"slipstream/peer/wire"
)

// A recording is a playlist that has ended. It is played like a live channel, with two differences: there may be far more of it
// than anybody holds at once, so only the part that the audience looks at is turned into objects; and what was played
// may be played again, so it is the store that decides what goes, by when it was last looked at.

// firstLook is above all sequence numbers of our time, which are the ages of what is live.
const firstLook = 1 << 52

// Viewpoint is an Audience that plays recordings.
type Viewpoint interface {
	// Recording tells from where to where there is something to play, media time; there will be no more.
	Recording(startMs, endMs int64)
	// Span is the part of it that is wanted now: from what is shown to as far ahead as is of use.
	Span() (fromMs, toMs int64)
}

// takeRecording takes a whole playlist, of which slide shows a part.
func (s *Session) takeRecording(r *rendition, all []entry) {
	r.recorded, r.byKey = all, make(map[wire.Key]struct{}, len(all))
	for _, e := range all {
		r.byKey[e.key] = struct{}{}
	}
	s.over(r)
	s.slide(r)
}

// over tells the audience that there will be no other segment.
func (s *Session) over(r *rendition) {
	all := r.window
	if len(r.recorded) > 0 {
		all = r.recorded
	}
	if v, ok := s.cfg.Audience.(Viewpoint); ok {
		last := all[len(all)-1]
		v.Recording(all[0].StartMs, last.StartMs+last.DurationMs)
	}
}

// slide moves the window of a recording to what the audience looks at.
func (s *Session) slide(r *rendition) {
	if len(r.recorded) == 0 || !r.active {
		return
	}
	window := r.recorded
	if v, ok := s.cfg.Audience.(Viewpoint); ok {
		fromMs, toMs := v.Span()
		first, _ := slices.BinarySearchFunc(window, fromMs, func(e entry, ms int64) int {
			return compare(e.StartMs+e.DurationMs, ms+1)
		})
		last, _ := slices.BinarySearchFunc(window, toMs, func(e entry, ms int64) int { return compare(e.StartMs, ms) })
		window = window[first:max(first, last)]
	}
	if len(window) == len(r.window) && (len(window) == 0 || window[0].Number == r.window[0].Number) {
		return
	}
	r.window, r.changed = window, true
	s.show(r)
	for _, e := range window {
		s.looks++
		s.addObject(r, e)
		s.store.Renew(e.key, s.looks)
	}
	s.plan(s.nowMs())
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
