package manifest

import (
	"fmt"
	"strings"
	"testing"
)

// withParts is a playlist whose last segment is listed with its four parts, followed by two parts of the next.
func withParts(s *stage, change func(parts []Record)) string {
	list := s.window(number, 3)
	before := list[1].Hash()
	var parts []Record
	for i := range 6 {
		n := number + int64(i/4)
		rec := Record{
			Kind: KindPart, Session: session, Rendition: "360p", Sequence: n, Part: i % 4, StartMs: n*2000 + int64(i%4)*500, DurationMs: 500,
			Size: 25_000, Root: Hash{byte(i + 1)}, Init: s.init.Root, Previous: before, CreatedMs: n*2000 + int64(i%4)*500 + 510,
		}
		if i >= 4 {
			rec.Previous = list[2].Hash()
		}
		parts = append(parts, s.sign(rec))
	}
	if change != nil {
		change(parts)
	}
	lines := func(parts []Record) string {
		var b strings.Builder
		for _, p := range parts {
			fmt.Fprintf(&b, "%s%s\n#EXT-X-PART:DURATION=0.5,URI=\"%d.%d.m4s\"\n", TagPart, base64URL.EncodeToString(p.Encode()), p.Sequence, p.Part)
		}
		return b.String()
	}
	text := s.playlist(list)
	last := strings.LastIndex(text, "#EXTINF") // the date comes before the parts, as from the origin
	return text[:last] + lines(parts[:4]) + text[last:] + lines(parts[4:])
}

func TestPartsOfAPlaylist(t *testing.T) {
	s := newStage()
	text := withParts(s, nil)
	v := NewVerifier(s.channel, "360p")
	pl := must(ReadPlaylist(text))
	if _, err := v.Playlist(pl, seen); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		parts, err := v.Parts(pl, seen)
		if err != nil || len(parts) != 6 {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		if last := parts[5]; last.Record.Sequence != number+1 || last.Record.Part != 1 || last.Part.URI != fmt.Sprint(number+1, ".1.m4s") {
			t.Errorf("the last part is %+v", last.Part)
		}
	}
}

// refusedParts are changes to the parts of withParts, and what becomes of them.
var refusedParts = []struct {
	name   string
	change func(s *stage, p []Record)
	code   Code
}{
	{"a changed part", func(_ *stage, p []Record) { p[2].Size++ }, Signature},
	{"a segment's record", func(s *stage, p []Record) { p[2] = s.segment(number) }, WrongKind},
	{"another rendition's", func(s *stage, p []Record) { p[2].Rendition = "180p"; p[2] = s.sign(p[2]) }, WrongRendition},
	{"two parts swapped", func(_ *stage, p []Record) { p[1], p[2] = p[2], p[1] }, WrongSequence},
	{"another init section's", func(s *stage, p []Record) { p[2].Init[0] ^= 1; p[2] = s.sign(p[2]) }, WrongInit},
	{"a stretched part", func(s *stage, p []Record) { p[2].DurationMs += 100; p[2] = s.sign(p[2]) }, WrongTiming},
	{"a hole before a part", func(s *stage, p []Record) { p[2].StartMs += 100; p[2] = s.sign(p[2]) }, WrongTiming},
	{"another past", func(s *stage, p []Record) { p[5].Previous[0] ^= 1; p[5] = s.sign(p[5]) }, BrokenChain},
	{"a part from the future", func(s *stage, p []Record) { p[5].CreatedMs = seen + 61_000; p[5] = s.sign(p[5]) }, Future},
}

func TestPartsThatAreRefused(t *testing.T) {
	for _, c := range refusedParts {
		t.Run(c.name, func(t *testing.T) {
			s := newStage()
			pl := must(ReadPlaylist(withParts(s, func(p []Record) { c.change(s, p) })))
			v := NewVerifier(s.channel, "360p")
			if _, err := v.Playlist(pl, seen); err != nil {
				t.Fatal(err)
			}
			parts, err := v.Parts(pl, seen)
			if CodeOf(err) != c.code || parts != nil {
				t.Errorf("%d parts, %v, want code %q", len(parts), err, c.code)
			}
		})
	}
}

