package store

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

func withDVR(c *Config) { c.DVRMs = 600_000 }

// reads fetches a segment wherever it is and compares it with what was published.
func (s *station) reads(n int64) (fromDisk bool) {
	s.t.Helper()
	object, ok := s.store.Segment("360p", n)
	if !ok {
		found, ok := s.store.Kept("360p", n)
		if !ok {
			s.t.Fatalf("segment %d cannot be had", n-first)
		}
		defer found.File.Close()
		data, err := io.ReadAll(found.File)
		if err != nil {
			s.t.Fatal(err)
		}
		object, fromDisk = Object{data, found.Root}, true
	}
	if string(object.Data) != string(s.segment("360p", n).Data) || object.Root != manifest.Root(manifest.LeafHashes(object.Data)) {
		s.t.Fatalf("segment %d is another one", n-first)
	}
	leaves, ok := s.store.Leaves("360p", n)
	if !ok || string(leaves.Data) != string(manifest.EncodeLeaves(manifest.LeafHashes(object.Data))) {
		s.t.Fatalf("segment %d has other leaves", n-first)
	}
	muxed, ok := s.store.Muxed("360p", n)
	if !ok || string(muxed.Init) != s.init || muxed.StartMs != n*2000 || string(muxed.Data) != string(object.Data) {
		s.t.Fatalf("segment %d with its init section: %v, %q from %d", n-first, ok, muxed.Init, muxed.StartMs)
	}
	if d, ok := s.store.Describe("360p", n, -1); !ok || d.DurationMs != 2000 || d.Size != 40_000 || d.Next != hls.SegmentURI(n+1) {
		s.t.Fatalf("segment %d is described as %+v, %v", n-first, d, ok)
	}
	return fromDisk
}

func TestWhatLeavesMemoryIsReadFromDisk(t *testing.T) {
	s := newStation(t, withDVR)
	s.publish(from(first, 100)...)
	if pl, story := s.watch(s.verifier()); story != "SSSSSSSSSS" || pl.MediaSequence != first+90 {
		t.Errorf("the live window has become %s from %d", story, pl.MediaSequence-first)
	}
	if held := s.store.Status()[0].HeldBytes; held > 20*41_000 {
		t.Errorf("%d bytes are in memory", held)
	}
	if s.reads(first+98) || !s.reads(first+10) || !s.reads(first) {
		t.Error("memory and disk are confused")
	}
	window, ok := s.store.DVR("360p")
	if !ok || len(window.Segments) != 100 {
		t.Errorf("%v, %d segments", ok, len(window.Segments))
	}
	if _, ok := s.store.DVR("1080p"); ok {
		t.Error("there is a window of 1080p")
	}
	s.init = "init one"
	s.restart(withDVR)
	if !s.reads(first+98) || !s.reads(first) {
		t.Error("something is in memory after a restart")
	}
	s.publish(from(first+102, 3)...)
	window, _ = s.store.DVR("360p")
	if n := len(window.Segments); n != 103 || !window.Segments[100].Discontinuity || window.Segments[100].Number != first+102 {
		t.Errorf("%d segments after the restart", n)
	}
	if _, story := s.watch(s.verifier()); story != "SSS" {
		t.Errorf("the live window begins anew with %s", story)
	}
	if text, ended, ok := s.store.Chapter("360p", first+102); !ok || ended || len(text) == 0 {
		t.Errorf("the newest chapter: %v, ended %v", ok, ended)
	}
}

func TestWithoutADVRWindowNothingIsKept(t *testing.T) {
	s := newStation(t, nil)
	s.publish(from(first, 50)...)
	if _, ok := s.store.Kept("360p", first); ok || s.store.HasDVR() {
		t.Error("the first segment is still there")
	}
	if _, ok := s.store.Leaves("360p", first); ok {
		t.Error("its leaves are")
	}
	if _, ok := s.store.DVR("360p"); ok {
		t.Error("there is a playlist of it")
	}
	if _, _, ok := s.store.Chapter("360p", first); ok {
		t.Error("there is a chapter of it")
	}
}

// The signed head must be written before a segment is seen: a disk full of the past would take the channel off the air.
func TestThePastMakesRoomForHeads(t *testing.T) {
	s := newStation(t, withDVR)
	s.publish(from(first, 130)...) // three chapters
	failures := 2
	err := s.store.durably(func() error {
		if failures--; failures >= 0 {
			return syscall.ENOSPC
		}
		return nil
	})
	window, _ := s.store.DVR("360p")
	if err != nil || window.Segments[0].Number != first+120 {
		t.Errorf("%v; the window begins at %d", err, window.Segments[0].Number-first)
	}
	if err := s.store.durably(func() error { return syscall.ENOSPC }); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("there is no past any more: %v", err)
	}
	other := errors.New("no")
	if err := s.store.durably(func() error { return other }); err != other {
		t.Error(err)
	}
	s.publish(first + 130)
	if window, ok := s.store.DVR("360p"); !ok || len(window.Segments) != 1 {
		t.Error("nothing is kept afterwards")
	}
}

func TestHowLongADVRWindowMayBe(t *testing.T) {
	for _, c := range []struct {
		dvr, window int64
		ok          bool
	}{{0, 0, true}, {60_000, 0, true}, {59_000, 0, false}, {20_000, 20_000, true}, {MaxDVRMs, 0, true}, {MaxDVRMs + 1, 0, false}, {-1, 0, false}} {
		if err := CheckDVR(c.dvr, c.window); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
