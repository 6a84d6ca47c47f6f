package manifest

import (
	"bytes"
	"testing"
)

func FuzzParseRecord(f *testing.F) {
	s := newStage()
	f.Add([]byte(nil))
	f.Add(s.init.Encode())
	f.Add(s.segment(number).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := ParseRecord(b)
		if err != nil {
			if CodeOf(err) != MalformedRecord {
				t.Fatalf("refused with code %q: %v", CodeOf(err), err)
			}
			return
		}
		if again := rec.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("decoded and encoded again:\n%x\n%x", b, again)
		}
		if err := rec.validate(); err != nil {
			t.Fatalf("accepted, yet it could not be signed: %v", err)
		}
	})
}

func FuzzParseDelegation(f *testing.F) {
	s := newStage()
	f.Add([]byte(nil))
	f.Add(s.delegation.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDelegation(b)
		if err != nil {
			if CodeOf(err) != MalformedDelegation {
				t.Fatalf("refused with code %q: %v", CodeOf(err), err)
			}
			return
		}
		if again := d.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("decoded and encoded again:\n%x\n%x", b, again)
		}
	})
}

func FuzzReadPlaylist(f *testing.F) {
	for _, sc := range append(accepted(), refused()...) {
		f.Add(sc.polls[0].text)
	}
	f.Add("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,NAME=\"a\"\na/b.m3u8\n")
	s := newStage()
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ReadMultivariant(text); err != nil && CodeOf(err) != MalformedPlaylist {
			t.Fatalf("refused with code %q: %v", CodeOf(err), err)
		}
		pl, err := ReadPlaylist(text)
		if err != nil {
			if CodeOf(err) == "" {
				t.Fatalf("refused without a code: %v", err)
			}
			return
		}
		if len(pl.Segments) > MaxSegments || len(pl.Delegations) > MaxDelegations {
			t.Fatalf("%d segments, %d delegations", len(pl.Segments), len(pl.Delegations))
		}
		for i, seg := range pl.Segments {
			if seg.Number != pl.MediaSequence+int64(i) || seg.Number >= maxInteger || seg.DurationMs < 0 || seg.PDTms < 0 || seg.URI == "" {
				t.Fatalf("segment %d: %+v", i, seg)
			}
		}
		// Whatever was read, the verifier answers with a verdict.
		list, err := NewVerifier(s.channel, "360p").Playlist(pl, seen)
		if (err != nil) != (CodeOf(err) != "") || err != nil && list != nil {
			t.Fatalf("verdict %v with %d segments", err, len(list))
		}
	})
}
