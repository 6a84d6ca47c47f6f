package session

import (
	"net/url"
	"strconv"

	"slipstream/origin/manifest"
	"slipstream/peer/sched"
	"slipstream/peer/store"
)

// Parts of segments are objects like segments, only shorter. An audience that plays close to the live edge gets them in its
// windows, in the place of the segments that they make up, as far as the playlist lists them. When all parts of a segment are there,
// it is put together, so that viewers farther from the edge find it here.

// listedParts is how many whole segments are listed with their parts, as by the origin.
const listedParts = 3

// PartPlayer is an Audience that plays parts where there are any.
type PartPlayer interface {
	PlaysParts() bool
}

// takeParts takes the parts of a playlist that has been accepted, and keeps those that neighbours told of beyond it.
func (s *Session) takeParts(r *rendition, playlist manifest.Playlist) {
	before := r.parts
	r.parts = nil
	player, ok := s.cfg.Audience.(PartPlayer)
	if !ok || !player.PlaysParts() || len(playlist.Parts) == 0 {
		return
	}
	parts, err := r.verifier.Parts(playlist, s.nowMs())
	if err != nil {
		s.log.Warn("the parts of a playlist were not accepted: playing whole segments", "rendition", r.name, "error", err)
		return
	}
	newest := parts[len(parts)-1].Record
	for _, p := range before {
		if p.Record.StartMs > newest.StartMs {
			parts = append(parts, p)
		}
	}
	r.parts = parts
}

// compose makes a rendition's window of its segments and parts.
func (s *Session) compose(r *rendition) {
	r.changed = true
	if len(r.parts) == 0 {
		r.window, r.whole = r.segments, nil
		return
	}
	oldest := r.segments[max(len(r.segments)-listedParts, 0)].Number
	for r.parts[0].Record.Sequence < oldest && len(r.parts) > 1 {
		r.parts = r.parts[1:]
	}
	r.window, r.whole = nil, make(map[int64]entry)
	rest := r.parts
	for _, e := range r.segments {
		var of []manifest.VerifiedPart
		of, rest = partsOf(rest, e.Number)
		durationMs := int64(0)
		for _, p := range of {
			durationMs += p.Record.DurationMs
		}
		if d := durationMs - e.DurationMs; len(of) == 0 || d < -int64(len(of)) || d > int64(len(of)) {
			r.window = append(r.window, e)
			continue
		}
		e.assembled = true
		r.whole[e.Number] = e
		s.appendParts(r, of, e.Discontinuity)
	}
	s.appendParts(r, rest, false)
}

// partsOf takes the parts of a segment off the front of a list.
func partsOf(parts []manifest.VerifiedPart, number int64) (of, rest []manifest.VerifiedPart) {
	for len(parts) > 0 && parts[0].Record.Sequence < number {
		parts = parts[1:]
	}
	n := 0
	for n < len(parts) && parts[n].Record.Sequence == number {
		n++
	}
	return parts[:n], parts[n:]
}

func (s *Session) appendParts(r *rendition, parts []manifest.VerifiedPart, discontinuity bool) {
	for _, p := range parts {
		e := s.entry(r, manifest.Verified{Record: p.Record, Segment: manifest.Segment{URI: p.Part.URI}})
		e.Part = p.Record.Part + 1
		e.Discontinuity = discontinuity && p.Record.Part == 0
		r.window = append(r.window, e)
	}
}

// open is the parts that are known of the segment after the newest.
func (r *rendition) open() []manifest.VerifiedPart {
	of, _ := partsOf(r.parts, r.verifier.Head()+1)
	return of
}

// isNext tells whether a record is of what comes next: a part, or where there are parts a segment all of whose parts are known.
func (r *rendition) isNext(rec manifest.Record) bool {
	if rec.Sequence != r.verifier.Head()+1 {
		return false
	}
	open := r.open()
	switch {
	case rec.Kind == manifest.KindPart:
		return len(r.parts) > 0 && rec.Part == len(open)
	case len(r.parts) == 0:
		return true
	case len(open) == 0:
		return false
	}
	last := open[len(open)-1].Record
	d := last.StartMs + last.DurationMs - rec.StartMs - rec.DurationMs
	return d >= -int64(len(open)) && d <= int64(len(open))
}

// place is a part, or with the index of its first part a segment, that is waited for.
type place struct {
	number int64
	part   int
}

// awaited is what the next playlist should bring. The parts of a segment are out before it is: then the next one's are awaited.
func (r *rendition) awaited() place {
	at := place{number: r.verifier.Head() + 1, part: len(r.open())}
	if at.part > 0 && len(r.segments) > 0 {
		newest := r.segments[len(r.segments)-1]
		if r.endMs()-(newest.StartMs+newest.DurationMs) > newest.DurationMs-r.edge.stepMs/2 {
			return place{number: at.number + 1}
		}
	}
	return at
}

// waiting is the address of a playlist that has a place, or waits until it has.
func waiting(playlist *url.URL, until place) string {
	u := *playlist
	query := u.Query()
	query.Set("_HLS_msn", strconv.FormatInt(until.number, 10))
	query.Set("_HLS_part", strconv.Itoa(until.part))
	u.RawQuery = query.Encode()
	return u.String()
}

// assemble puts a segment together from its parts, if all are there. It is the same bytes: the signature says so.
func (s *Session) assemble(r *rendition, number int64) {
	whole, split := r.whole[number]
	if !split || s.store.Complete(whole.key) {
		return
	}
	data := make([]byte, 0, whole.record.Size)
	for _, e := range r.window {
		if e.Number != number {
			continue
		}
		part, err := s.store.Object(e.key)
		if err != nil || int64(len(data)+len(part)) > whole.record.Size {
			return
		}
		data = append(data, part...)
	}
	s.addObject(r, whole)
	o := s.objectByKey(whole.key)
	if o == nil {
		return
	}
	if err := s.store.PutObject(o.key, data); err != nil {
		if store.Blame(err) {
			s.log.Warn("a segment's parts do not make it up", "segment", number, "error", err)
			delete(r.whole, number)
		}
		return
	}
	for leaf := range o.leaves() {
		s.event(sched.Event{Kind: sched.Verified, Object: o.id, Leaf: int32(leaf), Neighbour: sched.CDN})
	}
}

// turn is what rotates the stripes: the sequence number, of a part with its index.
func turn(rec manifest.Record) int64 { return rec.Sequence + int64(rec.Part) }
