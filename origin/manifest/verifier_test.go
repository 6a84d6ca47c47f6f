package manifest

import (
	"fmt"
	"strings"
	"testing"
)

// scenario is a story of polls told to one verifier. The same stories are in the shared vectors.
type scenario struct {
	name      string
	channel   Hash
	rendition string
	polls     []poll
}

type poll struct {
	text   string
	record *Record // that came alone, instead of a playlist
	nowMs  int64
	want   []int64 // numbers of the segments accepted
	code   Code    // or the reason for the refusal,
	says   string  // whose sentence contains this
}

func numbers(first, last int64) []int64 {
	var out []int64
	for n := first; n <= last; n++ {
		out = append(out, n)
	}
	return out
}

const seen = nowMs + 4500 // a moment at which segment number+1 is just out

// accepted are playlists that a viewer must believe.
func accepted() []scenario {
	var out []scenario
	tell := func(name string, s *stage, polls ...poll) {
		out = append(out, scenario{name, s.channel, "360p", polls})
	}
	s := newStage()
	all := s.window(number+1, 8)
	live := s.playlist(all)
	tell("a live window", s, poll{text: live, nowMs: seen, want: numbers(number-6, number+1)})
	tell("poll after poll", s,
		poll{text: s.playlist(all[:4]), nowMs: seen - 8000, want: numbers(number-6, number-3)},
		poll{text: s.playlist(all[1:5]), nowMs: seen - 6000, want: numbers(number-5, number-2)},
		poll{text: s.playlist(all[5:]), nowMs: seen, want: numbers(number-1, number+1)})
	tell("an edge that lags by three segments", s,
		poll{text: live, nowMs: seen, want: numbers(number-6, number+1)},
		poll{text: s.playlist(all[:5]), nowMs: seen + 1000, want: numbers(number-6, number-2)})
	tell("a verifier whose clock is 60 s slow", s, poll{text: live, nowMs: seen - 60_400, want: numbers(number-6, number+1)})
	tell("a head that is ten minutes old", s, poll{text: live, nowMs: all[7].CreatedMs + MaxAgeMs, want: numbers(number-6, number+1)})
	tell("a playlist without segments", s, poll{text: "#EXTM3U\n#EXT-X-TARGETDURATION:2\n", nowMs: seen})

	s = newStage()
	gap := append(s.window(number-5, 2), s.window(number+1, 3)...)
	tell("a gap in the window", s, poll{text: s.playlist(gap), nowMs: seen, want: append(numbers(number-6, number-5), numbers(number-1, number+1)...)})

	s = newStage()
	before := s.window(number-3, 3)
	s.segment(number - 2) // durable, but the origin died before it was published
	after := s.window(number+1, 2)
	tell("a restart after a signed head that was never published", s,
		poll{text: s.playlist(before), nowMs: seen - 8000, want: numbers(number-5, number-3)},
		poll{text: s.playlist(after), nowMs: seen, want: numbers(number, number+1)})

	s = newStage()
	old := s.window(number-1, 3)
	oldDelegation := s.delegation
	s.signing = keyFrom("signing 2")
	s.delegation = s.appoint(s.signing, func(d *Delegation) { d.NotBeforeMs = nowMs - 1000; d.NotAfterMs = nowMs + MaxDelegationMs - 1000 })
	renewed := s.init
	renewed.CreatedMs, renewed.Sequence = nowMs, number
	s.init = s.sign(renewed)
	fresh := s.window(number+1, 2)
	tell("a signing key that was renewed in mid-window", s,
		poll{text: s.playlist(append(old, fresh...), oldDelegation, s.delegation), nowMs: seen, want: numbers(number-3, number+1)})
	expired := s.appoint(keyFrom("an older key"), func(d *Delegation) { d.NotBeforeMs = nowMs - 50_000_000; d.NotAfterMs = nowMs - 40_000_000 })
	tell("an expired delegation that nothing needs", s,
		poll{text: s.playlist(fresh, expired, s.delegation), nowMs: seen, want: numbers(number, number+1)})

	here, there := newStage(), elsewhere("us-1")
	first, other := here.window(number-3, 4), there.window(number-1, 6)
	here.segment(number - 2)
	back := here.window(number+1, 3)
	tell("to another region and back", here,
		poll{text: here.playlist(first), nowMs: seen - 8000, want: numbers(number-6, number-3)},
		poll{text: there.playlist(other), nowMs: seen - 4000, want: numbers(number-6, number-1)},
		poll{text: here.playlist(back), nowMs: seen, want: numbers(number-1, number+1)})
	return out
}

