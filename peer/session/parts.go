package session

import (
	"slipstream/origin/manifest"
	"slipstream/peer/sched"
	"slipstream/peer/store"
)

// Parts of segments are objects like segments, only shorter. An audience that plays close to the live edge gets them in its
// windows, in the place of the segments that they make up, as far as the playlist lists them. When all parts of a segment are there,
// it is put together, so that viewers farther from the edge find it here.

// PartPlayer is an Audience that plays parts where there are any.
type PartPlayer interface {
	PlaysParts() bool
}

// split replaces segments of a window by their parts, and adds those of the segment that is not complete yet.
func (s *Session) split(r *rendition, playlist manifest.Playlist, window []entry) []entry {
	player, ok := s.cfg.Audience.(PartPlayer)
	if !ok || !player.PlaysParts() || len(playlist.Parts) == 0 {
		return window
	}
	parts, err := r.verifier.Parts(playlist, s.nowMs())
	if err != nil {
		s.log.Warn("the parts of a playlist were not accepted: playing whole segments", "rendition", r.name, "error", err)
		return window
	}
	r.whole = make(map[int64]entry)
	var out []entry
	for _, e := range window {
		of, rest := partsOf(parts, e.Number)
		parts = rest
		durationMs := int64(0)
		for _, p := range of {
			durationMs += p.Record.DurationMs
		}
		if d := durationMs - e.DurationMs; len(of) == 0 || d < -int64(len(of)) || d > int64(len(of)) {
			out = append(out, e)
			continue
		}
		e.assembled = true
		r.whole[e.Number] = e
		out = s.appendParts(r, out, of, e.Discontinuity)
	}
	r.byParts = true
	return s.appendParts(r, out, parts, false)
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

func (s *Session) appendParts(r *rendition, out []entry, parts []manifest.VerifiedPart, discontinuity bool) []entry {
	for _, p := range parts {
		e := s.entry(r, manifest.Verified{Record: p.Record, Segment: manifest.Segment{URI: p.Part.URI}})
		e.Part = p.Record.Part + 1
		e.Discontinuity = discontinuity && p.Record.Part == 0
		out = append(out, e)
	}
	return out
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
