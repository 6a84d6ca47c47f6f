package manifest

import (
	"bytes"
	"crypto/ed25519"
	"testing"
)

func TestRecordSurvivesItsEncoding(t *testing.T) {
	s := newStage()
	part := s.plain(number)
	part.Kind, part.Part, part.DurationMs = KindPart, 3, 500
	for _, rec := range []Record{s.init, s.segment(number), s.sign(part)} {
		b := rec.Encode()
		back, err := ParseRecord(b)
		if err != nil {
			t.Fatalf("%s: %v", rec.place(), err)
		}
		if back != rec || !bytes.Equal(back.Encode(), b) {
			t.Errorf("%s changed on its way", rec.place())
		}
		if !back.SignedBy(s.channel, s.delegation.SigningKey) {
			t.Errorf("%s: the signature does not hold", rec.place())
		}
		if back.SignedBy(Hash{1}, s.delegation.SigningKey) {
			t.Errorf("%s: a record of one channel passes in another", rec.place())
		}
	}
}

// Every single byte of a record is covered by its signature.
func TestEveryByteOfARecordIsSigned(t *testing.T) {
	s := newStage()
	good := s.segment(number).Encode()
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		if rec, err := ParseRecord(b); err == nil && rec.SignedBy(s.channel, s.delegation.SigningKey) {
			t.Errorf("byte %d can be changed unnoticed", i)
		}
	}
}

func TestMalformedRecords(t *testing.T) {
	s := newStage()
	good := s.segment(number)
	// Offsets of the encoding for the four-letter rendition "360p".
	const session, name, sequence, part, duration, size, root, init = 2, 14, 19, 27, 37, 41, 45, 77
	put := func(at int, value ...byte) []byte {
		b := good.Encode()
		copy(b[at:], value)
		return b
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		says  string
	}{
		{"nothing", nil, "ends too early"},
		{"one byte short", good.Encode()[:good.size()-1], "ends too early"},
		{"one byte long", append(good.Encode(), 0), "1 bytes follow its end"},
		{"version 2", put(0, 2), "version is 2"},
		{"kind 3", put(1, 3), "kind is 3"},
		{"session 2^53", put(session, 0, 0x20), "session is 2^53 or more"},
		{"sequence 2^63", put(sequence, 0x80), "sequence is 2^53 or more"},
		{"empty rendition", put(name, 0), ""},
		{"rendition with a slash", put(name+1, '/'), "rendition"},
		{"rendition in capitals", put(name+1, 'A'), "rendition"},
		{"part of a segment", put(part, 0, 1), "part number"},
		{"no duration", put(duration, 0, 0, 0, 0), "duration"},
		{"no size", put(size, 0, 0, 0, 0), "size is 0 bytes"},
		{"size above 64 MiB", put(size, 4, 0, 0, 1), "size is 67108865 bytes"},
		{"no root", put(root, make([]byte, 32)...), "no root"},
		{"no init section", put(init, make([]byte, 32)...), "init section"},
		{"init record with a duration", put(1, 0), "duration"},
	} {
		_, err := ParseRecord(c.bytes)
		assertRefusal(t, c.name, err, MalformedRecord, "the record", c.says)
	}
}

func (r Record) size() int { return len(r.Encode()) }

func TestSignRecordRefusesNonsense(t *testing.T) {
	s := newStage()
	for name, change := range map[string]func(*Record){
		"long rendition": func(r *Record) { r.Rendition = "a-name-that-is-longer-than-32-chars" },
		"empty":          func(r *Record) { r.Size = 0 },
		"huge":           func(r *Record) { r.Size = MaxObjectSize + 1 },
		"negative time":  func(r *Record) { r.StartMs = -1 },
		"beyond 2^53":    func(r *Record) { r.Sequence = 1 << 53 },
		"chained init":   func(r *Record) { *r = s.init; r.Previous = Hash{1} },
	} {
		rec := s.plain(number)
		change(&rec)
		if _, err := SignRecord(rec, s.channel, s.signing); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestDelegationSurvivesItsEncoding(t *testing.T) {
	s := newStage()
	for _, d := range []Delegation{s.delegation, s.appoint(s.signing, func(d *Delegation) { d.Region = "" })} {
		back, err := ParseDelegation(d.Encode())
		if err != nil || back != d {
			t.Fatalf("changed on its way: %v", err)
		}
		if err := back.Verify(s.channel); err != nil {
			t.Error(err)
		}
	}
	good := s.delegation.Encode()
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		if d, err := ParseDelegation(b); err == nil && d.Verify(s.channel) == nil {
			t.Errorf("byte %d can be changed unnoticed", i)
		}
	}
}

func TestMalformedDelegations(t *testing.T) {
	s := newStage()
	const region, first, last, notAfter = 65, 70, 78, 94 // offsets for the region "eu-1"
	put := func(at int, value ...byte) []byte {
		b := s.delegation.Encode()
		copy(b[at:], value)
		return b
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		says  string
	}{
		{"nothing", nil, "ends too early"},
		{"one byte long", append(s.delegation.Encode(), 0), "1 bytes follow its end"},
		{"version 9", put(0, 9), "version is 9"},
		{"region with a space", put(region+1, ' '), "region"},
		{"first sequence 2^60", put(first, 0x10), "first sequence is 2^53 or more"},
		{"last before first", put(last, make([]byte, 8)...), "last sequence number lies before"},
		{"ends before it begins", put(notAfter, make([]byte, 8)...), "ends before it begins"},
		{"longer than 24 hours", put(notAfter, 0, 0x10), "more than 24 hours"},
	} {
		_, err := ParseDelegation(c.bytes)
		assertRefusal(t, c.name, err, MalformedDelegation, "the delegation", c.says)
	}
	long := s.delegation
	long.NotAfterMs = long.NotBeforeMs + MaxDelegationMs + 1
	if _, err := SignDelegation(long, s.root); err == nil {
		t.Error("a delegation of more than 24 hours was signed")
	}
}

func TestDelegationNeedsTheRootKey(t *testing.T) {
	s := newStage()
	stranger := keyFrom("stranger")
	theirs := must(SignDelegation(s.delegation, stranger))
	assertRefusal(t, "another channel's", theirs.Verify(s.channel), DelegationChannel, "another channel")
	claimed := theirs
	copy(claimed.RootKey[:], s.root.Public().(ed25519.PublicKey))
	assertRefusal(t, "signed by a stranger", claimed.Verify(s.channel), DelegationSignature, theirs.Key().String(), "signature does not match")
}
