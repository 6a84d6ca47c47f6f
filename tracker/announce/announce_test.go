package announce

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func FuzzDecode(f *testing.F) {
	valid, invalid := readVectors(f)
	for _, v := range append(valid, invalid...) {
		f.Add(v.bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			if !IsText(err.Error()) {
				t.Fatalf("the sentence %q cannot be sent back", err)
			}
			return
		}
		out, err := Encode(m)
		if err != nil {
			t.Fatalf("%#v was decoded but cannot be encoded: %v", m, err)
		}
		again, err := Decode(out)
		if err != nil {
			t.Fatalf("%s was encoded but cannot be decoded: %v", out, err)
		}
		if !reflect.DeepEqual(m, again) {
			t.Fatalf("decoded %#v, then %#v", m, again)
		}
		if twice, _ := Encode(again); !bytes.Equal(out, twice) {
			t.Fatalf("encoded %s, then %s", out, twice)
		}
		var s Signal
		switch m := m.(type) {
		case SignalTo:
			s = m.Signal
		case SignalFrom:
			s = m.Signal
		}
		all := s.Ufrag + s.Pwd + s.Fingerprint + s.Setup + strings.Join(s.Candidates, "")
		for _, c := range []byte(all) {
			if c < 0x20 || c > 0x7e {
				t.Fatalf("a signal lets byte %#x through into a session description", c)
			}
		}
	})
}

func TestEncodeRefusesWhatDecodeWouldRefuse(t *testing.T) {
	for name, m := range map[string]Message{
		"nil":                   nil,
		"renew without token":   Renew{},
		"join without role":     Join{Version: 1, Token: "a"},
		"signal to nobody":      SignalTo{Signal: Signal{Kind: Candidate, Ufrag: "abcd", Candidates: []string{"candidate:1 1 udp 1 192.0.2.1 9 typ host"}}},
		"line break in a ufrag": SignalFrom{From: 1, Signal: Signal{Kind: Candidate, Ufrag: "ab\r\n", Candidates: []string{"candidate:1 1 udp 1 192.0.2.1 9 typ host"}}},
		"negative stalls":       Report{Stalls: -1},
		"neighbour nobody":      Neighbour{},
		"a sentence as code":    Error{Code: "It broke.", Message: "It broke."},
		"binary as text":        Error{Code: "a", Message: "\xff"},
	} {
		if b, err := Encode(m); err == nil {
			t.Errorf("%s: encoded to %s", name, b)
		}
	}
}

func TestTheLargestMessagesFit(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	candidate := "candidate:1 1 udp 2130706431 192.0.2.1 65535 typ host "
	candidate += long(MaxCandidate - len(candidate))
	signal := Signal{Kind: Offer, Ufrag: long(64), Pwd: long(128), Fingerprint: "sha-256 " + strings.Repeat("AA:", 31) + "AA", Setup: ActPass}
	for range MaxCandidates {
		signal.Candidates = append(signal.Candidates, candidate)
	}
	report := Report{
		Ready: true, Neighbours: MaxNeighbours, UplinkBps: MaxInteger, HTTPBytes: MaxInteger, P2PBytes: MaxInteger, UploadedBytes: MaxInteger,
		Stalls: MaxInteger, StallMs: MaxInteger, LatencyMs: MaxInteger, Rescues: MaxInteger,
	}
	join := Join{Version: MaxInteger, Token: long(MaxToken), Role: Seeder}
	duty := Duty{}
	for i := range MaxDuties {
		name := long(MaxRenditionName-1) + string(rune('a'+i))
		duty.Duties = append(duty.Duties, Share{Rendition: name, Stripes: 0xffff})
		report.Dropped = append(report.Dropped, Drop{ID: 1<<64 - 1, Reason: Reason(long(32))})
		if i < MaxRenditions {
			join.Renditions = append(join.Renditions, name)
		}
	}
	report.Renditions = join.Renditions
	for _, m := range []Message{
		SignalTo{To: 1<<64 - 1, Signal: signal}, SignalFrom{From: 1, Signal: signal}, report, join, duty,
		Error{Code: long(32), Message: strings.Repeat("\\", MaxText)},
	} {
		b, err := Encode(m)
		if err != nil {
			t.Errorf("the largest %T cannot be sent: %v", m, err)
			continue
		}
		if back, err := Decode(b); err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("the largest %T does not come back: %v", m, err)
		}
	}
}

func TestPeerIDReadsWhatItWrites(t *testing.T) {
	for _, id := range []PeerID{1, 0x0123456789abcdef, 1<<64 - 1} {
		back, err := ParsePeerID(id.String())
		if err != nil || back != id || len(id.String()) != 16 {
			t.Errorf("%s came back as %s, %v", id, back, err)
		}
	}
	for _, s := range []string{"", "1", "0000000000000000", "0123456789ABCDEF", "0x23456789abcdef", " 123456789abcdef", "00123456789abcdef"} {
		if id, err := ParsePeerID(s); err == nil {
			t.Errorf("%q was read as %s", s, id)
		}
	}
}

func TestEveryReasonHasOneClass(t *testing.T) {
	for reason, want := range map[Reason]string{
		Unreachable: "connectivity", Lost: "connectivity", Full: "other", Stalled: "other", "from-the-future": "other",
		BadLeaf: "evidence", Liar: "evidence", Intruder: "evidence", Greedy: "evidence", Protocol: "evidence",
	} {
		got := "other"
		if reason.Connectivity() {
			got = "connectivity"
		}
		if reason.Evidence() {
			got = "evidence"
		}
		if got != want {
			t.Errorf("%s is %s, want %s", reason, got, want)
		}
	}
}
