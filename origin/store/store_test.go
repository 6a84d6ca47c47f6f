package store

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"slipstream/origin/cmaf"
	"slipstream/origin/hls"
	"slipstream/origin/keys"
	"slipstream/origin/manifest"
)

const (
	startMs = int64(1_767_225_600_000)
	first   = startMs / 2000
)

// station is an origin without a network: keys, a store and the clock of the segment that was published last.
type station struct {
	t     *testing.T
	dir   string
	keys  *keys.Channel
	store *Store
	nowMs int64
	init  string
}

func newStation(t *testing.T, change func(*Config)) *station {
	s := &station{t: t, dir: t.TempDir(), nowMs: startMs, init: "init one"}
	s.restart(change)
	return s
}

// restart opens keys and store anew, as after a crash.
func (s *station) restart(change func(*Config)) {
	s.t.Helper()
	var err error
	if s.keys, err = keys.Open(s.dir, "demo", s.nowMs); err != nil {
		s.t.Fatal(err)
	}
	cfg := Config{
		Dir: keys.ChannelDir(s.dir, "demo"), Channel: s.keys.ID(), SessionMs: s.nowMs, Renditions: []string{"360p", "180p"},
		WindowMs: 20_000, Signer: s.keys,
	}
	if change != nil {
		change(&cfg)
	}
	if s.store, err = Open(cfg, s.nowMs); err != nil {
		s.t.Fatal(err)
	}
}

// segment makes a segment of 40,000 bytes, three leaves, unlike any other.
func (s *station) segment(rendition string, n int64) cmaf.Segment {
	return cmaf.Segment{
		Rendition: rendition, Number: n, StartMs: n * 2000, DurationMs: 2000,
		Data: bytes.Repeat(fmt.Appendf(nil, "%s %013d; ", rendition, n), 2000), Init: []byte(s.init),
		Codecs: "avc1.4d401e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 30,
	}
}

func (s *station) publish(numbers ...int64) {
	s.t.Helper()
	for _, n := range numbers {
		s.nowMs = n*2000 + 2300
		if err := s.store.Publish(s.segment("360p", n), s.nowMs); err != nil {
			s.t.Fatal(err)
		}
	}
}

func from(n, count int64) []int64 {
	var out []int64
	for i := range count {
		out = append(out, n+i)
	}
	return out
}

// watch reads the playlist as a viewer does, checks it with v and every listed byte, and tells the story of its entries.
func (s *station) watch(v *manifest.Verifier) (manifest.Playlist, string) {
	s.t.Helper()
	view, ok := s.store.View("360p")
	if !ok {
		s.t.Fatal("there is no 360p")
	}
	text, err := hls.Media(view, s.nowMs)
	if err != nil {
		s.t.Fatal(err)
	}
	pl, err := manifest.ReadPlaylist(text)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, text)
	}
	list, err := v.Playlist(pl, s.nowMs)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, text)
	}
	for _, entry := range list {
		object, ok := s.store.Segment("360p", entry.Record.Sequence)
		if !ok {
			s.t.Fatalf("%d is listed, but cannot be had", entry.Record.Sequence)
		}
		leaves, _ := s.store.Leaves("360p", entry.Record.Sequence)
		hashes, err := manifest.ParseLeaves(leaves.Data)
		init, _ := s.store.Init("360p", entry.Segment.MapURI)
		if err := errors.Join(err, manifest.Object(entry.Record, object.Data), manifest.Leaves(entry.Record, hashes), manifest.Object(entry.Init, init.Data)); err != nil {
			s.t.Fatal(err)
		}
	}
	var story strings.Builder
	for _, seg := range pl.Segments {
		if seg.Discontinuity {
			story.WriteString("|")
		}
		if seg.Gap {
			story.WriteString("-")
		} else {
			story.WriteString("S")
		}
	}
	return pl, story.String()
}

func (s *station) verifier() *manifest.Verifier { return manifest.NewVerifier(s.keys.ID(), "360p") }