// partStories are told to Go and TypeScript alike: playlists with parts, and the records of parts that come alone.
func partStories() []scenario {
	var out []scenario
	for _, c := range refusedParts {
		s := newStage()
		text := withParts(s, func(p []Record) { c.change(s, p) })
		out = append(out, scenario{c.name, s.channel, "360p", []poll{{text: text, nowMs: seen}}})
	}
	for _, c := range []struct {
		name   string
		change func(s *stage, next *Record)
	}{
		{"the next part, alone", func(*stage, *Record) {}},
		{"a part that was left out", func(_ *stage, p *Record) { p.Part++ }},
		{"a part of the segment after it", func(_ *stage, p *Record) { p.Sequence++ }},
		{"a part that is known", func(_ *stage, p *Record) { p.Part-- }},
		{"a part of another run", func(_ *stage, p *Record) { p.Session++ }},
		{"a part of another encoder", func(_ *stage, p *Record) { p.Variant++ }},
		{"a part after a hole", func(_ *stage, p *Record) { p.StartMs += 2 }},
		{"a part with another init section, alone", func(_ *stage, p *Record) { p.Init[0] ^= 1 }},
		{"a part with another past, alone", func(_ *stage, p *Record) { p.Previous[0] ^= 1 }},
		{"a part of another rendition, alone", func(_ *stage, p *Record) { p.Rendition = "180p" }},
		{"the record of no part", func(_ *stage, p *Record) { p.Kind, p.Part = KindSegment, 0 }},
	} {
		s := newStage()
		var next Record
		text := withParts(s, func(p []Record) {
			next = p[5]
			next.Part, next.StartMs, next.CreatedMs, next.Root[1] = 2, next.StartMs+500, next.CreatedMs+500, 1
		})
		c.change(s, &next)
		next = s.sign(next)
		forged := next
		forged.Size++
		out = append(out, scenario{c.name, s.channel, "360p", []poll{
			{record: &next, nowMs: seen}, {text: text, nowMs: seen}, {record: &forged, nowMs: seen}, {record: &next, nowMs: seen}, {record: &next, nowMs: seen},
		}})
	}
	return out
}

func TestNextPartOfASegmentAndOfTheOneAfterIt(t *testing.T) {
	s := newStage()
	v := NewVerifier(s.channel, "360p")
	list := s.window(number, 3)
	if _, err := v.Playlist(must(ReadPlaylist(s.playlist(list))), seen); err != nil {
		t.Fatal(err)
	}
	part := func(n int64, index int, previous Record) Record {
		at := n*2000 + int64(index)*500
		return s.sign(Record{
			Kind: KindPart, Session: session, Rendition: "360p", Sequence: n, Part: index, StartMs: at, DurationMs: 500,
			Size: 25_000, Root: Hash{byte(n), byte(index)}, Init: s.init.Root, Previous: previous.Hash(), CreatedMs: at + 510,
		})
	}
	for i := range 4 {
		if _, err := v.NextPart(part(number+1, i, list[2]), seen); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
	}
	whole := s.segment(number + 1)
	first := part(number+2, 0, whole)
	if _, err := v.NextPart(first, seen); CodeOf(err) != NotNext {
		t.Errorf("a part of a segment whose predecessor is not known: %v", err)
	}
	if _, err := v.Next(whole, seen); err != nil {
		t.Fatal(err)
	}
	if _, err := v.NextPart(first, seen); err != nil {
		t.Error(err)
	}
}

func TestTwoContentsForOnePartAreEquivocation(t *testing.T) {
	s := newStage()
	v := NewVerifier(s.channel, "360p")
	for i := range 2 {
		s.previous = Hash{}
		pl := must(ReadPlaylist(withParts(s, func(p []Record) {
			if i == 1 {
				p[5].Root[0] ^= 1
				p[5] = s.sign(p[5])
			}
		})))
		if _, err := v.Playlist(pl, seen); err != nil {
			t.Fatal(err)
		}
		_, err := v.Parts(pl, seen)
		if want := []Code{"", Equivocation}[i]; CodeOf(err) != want {
			t.Errorf("time %d: %v", i+1, err)
		}
	}
}

type partPatternVector struct {
	Name  string   `json:"name"`
	First int64    `json:"first"` // number of the segment whose four parts the first URIs are of
	URIs  []string `json:"uris"`
	URI   string   `json:"uri"` // expected of part 2 of segment 107, "" if nothing can be told
}

func (v partPatternVector) answer() string {
	var listed []Part
	for i, uri := range v.URIs {
		listed = append(listed, Part{Number: v.First + int64(i/4), Index: i % 4, URI: uri})
	}
	uri, _ := NextPartURI(listed, 107, 2)
	return uri
}

func partPatterns() []partPatternVector {
	// uris are those of six parts; in the format, the first verb is the segment's number and the second the part's.
	uris := func(format string, first int) []string {
		var out []string
		for i := range 6 {
			out = append(out, fmt.Sprintf(format, first+i/4, i%4))
		}
		return out
	}
	odd := uris("%d.%d.m4s", 98)
	odd[4] = "odd.m4s"
	return []partPatternVector{
		{"number and index", 98, uris("%d.%d.m4s", 98), "107.2.m4s"},
		{"a path and a token", 98, uris("/s/%d/part-%d.m4s?token=0", 98), "/s/107/part-2.m4s?token=0"},
		{"digits of the index elsewhere", 98, uris("v3/%d.0.%d.m4s", 98), "v3/107.0.2.m4s"},
		{"parts of one segment", 98, uris("%d.%d.m4s", 98)[:4], ""},
		{"the index before the number", 98, uris("%[2]d.%[1]d.m4s", 98), ""},
		{"no index", 98, uris("%d.m4s%.0d", 98), ""},
		{"the number twice", 98, uris("%[1]d/%[1]d.%[2]d.m4s", 98), ""},
		{"an odd name", 98, odd, ""},
		{"nothing", 98, nil, ""},
	}
}

func TestTheNextPartsURIFollowsFromThoseBefore(t *testing.T) {
	for _, p := range partPatterns() {
		if got := p.answer(); got != p.URI {
			t.Errorf("%s: %q, want %q", p.Name, got, p.URI)
		}
	}
}
