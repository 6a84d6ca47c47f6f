package manifest

import (
	"fmt"
	"strings"
	"testing"
)

// news are stories in which records come alone, after playlists.
func news() []scenario {
	var out []scenario
	tell := func(name string, s *stage, polls ...poll) {
		out = append(out, scenario{name, s.channel, "360p", polls})
	}
	alone := func(rec Record, code Code, says string) poll {
		p := poll{record: &rec, nowMs: seen, code: code, says: says}
		if code == "" {
			p.want = []int64{rec.Sequence}
		}
		return p
	}
	// one tells a viewer of segments number-3 to number, then of a changed number+1.
	one := func(name string, change func(s *stage, rec *Record), code Code, says string) {
		s := newStage()
		first := s.playlist(s.window(number, 4))
		rec := s.plain(number + 1)
		change(s, &rec)
		if rec.Key == (KeyID{}) {
			rec = s.sign(rec)
		}
		tell(name, s, poll{text: first, nowMs: seen, want: numbers(number-3, number)}, alone(rec, code, says))
	}
	s := newStage()
	list := s.window(number+1, 6)
	before := s.playlist(list[:3])
	tell("three records after a playlist", s,
		poll{text: before, nowMs: seen - 6000, want: numbers(number-4, number-2)},
		alone(list[3], "", ""), alone(list[4], "", ""), alone(list[5], "", ""))
	tell("a playlist that confirms them", s,
		poll{text: before, nowMs: seen - 6000, want: numbers(number-4, number-2)},
		alone(list[3], "", ""), alone(list[4], "", ""),
		poll{text: s.playlist(list), nowMs: seen, want: numbers(number-4, number+1)},
		alone(list[5], NotNext, "it does not come after"))
	tell("a playlist that lags behind them", s,
		poll{text: before, nowMs: seen - 6000, want: numbers(number-4, number-2)},
		alone(list[3], "", ""), alone(list[4], "", ""),
		poll{text: before, nowMs: seen, want: numbers(number-4, number-2)}, alone(list[5], "", ""))
	tell("a recording of last year", s,
		poll{text: s.playlist(list) + "#EXT-X-ENDLIST\n", nowMs: seen + 365*86_400_000, want: numbers(number-4, number+1)})
	tell("a recording older than what was seen", s,
		poll{text: s.playlist(list), nowMs: seen, want: numbers(number-4, number+1)},
		poll{text: s.playlist(list[:2]) + "#EXT-X-ENDLIST\n", nowMs: seen, code: Replay, says: "it ends with"})
	tell("a record before any playlist", s, alone(list[5], DelegationKey, "no delegation"))
	tell("a record out of turn", s,
		poll{text: before, nowMs: seen - 6000, want: numbers(number-4, number-2)},
		alone(list[5], NotNext, fmt.Sprintf("it does not come after segment %d", number-2)), alone(list[3], "", ""))
	tell("a record that is known", s,
		poll{text: before, nowMs: seen - 6000, want: numbers(number-4, number-2)}, alone(list[2], NotNext, "the newest"))
	late := newStage()
	past := late.window(number, 3)
	late.delegation = late.appoint(late.signing, func(d *Delegation) { d.NotAfterMs = nowMs - 70_000 })
	tell("a recording signed after the delegation had run out", late,
		poll{text: late.playlist(past) + "#EXT-X-ENDLIST\n", nowMs: seen, code: DelegationExpired, says: "it has expired"})
	one("the next record", func(*stage, *Record) {}, "", "")
	one("one ms between two segments", func(_ *stage, r *Record) { r.StartMs++ }, "", "")
	one("two ms between two segments", func(_ *stage, r *Record) { r.StartMs += 2 }, NotNext, "begins 2 ms after")
	one("a new init section", func(_ *stage, r *Record) { r.Init[0] ^= 1 }, NotNext, "something new")
	one("a new run of the origin", func(_ *stage, r *Record) { r.Session++ }, NotNext, "something new")
	one("another encoder", func(_ *stage, r *Record) { r.Variant++ }, NotNext, "something new")
	one("a part", func(_ *stage, r *Record) { r.Kind = KindPart }, WrongKind, "not that of a segment")
	one("another rendition's", func(_ *stage, r *Record) { r.Rendition = "180p" }, WrongRendition, "180p")
	one("a stranger's record", func(s *stage, r *Record) { *r = must(SignRecord(*r, s.channel, keyFrom("stranger"))) }, DelegationKey, "no delegation")
	one("a changed record", func(s *stage, r *Record) { *r = s.sign(*r); r.Root[0] ^= 1 }, Signature, "does not match")
	one("a broken chain", func(_ *stage, r *Record) { r.Previous[0] ^= 1 }, BrokenChain, "does not follow")
	one("from the future", func(_ *stage, r *Record) { r.CreatedMs = seen + MaxSkewMs + 1 }, Future, "in the future")
	one("signed long ago", func(_ *stage, r *Record) { r.CreatedMs = seen - MaxAgeMs - 1 }, Replay, "minutes ago")
	one("of a number that was not delegated", func(s *stage, r *Record) { r.Sequence = s.delegation.LastSequence + 1 }, DelegationRange, "it covers")
	one("another content for a known number", func(_ *stage, r *Record) { r.Sequence-- }, Equivocation, "two different contents")
	return out
}

