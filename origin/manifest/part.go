package manifest

import "fmt"

// Parts of segments (low latency) are objects like segments. In a media playlist a record of kind 2 comes before each
// EXT-X-PART, and what it says of its place is held to the playlist. The chain of records runs over segments only: the
// record of a part names, as Previous, the record of the last segment before its own.

const (
	// TagPart comes before each EXT-X-PART: the record of the part.
	TagPart = "#EXT-X-SLIPSTREAM-PART:"
	// MaxParts bounds the parts of a segment.
	MaxParts = 64
)

// Part is one EXT-X-PART of a media playlist.
type Part struct {
	Number     int64 // of the segment that it is a part of
	Index      int   // within it, from 0
	URI        string
	DurationMs int64
	InitRecord *Record
	Record     *Record
}

// VerifiedPart is a part whose record, place and times have been checked; its bytes have not.
type VerifiedPart struct {
	Part   Part
	Record Record
}

// Parts checks the parts of a playlist that Playlist has just accepted, and returns them in order. A viewer whose playlist fails
// here plays whole segments. The codes are those of Playlist.
func (v *Verifier) Parts(pl Playlist, nowMs int64) ([]VerifiedPart, error) {
	keys := byKey(pl.Delegations)
	var out []VerifiedPart
	var before *Record
	for _, p := range pl.Parts {
		if err := v.part(p, keys, before, nowMs); err != nil {
			return nil, err
		}
		before = p.Record
		out = append(out, VerifiedPart{p, *p.Record})
	}
	for _, p := range out {
		v.rememberPart(p.Record)
	}
	return out, nil
}

// NextPart checks a part's record that came without a playlist, and takes it for the one after the newest part. Of the part in the
// result only the URI is missing (see NextPartURI). It is held to all that Parts holds records to; beyond that it must be the
// part that comes next, without any change that a playlist has to announce: otherwise the code is NotNext, or WrongInit.
func (v *Verifier) NextPart(rec Record, nowMs int64) (VerifiedPart, error) {
	if err := v.Genuine(rec); err != nil {
		return VerifiedPart{}, err
	}
	newest, init := v.newest.Record, v.newest.Init
	index, endMs := 0, newest.StartMs+newest.DurationMs
	var before *Record
	if v.open.Sequence == v.head+1 {
		before, index, endMs = &v.open, v.open.Part+1, v.open.StartMs+v.open.DurationMs
	}
	p := Part{Number: rec.Sequence, Index: rec.Part, DurationMs: rec.DurationMs, InitRecord: &init, Record: &rec}
	if err := v.part(p, byKey(v.current), before, nowMs); err != nil {
		return VerifiedPart{}, err
	}
	gapMs := rec.StartMs - endMs
	switch {
	case v.head < 0 || rec.Sequence != v.head+1 || rec.Part != index:
		return VerifiedPart{}, refuse(NotNext, rec.place(), "part %d of segment %d comes next", index, v.head+1)
	case rec.Session != newest.Session || rec.Variant != newest.Variant:
		return VerifiedPart{}, refuse(NotNext, rec.place(), "it begins something new, which a playlist has to announce")
	case gapMs < -1 || gapMs > 1:
		return VerifiedPart{}, refuse(NotNext, rec.place(), "it begins %d ms after the end of what came before it", gapMs)
	}
	v.rememberPart(rec)
	return VerifiedPart{p, rec}, nil
}

// part checks one part, and its record against the record of the part before it, if there is one.
func (v *Verifier) part(p Part, keys map[KeyID][]Delegation, before *Record, nowMs int64) error {
	as := Segment{Number: p.Number, DurationMs: p.DurationMs, InitRecord: p.InitRecord, Record: p.Record}
	if err := v.authenticAs(KindPart, p.Index, as, fmt.Sprintf("part %d of segment %d of %q", p.Index, p.Number, v.rendition), keys); err != nil {
		return err
	}
	rec := *p.Record
	entry := Verified{Record: rec, Init: *p.InitRecord}
	if err := v.fresh([]Verified{entry}, false, nowMs); err != nil {
		return err
	}
	if err := permitted(entry, keys, nowMs); err != nil {
		return err
	}
	old, known := v.parts.get(partPlace{rec.Sequence, rec.Part})
	segment, follows := v.seen.get(rec.Sequence - 1)
	if err := contradicts(rec, old, known, segment, follows && v.region(rec, keys) == v.region(segment, keys)); err != nil {
		return err
	}
	if before == nil || before.Sequence != rec.Sequence {
		return nil
	}
	if gapMs := rec.StartMs - (before.StartMs + before.DurationMs); gapMs < -1 || gapMs > 1 {
		return refuse(WrongTiming, rec.place(), "it begins %d ms after the end of the part before it", gapMs)
	}
	return nil
}

func (v *Verifier) rememberPart(rec Record) {
	v.parts.put(partPlace{rec.Sequence, rec.Part}, rec)
	v.open = rec
}

type partPlace struct {
	sequence int64
	part     int
}