func TestWindowSlides(t *testing.T) {
	s := newStation(t, nil)
	if s.store.Signed() != -1 {
		t.Error("something was signed before the first segment")
	}
	v := s.verifier()
	for _, n := range from(first, 25) {
		s.publish(n)
		pl, story := s.watch(v)
		want := min(n-first+1, 10) // 20 s
		if story != strings.Repeat("S", int(want)) || pl.MediaSequence != n-want+1 {
			t.Fatalf("after %d segments the playlist begins at %d and reads %s", n-first+1, pl.MediaSequence-first, story)
		}
	}
	// A viewer that holds an older playlist still finds what it lists, for one more window.
	for n, want := range map[int64]bool{first + 24: true, first + 5: true, first + 4: false, first + 25: false, first - 1: false} {
		if _, ok := s.store.Segment("360p", n); ok != want {
			t.Errorf("segment %d can be had: %t, want %t", n-first, ok, want)
		}
	}
	if e, ok := s.store.Edge("360p"); e.Number != first+24 || e.CreatedMs != s.nowMs || !ok {
		t.Errorf("edge %+v, %t", e, ok)
	}
	if e, ok := s.store.Edge("180p"); e.Number != -1 || !ok {
		t.Error("180p has a head, but nothing was published")
	}
	st := s.store.Status()[0]
	if st.Rendition != "360p" || st.Published.Segments != 25 || st.Published.Bytes != 25*40_000 || st.Listed != 20 || st.HeldBytes != 20*40_096 || st.Media.PeakBps != 160_000 || st.Media.AverageBps != 160_000 {
		t.Errorf("status %+v", st)
	}
}

func TestBytesAreBounded(t *testing.T) {
	s := newStation(t, func(c *Config) { c.MaxBytes = 130_000 })
	s.publish(from(first, 8)...)
	if _, story := s.watch(s.verifier()); story != "SSS" {
		t.Errorf("130,000 bytes hold three segments of 40,000, but the playlist reads %s", story)
	}
	big := s.segment("360p", first+8)
	big.Data = bytes.Repeat([]byte{1}, 200_000)
	s.nowMs += 2000
	if err := s.store.Publish(big, s.nowMs); err != nil {
		t.Fatal(err)
	}
	if _, story := s.watch(s.verifier()); story != "S" {
		t.Errorf("the newest segment alone should stay, but the playlist reads %s", story)
	}
}

func TestGaps(t *testing.T) {
	s := newStation(t, nil)
	v := s.verifier()
	s.publish(first, first+1, first+4, first+5)
	pl, story := s.watch(v)
	if story != "SS--|SS" || pl.MediaSequence != first {
		t.Errorf("a short outage reads %s from %d", story, pl.MediaSequence-first)
	}
	s.publish(from(first+6, 7)...)
	if pl, story := s.watch(v); story != "|SSSSSSSSS" || pl.MediaSequence != first+4 {
		t.Errorf("a window never begins with gaps, but reads %s from %d", story, pl.MediaSequence-first)
	}
	s.publish(first + 100)
	if pl, story := s.watch(v); story != "|S" || pl.MediaSequence != first+100 {
		t.Errorf("after a long outage the window begins anew, but reads %s from %d", story, pl.MediaSequence-first)
	}
}

// A player counts discontinuities to line up renditions; the count must not depend on when it tuned in.
func TestDiscontinuitiesAreCounted(t *testing.T) {
	s := newStation(t, nil)
	number := func() (sequence int64, inside int) {
		view, _ := s.store.View("360p")
		for _, e := range view.Entries {
			if e.Discontinuity {
				inside++
			}
		}
		return view.DiscontinuitySequence, inside
	}
	s.publish(first, first+1)
	run := s.segment("360p", first+2)
	run.Discontinuity = true // the encoder was restarted without losing a number
	s.nowMs = (first+2)*2000 + 2300
	if err := s.store.Publish(run, s.nowMs); err != nil {
		t.Fatal(err)
	}
	s.init = "init two" // other parameters
	s.publish(first+3, first+4)
	if seq, inside := number(); seq != 0 || inside != 2 {
		t.Errorf("sequence %d with %d inside", seq, inside)
	}
	s.publish(from(first+5, 7)...) // the first discontinuity is the window's first entry now
	if seq, inside := number(); seq != 0 || inside != 2 {
		t.Errorf("sequence %d with %d inside", seq, inside)
	}
	s.publish(first + 12)
	if seq, inside := number(); seq != 1 || inside != 1 {
		t.Errorf("sequence %d with %d inside", seq, inside)
	}
	s.publish(from(first+13, 40)...)
	if seq, inside := number(); seq != 2 || inside != 0 {
		t.Errorf("sequence %d with %d inside", seq, inside)
	}
	s.restart(nil)
	s.publish(first + 60)
	if seq, inside := number(); seq != 3 || inside != 0 {
		t.Errorf("after a restart sequence %d with %d inside", seq, inside)
	}
	if len(s.store.rings["360p"].inits) != 1 {
		t.Errorf("%d init sections are kept, one is needed", len(s.store.rings["360p"].inits))
	}
}