func TestARecordAloneMovesTheLiveEdge(t *testing.T) {
	for _, sc := range news() {
		t.Run(sc.name, sc.play)
	}
}

func TestAnybodysRecordCanBeJudgedByItsSignature(t *testing.T) {
	s := newStage()
	v := NewVerifier(s.channel, "360p")
	if _, err := v.Playlist(must(ReadPlaylist(s.playlist(s.window(number, 2)))), seen); err != nil {
		t.Fatal(err)
	}
	other := s.plain(number + 1)
	other.Rendition = "180p"
	other = s.sign(other)
	if err := v.Genuine(other); err != nil {
		t.Errorf("another rendition's record is refused: %v", err)
	}
	other.Size++
	assertRefusal(t, "a forgery", v.Genuine(other), Signature, "does not match")
}

type patternVector struct {
	Name   string   `json:"name"`
	First  int64    `json:"first"` // number of the first URI
	URIs   []string `json:"uris"`  // of consecutive segments; "" for a gap
	Number int64    `json:"number"`
	URI    string   `json:"uri"` // expected for number, "" if nothing can be told
}

func (v patternVector) answer() string {
	var listed []Segment
	for i, uri := range v.URIs {
		listed = append(listed, Segment{Number: v.First + int64(i), URI: uri, Gap: uri == ""})
	}
	uri, _ := NextURI(listed, v.Number)
	return uri
}

func patterns() []patternVector {
	nine := make([]string, 9)
	for i := range nine {
		nine[i] = fmt.Sprintf("%d.m4s", 100+i)
	}
	odd := append([]string{"first.m4s"}, nine[1:]...)
	early := append(append([]string{}, nine[:1]...), "odd.m4s")
	early = append(early, nine[2:]...)
	return []patternVector{
		{"numbers", 98, []string{"98.m4s", "99.m4s"}, 100, "100.m4s"},
		{"numbers in a path, with a token", 7, []string{"/s/7/a.m4s?token=x", "/s/8/a.m4s?token=x"}, 9, "/s/9/a.m4s?token=x"},
		{"absolute", 7, []string{"https://cdn.example/7.m4s", "https://cdn.example/8.m4s"}, 12, "https://cdn.example/12.m4s"},
		{"the number is elsewhere too", 8, []string{"v9/8.m4s", "v9/9.m4s"}, 10, "v9/10.m4s"},
		{"a gap between", 8, []string{"8.m4s", "", "10.m4s"}, 11, "11.m4s"},
		{"an odd name nine segments ago", 100, odd, 109, "109.m4s"},
		{"an odd name eight segments ago", 100, early, 109, ""},
		{"digits beside the number", 8, []string{"18.m4s", "19.m4s"}, 10, "110.m4s"},
		{"one segment", 8, []string{"8.m4s"}, 9, ""},
		{"one segment and gaps", 8, []string{"8.m4s", "", ""}, 11, ""},
		{"nothing", 8, nil, 9, ""},
		{"names without numbers", 8, []string{"a.m4s", "b.m4s"}, 10, ""},
		{"a token for each segment", 8, []string{"8.m4s?t=abc", "9.m4s?t=def"}, 10, ""},
		{"the number twice", 8, []string{"8/8.m4s", "9/9.m4s"}, 10, ""},
		{"leading zeros", 9, []string{"09.m4s", "10.m4s"}, 11, ""},
	}
}

func TestTheNextURIFollowsFromThoseBefore(t *testing.T) {
	for _, p := range patterns() {
		if got := p.answer(); got != p.URI {
			t.Errorf("%s: %q, want %q", p.Name, got, p.URI)
		}
	}
	long := strings.Repeat("1", maxURI)
	if got := (patternVector{First: 1, URIs: []string{long, long}, Number: 3}).answer(); got != "" {
		t.Errorf("a URI of ones gives %q", got)
	}
}
