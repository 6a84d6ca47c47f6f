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
	record := TagRecord + base64URL.EncodeToString(list[2].Encode())
	return strings.Replace(s.playlist(list), record, lines(parts[:4])+record, 1) + lines(parts[4:])
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

func TestPartsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
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
	} {
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