// elsewhere is an origin that packages the same content, with a key of its own that was appointed for a region.
func elsewhere(region string) *stage {
	s := newStage()
	s.signing = keyFrom("signing elsewhere")
	s.delegation = s.appoint(s.signing, func(d *Delegation) { d.Region = region })
	s.init = s.sign(s.init)
	return s
}

// refused are playlists that were tampered with, each in one way, by somebody who may hold every key if need be.
func refused() []scenario {
	var out []scenario
	tell := func(name string, s *stage, polls ...poll) {
		out = append(out, scenario{name, s.channel, "360p", polls})
	}
	here, there := newStage(), elsewhere("eu-1")
	tell("a chain of its own by another key of the same region", here,
		poll{text: here.playlist(here.window(number-1, 3)), nowMs: seen - 4000, want: numbers(number-3, number-1)},
		poll{text: there.playlist(there.window(number+1, 2)), nowMs: seen, code: BrokenChain, says: "does not follow"})
	there = elsewhere("us-1")
	there.window(number-1, 1)
	elsewhereOnly := there.window(number+1, 1)
	tell("a segment left out in another region", here,
		poll{text: here.playlist(here.window(number-1, 1)), nowMs: seen - 4000, want: numbers(number-1, number-1)},
		poll{text: there.playlist(append(elsewhere("us-1").window(number, 1), elsewhereOnly...)), nowMs: seen, code: BrokenChain, says: "does not follow"})
	// one plays a window of four segments whose third was changed.
	one := func(name string, change func(s *stage, list []Record) string, code Code, says string) {
		s := newStage()
		list := s.window(number+1, 4)
		tell(name, s, poll{text: change(s, list), nowMs: seen, code: code, says: says})
	}
	third := fmt.Sprintf("segment %d of \"360p\"", number)
	resigned := func(change func(*Record)) func(*stage, []Record) string {
		return func(s *stage, list []Record) string {
			change(&list[2])
			list[2] = s.sign(list[2])
			return s.playlist(list)
		}
	}
	tampered := func(change func(*Record)) func(*stage, []Record) string {
		return func(s *stage, list []Record) string {
			change(&list[2])
			return s.playlist(list)
		}
	}
	edited := func(old, new string) func(*stage, []Record) string {
		return func(s *stage, list []Record) string { return strings.Replace(s.playlist(list), old, new, 1) }
	}
	appointed := func(change func(*Delegation)) func(*stage, []Record) string {
		return func(s *stage, list []Record) string { return s.playlist(list, s.appoint(s.signing, change)) }
	}

	one("a record left out", func(s *stage, list []Record) string {
		return strings.Replace(s.playlist(list), TagRecord+base64URL.EncodeToString(list[2].Encode())+"\n", "", 1)
	}, NoRecord, third+": it has no record")
	one("an init record left out", func(s *stage, list []Record) string {
		return strings.Replace(s.playlist(list), TagInit, "#EXT-X-OTHER:", 1)
	}, NoRecord, "its init section has no record")
	one("a changed root", tampered(func(r *Record) { r.Root[0] ^= 1 }), Signature, third+": the signature")
	one("a changed size", tampered(func(r *Record) { r.Size++ }), Signature, third+": the signature")
	one("a changed start", tampered(func(r *Record) { r.StartMs++ }), Signature, third+": the signature")
	one("a changed signature", tampered(func(r *Record) { r.Signature[10] ^= 1 }), Signature, third+": the signature")
	one("a record from another channel", func(s *stage, list []Record) string {
		list[2] = must(SignRecord(list[2], Hash{1}, s.signing))
		return s.playlist(list)
	}, Signature, third+": the signature")
	one("a changed init record", func(s *stage, list []Record) string {
		s.init.Size++
		return s.playlist(list)
	}, Signature, "its init section: the signature")
	one("a key that nobody appointed", func(s *stage, list []Record) string {
		list[2] = must(SignRecord(list[2], s.channel, keyFrom("stranger")))
		return s.playlist(list)
	}, DelegationKey, third+": the playlist has no delegation for the key")
	one("no delegation", func(s *stage, list []Record) string {
		return strings.Replace(s.playlist(list), TagDelegation, "#EXT-X-OTHER:", 1)
	}, DelegationKey, "no delegation for the key")
	one("a changed delegation", func(s *stage, list []Record) string {
		s.delegation.LastSequence++
		return s.playlist(list)
	}, DelegationSignature, "the delegation of key "+newStage().delegation.Key().String()+": its signature")
	one("a stranger's delegation", func(s *stage, list []Record) string {
		return s.playlist(list, must(SignDelegation(s.delegation, keyFrom("stranger"))))
	}, DelegationChannel, "another channel")
	one("an expired delegation", appointed(func(d *Delegation) { d.NotAfterMs = nowMs - 70_000 }), DelegationExpired, "it has expired")
	one("a delegation of tomorrow", appointed(func(d *Delegation) { d.NotBeforeMs = nowMs + 70_000 }), DelegationFuture, "not valid yet")
	one("a delegation for earlier segments", appointed(func(d *Delegation) { d.LastSequence = number - 1 }), DelegationRange,
		third+": the delegation of key")
	one("a delegation for later segments", appointed(func(d *Delegation) { d.FirstSequence = number - 1 }), DelegationRange,
		fmt.Sprintf("not %d", number-2))
	one("a record of another kind", resigned(func(r *Record) { r.Kind = KindPart; r.DurationMs = 2000 }), WrongKind, third+": its record is not that of a segment")
	one("a segment's record beside the init section", func(s *stage, list []Record) string {
		s.init = list[0]
		return s.playlist(list)
	}, WrongKind, "not that of an init section")
	one("a record of another rendition", resigned(func(r *Record) { r.Rendition = "180p" }), WrongRendition, third+": its record belongs to rendition \"180p\"")
	one("an init record of another rendition", func(s *stage, list []Record) string {
		s.init.Rendition = "180p"
		s.init = s.sign(s.init)
		return s.playlist(list)
	}, WrongRendition, "the record of its init section belongs to rendition \"180p\"")
	one("a segment moved to another number", func(s *stage, list []Record) string {
		list[2] = list[1]
		return s.playlist(list)
	}, WrongSequence, fmt.Sprintf("%s: its record is that of segment %d", third, number-1))
	one("a shifted media sequence", edited(fmt.Sprint("MEDIA-SEQUENCE:", number-2), fmt.Sprint("MEDIA-SEQUENCE:", number-1)), WrongSequence, "its record is that of segment")
	one("a segment for another init section", resigned(func(r *Record) { r.Init[0] ^= 1 }), WrongInit, third+": it was signed for another init section")
	one("a stretched duration", edited("#EXTINF:2.000", "#EXTINF:4.000"), WrongTiming, "the playlist says it lasts 4000 ms, its record 2000 ms")
	one("a shifted date", edited("2025-12-31T23:59:56.000Z", "2025-12-31T23:58:56.000Z"), WrongTiming, "the playlist says it starts at")
	one("a replaced record", resigned(func(r *Record) { r.Root[0] ^= 1 }), BrokenChain,
		fmt.Sprintf("segment %d of \"360p\": its record does not follow the record of segment %d", number+1, number))
	one("a forgotten past", resigned(func(r *Record) { r.Previous = Hash{} }), BrokenChain, third+": its record does not follow")
	one("a segment hidden as a gap", func(s *stage, list []Record) string {
		return s.playlist(append(list[:1:1], list[2:]...))
	}, BrokenChain, third+": its record does not follow the record of segment")
	one("a record from the future", resigned(func(r *Record) { r.CreatedMs = seen + 61_000 }), Future, third+": its record was signed 61 s in the future")

	s := newStage()
	all := s.window(number+1, 8)
	tell("yesterday's playlist", s, poll{text: s.playlist(all), nowMs: nowMs + 86_400_000, code: Replay,
		says: fmt.Sprintf("this playlist is a replay: its newest record, segment %d of \"360p\", was signed 1439 minutes ago", number+1)})
	tell("a head that is more than ten minutes old", s, poll{text: s.playlist(all), nowMs: all[7].CreatedMs + MaxAgeMs + 1, code: Replay, says: "signed 10 minutes ago"})
	tell("an earlier playlist again", s,
		poll{text: s.playlist(all), nowMs: seen, want: numbers(number-6, number+1)},
		poll{text: s.playlist(all[:4]), nowMs: seen, code: Replay, says: fmt.Sprintf("replay: it ends with segment %d", number-3)})
	tell("a chain broken between two polls", s,
		poll{text: s.playlist(all[:4]), nowMs: seen - 8000, want: numbers(number-6, number-3)},
		poll{text: s.playlist([]Record{s.segment(number - 2)}), nowMs: seen, code: BrokenChain, says: fmt.Sprintf("follow the record of segment %d", number-3)})
	tell("a refused playlist leaves no trace", s,
		poll{text: strings.Replace(s.playlist(all), "#EXTINF:2.000", "#EXTINF:3.000", 1), nowMs: seen, code: WrongTiming, says: "3000 ms"},
		poll{text: s.playlist(all[:4]), nowMs: seen, want: numbers(number-6, number-3)})

	s = newStage()
	first := s.window(number, 3)
	second := first[2]
	second.Root[0] ^= 1
	second = s.sign(second)
	tell("two contents for one segment", s,
		poll{text: s.playlist(first), nowMs: seen, want: numbers(number-2, number)},
		poll{text: s.playlist(append(first[:2:2], second)), nowMs: seen, code: Equivocation, says: third + ": equivocation"})

	s = newStage()
	other := scenario{"another channel's viewer", Hash{7}, "360p", []poll{{text: s.playlist(s.window(number, 2)), nowMs: seen, code: DelegationChannel, says: "another channel"}}}
	wrong := scenario{"a viewer of another rendition", s.channel, "180p", []poll{{text: s.playlist(s.window(number, 2)), nowMs: seen, code: WrongRendition, says: "rendition \"360p\""}}}
	return append(out, other, wrong)
}

