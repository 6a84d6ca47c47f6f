package store

import (
	"bytes"
	"fmt"

	"slipstream/origin/cmaf"
	"slipstream/origin/manifest"
)

const (
	// listedParts is how many whole segments are listed with their parts: three target durations (RFC 8216bis, section 4.4.4.9).
	listedParts = 3
	// heldParts is how many keep them, for viewers whose playlist is older.
	heldParts = 2 * listedParts
)

// opened is the segment that is being filled.
type opened struct {
	number          int64
	discontinuity   bool
	discontinuities int64 // up to and including it
	init            manifest.Hash
	parts           []part
}

// part is one part of a segment.
type part struct {
	record       manifest.Record
	delegation   manifest.Delegation
	data, leaves []byte
	independent  bool
}

// PublishPart signs a part of the segment after the newest one and adds it to the window. Before the first of a segment
// its number is made durable, so that no later run signs others. A part that does not follow the one before it is refused.
func (s *Store) PublishPart(p cmaf.Part, nowMs int64) error {
	r, ok := s.rings[p.Rendition]
	if !ok {
		return fmt.Errorf("part %d of segment %d is not published: the channel has no rendition %q", p.Index, p.Number, p.Rendition)
	}
	r.publishing.Lock()
	defer r.publishing.Unlock()
	key, delegation, init, err := s.signing(r, p.Segment, nowMs)
	if err != nil {
		return err
	}
	next := 0
	if r.open != nil && r.open.number == p.Number {
		next = len(r.open.parts)
	}
	if p.Index != next || p.Index >= manifest.MaxParts {
		return fmt.Errorf("part %d of segment %d of %q is not published: of at most %d, number %d comes next", p.Index, p.Number, r.name, manifest.MaxParts, next)
	}
	leaves := manifest.LeafHashes(p.Data)
	rec, err := manifest.SignRecord(manifest.Record{
		Kind: manifest.KindPart, Session: s.cfg.SessionMs, Rendition: r.name, Sequence: p.Number, Part: p.Index, StartMs: p.StartMs,
		DurationMs: p.DurationMs, Size: int64(len(p.Data)), Root: manifest.Root(leaves), Init: init.record.Root,
		Previous: r.previous, CreatedMs: nowMs,
	}, s.cfg.Channel, key)
	if err != nil {
		return err
	}
	if p.Index == 0 {
		if err := s.durably(func() error { return writeBegun(s.cfg.Dir, r.name, p.Number) }); err != nil {
			return fmt.Errorf("part 0 of segment %d of %q is not published: %w", p.Number, r.name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Index == 0 {
		r.open = &opened{number: p.Number, init: rec.Init}
		r.open.discontinuity, r.open.discontinuities = r.breaks(p.Segment, rec.Init)
	}
	r.open.parts = append(r.open.parts, part{rec, delegation, p.Data, manifest.EncodeLeaves(leaves), p.Independent})
	r.inits[rec.Init] = init
	r.partTargetMs = max(r.partTargetMs, p.DurationMs)
	r.announce()
	return nil
}

// adoptParts gives a whole segment the parts that it was published in, which lie in its own bytes from now on, and
// takes them from one that has become too old.
func (r *ring) adoptParts(item *segment) {
	if r.open != nil && r.open.number == item.record.Sequence {
		rest := item.data
		for _, p := range r.open.parts {
			if !bytes.HasPrefix(rest, p.data) {
				item.parts = nil // these are not its parts
				break
			}
			p.data, rest = rest[:len(p.data):len(p.data)], rest[len(p.data):]
			item.parts = append(item.parts, p)
		}
	}
	r.open = nil
	if i := len(r.segments) - heldParts; i >= 0 {
		r.segments[i].parts = nil
	}
}

// Part returns the bytes of a part.
func (s *Store) Part(rendition string, number int64, index int) (Object, bool) {
	return s.part(rendition, number, index, func(p part) []byte { return p.data })
}

// PartLeaves returns the leaf list of a part.
func (s *Store) PartLeaves(rendition string, number int64, index int) (Object, bool) {
	return s.part(rendition, number, index, func(p part) []byte { return p.leaves })
}

func (s *Store) part(rendition string, number int64, index int, data func(part) []byte) (Object, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Object{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	parts := r.partsIn(number)
	if index < 0 || index >= len(parts) {
		return Object{}, false
	}
	return Object{data(parts[index]), parts[index].record.Root}, true
}

// Filling is the segment after the newest, as far as it has come. The bytes must not be changed.
type Filling struct {
	StartMs int64
	Init    []byte
	Parts   [][]byte
}

// Filling returns a segment that is being filled, and whether it is.
func (s *Store) Filling(rendition string, number int64) (Filling, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Filling{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	open := r.following()
	if open == nil || open.number != number || len(open.parts) == 0 {
		return Filling{}, false
	}
	f := Filling{StartMs: open.parts[0].record.StartMs, Init: r.inits[open.init].data}
	for _, p := range open.parts {
		f.Parts = append(f.Parts, p.data)
	}
	return f, true
}

// Edge is how far a rendition has come.
type Edge struct {
	Number    int64           // newest whole segment, -1 if there is none
	CreatedMs int64           // when it was published
	Begun     int64           // the segment after it, if parts of it are out; else -1
	Parts     int             // of it
	InParts   bool            // parts are published at all
	Changed   <-chan struct{} // closed when there is more
}

// Has reports whether a part of a segment is out; index -1 stands for the whole segment. Parts that its segment does not have are
// out when the segment is.
func (e Edge) Has(number int64, index int) bool {
	return number <= e.Number || number == e.Begun && index >= 0 && index < e.Parts
}

// Next reports whether a part is the one that will come next.
func (e Edge) Next(number int64, index int) bool {
	if e.Begun < 0 {
		return e.InParts && number == e.Number+1 && index == 0
	}
	return number == e.Begun && index == e.Parts || number == e.Begun+1 && index == 0
}

// Edge returns how far a rendition has come, and whether there is such a rendition.
func (s *Store) Edge(rendition string) (Edge, bool) {
	r, ok := s.rings[rendition]
	if !ok {
		return Edge{Number: -1, Begun: -1}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return r.edge(), true
}

func (r *ring) edge() Edge {
	e := Edge{Number: -1, Begun: -1, InParts: r.partTargetMs > 0, Changed: r.changed}
	if last := r.last(); last != nil {
		e.Number, e.CreatedMs = last.record.Sequence, last.record.CreatedMs
	}
	if open := r.following(); open != nil {
		e.Begun, e.Parts = open.number, len(open.parts)
	}
	return e
}

// following is the segment that is being filled if it is the one after the newest. After a hole it is not listed before it
// is whole: only then is it known how long the hole is.
func (r *ring) following() *opened {
	if last := r.last(); r.open == nil || last == nil || r.open.number != last.record.Sequence+1 {
		return nil
	}
	return r.open
}