func TestWhatIsNotPublished(t *testing.T) {
	s := newStation(t, nil)
	s.publish(first, first+5)
	empty := s.segment("360p", first+6)
	empty.Data = nil
	for name, c := range map[string]struct {
		seg  cmaf.Segment
		says string
	}{
		"the same number":    {s.segment("360p", first+5), fmt.Sprintf("segment %d of \"360p\" is not published: %d was signed before", first+5, first+5)},
		"an earlier number":  {s.segment("360p", first+3), "numbers only grow"},
		"unknown rendition":  {s.segment("1080p", first+6), "no rendition \"1080p\""},
		"a number far ahead": {s.segment("360p", first+1_000_000), "from this machine's clock"},
		"an empty segment":   {empty, "size is 0"},
	} {
		if err := s.store.Publish(c.seg, s.nowMs); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, story := s.watch(s.verifier()); story != "S----|S" {
		t.Errorf("the playlist reads %s", story)
	}
}

// A restarted origin goes on strictly above what it signed, in one chain, before the eyes of the same viewer.
func TestRestartContinues(t *testing.T) {
	s := newStation(t, nil)
	v := s.verifier()
	s.publish(from(first, 3)...)
	s.watch(v)
	view, _ := s.store.View("360p")
	last := view.Entries[2].Record
	s.restart(nil)
	if signed := s.store.Signed(); signed != first+2 {
		t.Errorf("the encoder is told to go on after %d", signed-first)
	}
	if _, err := hls.Media(must(s.store.View("360p")), s.nowMs); !errors.Is(err, hls.ErrOffAir) {
		t.Errorf("a restarted origin has nothing to play yet, but: %v", err)
	}
	for _, n := range from(first, 3) {
		var notNewer *NotNewerError
		if err := s.store.Publish(s.segment("360p", n), s.nowMs); !errors.As(err, &notNewer) || notNewer.Signed != first+2 {
			t.Fatalf("segment %d is signed a second time: %v", n-first, err)
		}
	}
	s.publish(first+3, first+4)
	s.watch(v)
	view, _ = s.store.View("360p")
	if rec := view.Entries[0].Record; rec.Previous != last.Hash() || rec.Session == last.Session {
		t.Error("the first record of the new session does not follow the last one of the old")
	}
}

func must[T any](value T, ok bool) T {
	if !ok {
		panic("not found")
	}
	return value
}

// The machine dies when the head is on disk and nobody has seen the segment.
func TestCrashBetweenHeadAndPublication(t *testing.T) {
	s := newStation(t, nil)
	v := s.verifier()
	s.publish(from(first, 3)...)
	s.watch(v)
	s.store.afterHead = func() { panic("power cut") }
	func() {
		defer func() { _ = recover() }()
		_ = s.store.Publish(s.segment("360p", first+3), s.nowMs+2000)
	}()
	if _, ok := s.store.Segment("360p", first+3); ok {
		t.Fatal("the segment was visible before its head was on disk")
	}
	s.restart(nil)
	other := s.segment("360p", first+3)
	other.Data[0] ^= 1 // what the encoder makes of the same two seconds now
	if err := s.store.Publish(other, s.nowMs+2000); err == nil {
		t.Fatal("two contents were signed for one number")
	}
	s.publish(first+4, first+5)
	if pl, story := s.watch(v); story != "SS" || pl.MediaSequence != first+4 {
		t.Errorf("the playlist reads %s from %d", story, pl.MediaSequence-first)
	}
}

// If the disk fails the segment is not shown; when it works again the channel goes on, with a gap, in one chain.
func TestDiskFailure(t *testing.T) {
	s := newStation(t, nil)
	v := s.verifier()
	s.publish(first, first+1)
	heads := filepath.Join(keys.ChannelDir(s.dir, "demo"), "heads")
	if err := errors.Join(os.Rename(heads, heads+".away"), os.WriteFile(heads, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	err := s.store.Publish(s.segment("360p", first+2), s.nowMs+2000)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("segment %d of \"360p\" is not published: ", first+2)) {
		t.Fatalf("with the disk gone: %v", err)
	}
	if _, ok := s.store.Segment("360p", first+2); ok {
		t.Fatal("it is visible, but not durable")
	}
	if err := errors.Join(os.Remove(heads), os.Rename(heads+".away", heads)); err != nil {
		t.Fatal(err)
	}
	s.publish(first + 3)
	if _, story := s.watch(v); story != "SS-|S" {
		t.Errorf("the playlist reads %s", story)
	}
}

// Half a day after the start the signing key is replaced. Nobody who watches notices.
func TestSigningKeyChangesInMidWindow(t *testing.T) {
	s := newStation(t, nil)
	n := first + 12*1800 - 3 // three segments before half of the delegation's life is over
	s.nowMs = n * 2000
	s.restart(nil)
	v := s.verifier()
	key := func(i int) manifest.KeyID {
		view, _ := s.store.View("360p")
		return view.Entries[i].Record.Key
	}
	s.publish(from(n, 6)...)
	pl, story := s.watch(v)
	if story != "SSSSSS" || len(pl.Delegations) != 2 || key(0) == key(5) {
		t.Fatalf("%s with %d delegations, keys %s to %s", story, len(pl.Delegations), key(0), key(5))
	}
	if pl.Delegations[0].NotAfterMs > pl.Delegations[1].NotAfterMs {
		t.Error("the older delegation should come first")
	}
	s.watch(s.verifier()) // and somebody who tunes in
	s.publish(from(n+6, 12)...)
	if pl, _ := s.watch(v); len(pl.Delegations) != 1 {
		t.Errorf("%d delegations are listed, one is needed", len(pl.Delegations))
	}
}

// flapping appoints a new key each time it is asked.
type flapping struct{ root ed25519.PrivateKey }

func (f flapping) Signer(nowMs int64) (ed25519.PrivateKey, manifest.Delegation, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, manifest.Delegation{}, err
	}
	d := manifest.Delegation{LastSequence: 1 << 40, NotBeforeMs: nowMs, NotAfterMs: nowMs + 1000}
	copy(d.SigningKey[:], public)
	d, err = manifest.SignDelegation(d, f.root)
	return private, d, err
}

func TestDelegationsAreBounded(t *testing.T) {
	_, root, _ := ed25519.GenerateKey(nil)
	s := newStation(t, func(c *Config) { c.Signer = flapping{root} })
	s.publish(from(first, 10)...)
	view, _ := s.store.View("360p")
	if len(view.Delegations) > manifest.MaxDelegations || len(view.Entries) < 3 {
		t.Errorf("%d delegations for %d entries", len(view.Delegations), len(view.Entries))
	}
}

func TestHeadsThatCannotBeTrusted(t *testing.T) {
	s := newStation(t, nil)
	s.publish(first)
	path := filepath.Join(keys.ChannelDir(s.dir, "demo"), "heads", "360p.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content, says string
		nowMs         int64
	}{
		"damaged":           {"{", "is damaged", s.nowMs},
		"no record":         {`{"record":"AAAA"}`, "is damaged", s.nowMs},
		"another file's":    {strings.Replace(string(good), `"discontinuities":0`, `"discontinuities":-1`, 1), "not about segments of", s.nowMs},
		"from a far future": {string(good), "120 minutes in the future: correct this machine's clock", s.nowMs - 7_203_000},
	} {
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(s.store.cfg, c.nowMs)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWindowMustBeSane(t *testing.T) {
	for _, ms := range []int64{9_999, 3_600_001, -1} {
		if _, err := Open(Config{Dir: t.TempDir(), WindowMs: ms}, startMs); err == nil || !strings.Contains(err.Error(), "choose 10 to 3600 s") {
			t.Errorf("%d ms: %v", ms, err)
		}
	}
}

// Readers come while segments go; run with -race.
func TestReadersAndPublisherTogether(t *testing.T) {
	s := newStation(t, nil)
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				view, _ := s.store.View("360p")
				for _, e := range view.Entries {
					if object, ok := s.store.Segment("360p", e.Number); ok && manifest.Object(e.Record, object.Data) != nil {
						t.Error("a listed segment has other bytes")
						return
					}
				}
				s.store.Status()
			}
		})
	}
	s.publish(from(first, 30)...)
	close(done)
	wg.Wait()
}
