package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/origin/cmaf"
	"slipstream/origin/hls"
	"slipstream/origin/keys"
	"slipstream/origin/manifest"
)

// parts cuts a segment into four.
func (s *station) parts(n int64) (parts []cmaf.Part) {
	seg := s.segment("360p", n)
	for i := range 4 {
		p := cmaf.Part{Segment: seg, Index: i, Independent: i == 0}
		p.StartMs, p.DurationMs, p.Data = seg.StartMs+int64(i)*500, 500, seg.Data[i*10_000:(i+1)*10_000]
		parts = append(parts, p)
	}
	return parts
}

// publishParts publishes parts of a segment, each at its end.
func (s *station) publishParts(n int64, from, to int) {
	s.t.Helper()
	for _, p := range s.parts(n)[from:to] {
		s.nowMs = p.StartMs + p.DurationMs + 100
		if err := s.store.PublishPart(p, s.nowMs); err != nil {
			s.t.Fatal(err)
		}
	}
}

// watchParts does what a viewer of parts does: it believes no byte that is not in a record.
func (s *station) watchParts(v *manifest.Verifier) (story string) {
	s.t.Helper()
	pl, _ := s.watch(v)
	parts, err := v.Parts(pl, s.nowMs)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range parts {
		object, ok := s.store.Part("360p", p.Record.Sequence, p.Record.Part)
		leaves, _ := s.store.PartLeaves("360p", p.Record.Sequence, p.Record.Part)
		hashes, err := manifest.ParseLeaves(leaves.Data)
		if err = errors.Join(err, manifest.Object(p.Record, object.Data), manifest.Leaves(p.Record, hashes)); err != nil || !ok {
			s.t.Fatalf("part %d of %d: there %t, %v", p.Record.Part, p.Record.Sequence-first, ok, err)
		}
		story += fmt.Sprintf("%d.%d ", p.Record.Sequence-first, p.Record.Part)
	}
	return story
}

func TestPartsAreListedAheadOfTheirSegment(t *testing.T) {
	s := newStation(t, nil)
	v := s.verifier()
	var story []string
	for n := first; n < first+6; n++ {
		for i := 1; i <= 4; i++ {
			s.publishParts(n, i-1, i)
			if n > first { // before the first whole segment there is no playlist
				story = append(story, s.watchParts(v))
			}
		}
		s.publish(n)
		story = append(story, s.watchParts(v))
	}
	for i, want := range map[int]string{
		0:  "0.0 0.1 0.2 0.3 ",
		1:  "0.0 0.1 0.2 0.3 1.0 ",
		4:  "0.0 0.1 0.2 0.3 1.0 1.1 1.2 1.3 ",
		5:  "0.0 0.1 0.2 0.3 1.0 1.1 1.2 1.3 ",                                 // whole
		25: "3.0 3.1 3.2 3.3 4.0 4.1 4.2 4.3 5.0 5.1 5.2 5.3 ",                 // three target durations
		24: "2.0 2.1 2.2 2.3 3.0 3.1 3.2 3.3 4.0 4.1 4.2 4.3 5.0 5.1 5.2 5.3 ", // and what follows
	} {
		if story[i] != want {
			t.Errorf("after %d steps: %s, want %s", i, story[i], want)
		}
	}
	if _, ok := s.store.Part("360p", first, 3); !ok {
		t.Error("a part that an older playlist lists is gone")
	}
	for _, c := range [][2]int64{{first + 5, 4}, {first + 5, -1}, {first + 6, 0}, {first - 1, 0}} {
		if _, ok := s.store.Part("360p", c[0], int(c[1])); ok {
			t.Errorf("part %d of %d can be had", c[1], c[0]-first)
		}
	}
	s.publish(from(first+6, 6)...)
	if _, ok := s.store.Part("360p", first+5, 3); ok {
		t.Error("the parts of a segment stay for ever")
	}
}

func TestWhereTheEdgeIs(t *testing.T) {
	s := newStation(t, nil)
	at := func() string {
		e, _ := s.store.Edge("360p")
		text := fmt.Sprintf("%d %d.%d", e.Number-first, e.Begun-first, e.Parts)
		if e.Begun < 0 {
			text = fmt.Sprintf("%d", e.Number-first)
		}
		for _, p := range [][2]int64{{1, -1}, {1, 3}, {2, 0}, {2, 1}, {2, 2}, {2, -1}} {
			if e.Has(first+p[0], int(p[1])) {
				text += "+"
			} else if e.Next(first+p[0], int(p[1])) {
				text += "?"
			} else {
				text += "-"
			}
		}
		return text
	}
	s.publishParts(first, 0, 4)
	s.publish(first)
	s.publishParts(first+1, 0, 3)
	before, _ := s.store.Edge("360p")
	if got := at(); got != "0 1.3-??---" {
		t.Errorf("in the midst of a segment: %s", got)
	}
	s.publishParts(first+1, 3, 4)
	s.publish(first + 1)
	select {
	case <-before.Changed:
	default:
		t.Error("who waits was not told")
	}
	if got := at(); got != "1++?---" {
		t.Errorf("between two: %s", got)
	}
	s.publishParts(first+2, 0, 2)
	if got := at(); got != "1 2.2++++?-" {
		t.Errorf("two parts on: %s", got)
	}
}