func TestScenarios(t *testing.T) {
	for _, sc := range append(accepted(), refused()...) {
		t.Run(sc.name, sc.play)
	}
}

func (sc scenario) play(t *testing.T) {
	v := NewVerifier(sc.channel, sc.rendition)
	for i, p := range sc.polls {
		list, err := p.tell(t, v)
		if p.code != "" {
			assertRefusal(t, fmt.Sprintf("poll %d", i), err, p.code, p.says)
			if list != nil {
				t.Errorf("poll %d: refused, yet %d segments came out", i, len(list))
			}
			continue
		}
		if err != nil {
			t.Fatalf("poll %d is refused: %v", i, err)
		}
		var got []int64
		for _, entry := range list {
			got = append(got, entry.Record.Sequence)
		}
		if fmt.Sprint(got) != fmt.Sprint(p.want) {
			t.Errorf("poll %d: accepted %v, want %v", i, got, p.want)
		}
	}
}

func (p poll) tell(t *testing.T, v *Verifier) ([]Verified, error) {
	if p.record != nil {
		next, err := v.Next(*p.record, p.nowMs)
		if err != nil {
			return nil, err
		}
		return []Verified{next}, nil
	}
	pl, err := ReadPlaylist(p.text)
	if err != nil {
		t.Fatalf("it cannot even be read: %v", err)
	}
	return v.Playlist(pl, p.nowMs)
}

