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
	if err := v.consistent(list, byKey(v.current)); err != nil {
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

// patternURIs is how many URIs of a playlist have to agree on what URIs look like, if it has as many.
const patternURIs = 8

// NextURI tells where segment number will be, from where a playlist says that its last segments are: every URI must be
// the same but for the segment's number, which it contains in one place. There is no answer where that is not so, or where
// there are fewer than two segments to go by.
func NextURI(listed []Segment, number int64) (uri string, ok bool) {
	var last []named
	for i := len(listed) - 1; i >= 0 && len(last) < patternURIs; i-- {
		if s := listed[i]; !s.Gap {
			last = append(last, named{s.URI, []int64{s.Number}})
		}
	}
	if len(last) < 2 {
		return "", false
	}
	return follow(last, []int64{number})
}

// NextPartURI is NextURI for parts: their URIs contain the segment's number, and somewhere behind it their own. The parts to go by
// must be of two segments.
func NextPartURI(listed []Part, number int64, index int) (uri string, ok bool) {
	listed = listed[max(len(listed)-patternURIs, 0):]
	if len(listed) == 0 || listed[0].Number == listed[len(listed)-1].Number {
		return "", false
	}
	var last []named
	for _, p := range listed {
		last = append(last, named{p.URI, []int64{p.Number, int64(p.Index)}})
	}
	return follow(last, []int64{number, int64(index)})
}

// named is a URI, or the end of one, and the numbers in it, in order.
type named struct {
	uri     string
	numbers []int64
}

// follow puts other numbers in the place of those that the URIs differ by.
func follow(list []named, numbers []int64) (uri string, ok bool) {
	first := list[0].uri
	if len(numbers) == 0 {
		for _, n := range list {
			ok = n.uri == first
			if !ok {
				return "", false
			}
		}
		return first, true
	}
	digits := strconv.FormatInt(list[0].numbers[0], 10)
	for at := 0; ; at++ {
		i := strings.Index(first[at:], digits)
		if i < 0 {
			return "", false
		}
		at += i
		if rest, ok := behind(list, first[:at]); ok {
			if end, ok := follow(rest, numbers[1:]); ok {
				return first[:at] + strconv.FormatInt(numbers[0], 10) + end, true
			}
		}
	}
}

// behind cuts off what all URIs must begin with, and the number after it.
func behind(list []named, begin string) (rest []named, ok bool) {
	for _, n := range list {
		end, ok := strings.CutPrefix(n.uri, begin+strconv.FormatInt(n.numbers[0], 10))
		if !ok {
			return nil, false
		}
		rest = append(rest, named{end, n.numbers[1:]})
	}
	return rest, true
}