// What stands in a playlist has a number that follows the one before; after a hole only a whole segment tells how long it is.
func TestPartsAfterAHoleWaitForTheirSegment(t *testing.T) {
	s := newStation(t, nil)
	v := s.verifier()
	s.publishParts(first, 0, 4)
	s.publish(first)
	s.publishParts(first+3, 0, 2)
	if story := s.watchParts(v); story != "0.0 0.1 0.2 0.3 " {
		t.Errorf("in the hole: %s", story)
	}
	if e, _ := s.store.Edge("360p"); e.Begun != -1 {
		t.Errorf("the edge is %+v", e)
	}
	s.publishParts(first+3, 2, 4)
	s.publish(first + 3)
	if story := s.watchParts(v); story != "0.0 0.1 0.2 0.3 3.0 3.1 3.2 3.3 " {
		t.Errorf("after it: %s", story)
	}
}

// A run of the encoder that follows a crash makes other pictures: what has parts already is not completed by it.
func TestPartsSurviveACrash(t *testing.T) {
	s := newStation(t, nil)
	s.publishParts(first, 0, 4)
	s.publish(first)
	s.publishParts(first+1, 0, 2)
	s.restart(nil)
	if signed := s.store.Signed(); signed != first+1 {
		t.Errorf("the encoder is told to go on after %d", signed-first)
	}
	var old *NotNewerError
	if err := s.store.PublishPart(s.parts(first + 1)[0], s.nowMs); !errors.As(err, &old) {
		t.Errorf("a part was signed twice: %v", err)
	}
	if err := s.store.Publish(s.segment("360p", first+1), s.nowMs); !errors.As(err, &old) {
		t.Errorf("a segment was signed whose parts another run made: %v", err)
	}
	s.publishParts(first+2, 0, 4)
	s.publish(first + 2)
	s.watchParts(s.verifier())
}

func TestPartsThatAreNotPublished(t *testing.T) {
	s := newStation(t, nil)
	s.publishParts(first, 0, 1)
	unknown := s.parts(first)[1]
	unknown.Rendition = "1080p"
	for name, c := range map[string]struct {
		part cmaf.Part
		says string
	}{
		"the same again":            {s.parts(first)[0], "number 1 comes next"},
		"one is missing":            {s.parts(first)[2], "number 1 comes next"},
		"not the first of the next": {s.parts(first + 1)[1], "number 0 comes next"},
		"unknown rendition":         {unknown, "no rendition \"1080p\""},
		"far ahead":                 {s.parts(first + 1_000_000)[0], "from this machine's clock"},
	} {
		if err := s.store.PublishPart(c.part, s.nowMs); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The segment is published all the same, with the parts that it has.
	s.publish(first)
	if view, _ := s.store.View("360p"); len(view.Entries) != 1 || len(view.Entries[0].Parts) != 1 {
		t.Errorf("%d parts are listed, one was published", len(view.Entries[0].Parts))
	}
}

// A segment whose bytes are not those of its parts is listed without them.
func TestForeignPartsAreDropped(t *testing.T) {
	s := newStation(t, nil)
	s.publishParts(first, 0, 2)
	other := s.segment("360p", first)
	other.Data[10_001] ^= 1
	if err := s.store.Publish(other, s.nowMs); err != nil {
		t.Fatal(err)
	}
	if view, _ := s.store.View("360p"); len(view.Entries[0].Parts) != 0 {
		t.Errorf("%d foreign parts are listed", len(view.Entries[0].Parts))
	}
}

func TestABeginningThatCannotBeTrusted(t *testing.T) {
	s := newStation(t, nil)
	s.publishParts(first, 0, 1)
	path := filepath.Join(keys.ChannelDir(s.dir, "demo"), "heads", "360p.begun.json")
	for _, content := range []string{"{", `{"number":-4}`, "{}"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(s.store.cfg, s.nowMs); err == nil || !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

// The key is replaced in the midst of a segment: playlists bring both delegations as long as both are needed.
func TestSigningKeyChangesInMidSegment(t *testing.T) {
	s := newStation(t, nil)
	n := first + 12*1800 // half of the delegation's life is over with its start
	s.nowMs = n*2000 - 2000
	s.restart(nil)
	v := s.verifier()
	s.publishParts(n-1, 0, 4)
	s.publish(n - 1)
	s.publishParts(n, 0, 4)
	s.watchParts(v)
	s.publish(n)
	s.watchParts(v)
	s.watchParts(s.verifier())
	s.publishParts(n+1, 0, 4)
	s.publish(n + 1)
	if story := s.watchParts(v); !strings.HasPrefix(story, fmt.Sprintf("%d.0 ", n-1-first)) {
		t.Errorf("the parts read %s", story)
	}
	if view, _ := s.store.View("360p"); len(view.Delegations) < 2 {
		t.Errorf("%d delegations: the key did not change here, the test is about nothing", len(view.Delegations))
	}
	if _, err := hls.Media(must(s.store.View("360p")), s.nowMs); err != nil {
		t.Error(err)
	}
}