func TestEquivocationCarriesItsProof(t *testing.T) {
	s := newStage()
	first := s.segment(number)
	second := first
	second.Root[0] ^= 1
	second = s.sign(second)
	v := NewVerifier(s.channel, "360p")
	for i, rec := range []Record{first, second} {
		_, err := v.Playlist(must(ReadPlaylist(s.playlist([]Record{rec}))), seen)
		if i == 0 {
			continue
		}
		e, ok := err.(*Error)
		if !ok || len(e.Proof) != 2 || e.Proof[0] != first || e.Proof[1] != second {
			t.Fatalf("the contradiction is not proven: %v", err)
		}
	}
}

// A poll costs one signature per new segment. Instead of a clock the test uses a trap: a record that was accepted
// is not looked at again, so its signature can no longer be what makes it pass.
func TestVerifiedRecordsAreRemembered(t *testing.T) {
	s := newStage()
	v := NewVerifier(s.channel, "360p")
	pl := must(ReadPlaylist(s.playlist(s.window(number, 8))))
	if _, err := v.Playlist(pl, seen); err != nil {
		t.Fatal(err)
	}
	v.channel = Hash{1} // from here on no signature verifies
	if _, err := v.Playlist(pl, seen); err != nil {
		t.Errorf("the same playlist was verified anew: %v", err)
	}
	if _, err := v.Playlist(must(ReadPlaylist(s.playlist(s.window(number+1, 1)))), seen); CodeOf(err) != Signature {
		t.Errorf("a new record passed without a look at its signature: %v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory[int, int](3)
	for i := range 10 {
		m.put(i, i)
		m.put(i, 2*i)
	}
	for i := range 10 {
		if v, ok := m.get(i); ok != (i >= 7) || ok && v != 2*i {
			t.Errorf("%d: %d, %t", i, v, ok)
		}
	}
	if len(m.values) != 3 || len(m.order) != 3 {
		t.Errorf("it holds %d values and %d keys", len(m.values), len(m.order))
	}
}
