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
	for _, p := range pl.Parts {
		where := fmt.Sprintf("part %d of segment %d of %q", p.Index, p.Number, v.rendition)
		if p.Record == nil || p.InitRecord == nil {
			return nil, refuse(NoRecord, where, "it has no record, or its init section has none")
		}
		rec := *p.Record
		switch {
		case rec.Kind != KindPart:
			return nil, refuse(WrongKind, where, "its record is not that of a part (kind %d)", rec.Kind)
		case rec.Rendition != v.rendition:
			return nil, refuse(WrongRendition, where, "its record belongs to rendition %q", rec.Rendition)
		case rec.Sequence != p.Number || rec.Part != p.Index:
			return nil, refuse(WrongSequence, where, "its record is that of %s", rec.place())
		case rec.Init != p.InitRecord.Root:
			return nil, refuse(WrongInit, where, "it was signed for another init section than the one listed")
		}
		if d := p.DurationMs - rec.DurationMs; d < -1 || d > 1 {
			return nil, refuse(WrongTiming, where, "the playlist says it lasts %d ms, its record %d ms", p.DurationMs, rec.DurationMs)
		}
		if err := v.partContinues(rec, out); err != nil {
			return nil, err
		}
		if !v.genuine.has(rec.Hash()) {
			if err := v.signed(rec, keys, where); err != nil {
				return nil, err
			}
		}
		if err := permitted(Verified{Record: rec, Init: *p.InitRecord}, keys, nowMs); err != nil {
			return nil, err
		}
		if ahead := rec.CreatedMs - nowMs; ahead > MaxSkewMs {
			return nil, refuse(Future, where, "its record was signed %d s in the future: one of the clocks is wrong", ahead/1000)
		}
		if old, ok := v.parts.get(partPlace{rec.Sequence, rec.Part}); ok && old.Root != rec.Root && old.Variant == rec.Variant {
			e := refuse(Equivocation, where, "equivocation: the channel signed two different contents for it")
			e.Proof = []Record{old, rec}
			return nil, e
		}
		out = append(out, VerifiedPart{p, rec})
	}
	for _, p := range out {
		v.parts.put(partPlace{p.Record.Sequence, p.Record.Part}, p.Record)
		v.genuine.put(p.Record.Hash(), struct{}{})
	}
	return out, nil
}

type partPlace struct {
	sequence int64
	part     int
}

// partContinues checks a part's record against the segment before its own and against the part before it.
func (v *Verifier) partContinues(rec Record, before []VerifiedPart) error {
	if segment, ok := v.seen.get(rec.Sequence - 1); ok && rec.Previous != segment.Hash() {
		return refuse(BrokenChain, rec.place(), "its record does not follow the record of segment %d", rec.Sequence-1)
	}
	if len(before) == 0 {
		return nil
	}
	last := before[len(before)-1].Record
	if last.Sequence != rec.Sequence {
		return nil
	}
	if gapMs := rec.StartMs - (last.StartMs + last.DurationMs); gapMs < -1 || gapMs > 1 {
		return refuse(WrongTiming, rec.place(), "it begins %d ms after the end of the part before it", gapMs)
	}
	return nil
}
