package manifest

import (
	"strconv"
	"strings"
)

// This file lets the live edge move without a playlist: a record that came alone, from a neighbour for instance, is
// enough, as long as it continues what the last playlist said without any change that only a playlist can tell.

// Genuine checks that a key of the channel signed the record, whatever its rendition. The keys known are those of the
// last playlist accepted. Code DelegationKey means that the key is not among them, which the next playlist may change;
// Signature that somebody forged the record.
func (v *Verifier) Genuine(rec Record) error {
	return v.signed(rec, byKey(v.current), rec.place())
}

// Next checks a segment's record at time nowMs and takes it for the one after the newest. Of the segment in the result
// only the URI is missing (see NextURI). The record is held to all that Playlist holds records to; beyond that
// it must follow the newest one exactly, in number, time, run of the origin and init section, since gaps and discontinuities are
// for a playlist to announce: otherwise the code is NotNext, also for records that are known or older. A record that is
// refused leaves no trace.
func (v *Verifier) Next(rec Record, nowMs int64) (Verified, error) {
	newest, where := v.newest, rec.place()
	switch {
	case rec.Kind != KindSegment:
		return Verified{}, refuse(WrongKind, where, "its record is not that of a segment (kind %d)", rec.Kind)
	case rec.Rendition != v.rendition:
		return Verified{}, refuse(WrongRendition, where, "its record belongs to rendition %q, not %q", rec.Rendition, v.rendition)
	}
	if err := v.Genuine(rec); err != nil {
		return Verified{}, err
	}
	next := Verified{Record: rec, Init: newest.Init}
	next.Segment = Segment{
		Number: rec.Sequence, DurationMs: rec.DurationMs, MapURI: newest.Segment.MapURI, InitRecord: &next.Init, Record: &next.Record,
	}
	list := []Verified{next}
	if err := v.fresh(list, false, nowMs); err != nil {
		return Verified{}, err
	}
	if err := permitted(next, byKey(v.current), nowMs); err != nil {
		return Verified{}, err
	}
	if err := v.consistent(list); err != nil {
		return Verified{}, err
	}
	gapMs := rec.StartMs - (newest.Record.StartMs + newest.Record.DurationMs)
	switch {
	case v.head < 0 || rec.Sequence != v.head+1:
		return Verified{}, refuse(NotNext, where, "it does not come after segment %d, the newest", v.head)
	case rec.Init != newest.Record.Init || rec.Session != newest.Record.Session || rec.Variant != newest.Record.Variant:
		return Verified{}, refuse(NotNext, where, "it begins something new, which a playlist has to announce")
	case gapMs < -1 || gapMs > 1:
		return Verified{}, refuse(NotNext, where, "it begins %d ms after the end of the segment before it", gapMs)
	}
	v.remember(list)
	return next, nil
}

func byKey(delegations []Delegation) map[KeyID][]Delegation {
	keys := make(map[KeyID][]Delegation, len(delegations))
	for _, d := range delegations {
		keys[d.Key()] = append(keys[d.Key()], d)
	}
	return keys
}

// patternSegments is how many segments of a playlist have to agree on what URIs look like, if it has as many.
const patternSegments = 8

// NextURI tells where segment number will be, from where a playlist says that its last segments are: every URI must be
// the same but for the segment's number, which it contains in one place. There is no answer where that is not so, or where
// there are fewer than two segments to go by.
func NextURI(listed []Segment, number int64) (uri string, ok bool) {
	var last []Segment // newest first
	for i := len(listed) - 1; i >= 0 && len(last) < patternSegments; i-- {
		if !listed[i].Gap {
			last = append(last, listed[i])
		}
	}
	if len(last) < 2 {
		return "", false
	}
	newest, digits := last[0].URI, strconv.FormatInt(last[0].Number, 10)
	for at := 0; ; at++ {
		i := strings.Index(newest[at:], digits)
		if i < 0 {
			return "", false
		}
		at += i
		before, after := newest[:at], newest[at+len(digits):]
		if agree(last, before, after) {
			return before + strconv.FormatInt(number, 10) + after, true
		}
	}
}

func agree(segments []Segment, before, after string) bool {
	for _, s := range segments {
		if s.URI != before+strconv.FormatInt(s.Number, 10)+after {
			return false
		}
	}
	return true
}
