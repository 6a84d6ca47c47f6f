package store

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"slipstream/origin/cmaf"
	"slipstream/origin/disktest"
	"slipstream/origin/manifest"
)

// Of a day on a disk of 64 MiB the newest part stays, and not one segment is missing at the live edge. What is listed can be had, whole.
func TestTheOldestWindowLeavesAFullDisk(t *testing.T) {
	day := func(c *Config) { c.DVRMs = MaxDVRMs }
	s := &station{t: t, dir: filepath.Join(disktest.Small(t), "data"), nowMs: startMs, init: "init one"}
	s.restart(day)
	const size, count = 400_000, 2 * disktest.SmallBytes / 400_000
	for n := first; n < first+count; n++ {
		s.nowMs = n*2000 + 2300
		segment := s.segment("360p", n)
		for len(segment.Data) < size {
			segment.Data = append(segment.Data, segment.Data...)
		}
		segment.Data = segment.Data[:size]
		if err := errors.Join(s.store.PublishPart(cmaf.Part{Segment: segment}, s.nowMs), s.store.Publish(segment, s.nowMs)); err != nil {
			t.Fatalf("segment %d: %v", n-first, err)
		}
	}
	newest := int64(first + count - 1)
	if pl, story := s.watch(s.verifier()); story != "SSSSSSSSSS" || pl.MediaSequence != newest-9 {
		t.Errorf("the live window is %s from %d", story, pl.MediaSequence-first)
	}
	window, ok := s.store.DVR("360p")
	if n := len(window.Segments); !ok || n < disktest.SmallBytes/size/3 || n > disktest.SmallBytes/size || window.Segments[n-1].Number != newest {
		t.Fatalf("of %d segments %d are kept, up to %d", count, n, window.Segments[n-1].Number-first)
	}
	for i, listed := range window.Segments {
		if want := newest - int64(len(window.Segments)-1-i); listed.Number != want || i > 0 && listed.Discontinuity {
			t.Fatalf("%d is listed instead of %d", listed.Number-first, want-first)
		}
		found, ok := s.store.Kept("360p", listed.Number)
		if !ok {
			t.Fatalf("segment %d is listed and cannot be had", listed.Number-first)
		}
		data, err := io.ReadAll(found.File)
		found.File.Close()
		if err != nil || len(data) != size || manifest.Root(manifest.LeafHashes(data)) != found.Root {
			t.Fatalf("segment %d is not what was signed: %d bytes, %v", listed.Number-first, len(data), err)
		}
	}
	disktest.Fill(t, filepath.Dir(s.dir)) // by somebody else
	s.publish(newest+1, newest+2)
	s.restart(day)
	if signed := s.store.Signed(); signed != newest+2 {
		t.Errorf("after a restart %d is the newest that was signed, not %d", signed-first, newest+2-first)
	}
	s.publish(newest + 3)
}
