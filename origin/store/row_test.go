package store

import (
	"bytes"
	"testing"
)

// A DASH Period keeps its start while its first segments leave the window.
func TestWhereARowOfSegmentsBeganIsRemembered(t *testing.T) {
	s := newStation(t, nil)
	since := func() int64 {
		view, _ := s.store.View("360p")
		return view.SinceMs
	}
	s.publish(from(first, 25)...) // the window has ten
	if got := since(); got != first*2000 {
		t.Errorf("the row began at %d, want %d", got, first*2000)
	}
	s.publish(from(first+27, 5)...)
	if got := since(); got != first*2000 {
		t.Errorf("while the window begins before the hole: %d", got)
	}
	s.publish(from(first+32, 20)...)
	if got := since(); got != (first+27)*2000 {
		t.Errorf("behind the hole the row began at %d, want %d", got, (first+27)*2000)
	}
	short := s.segment("360p", first+52) // the encoder lost frames; no discontinuity, but time is missing
	short.DurationMs = 1500
	again := s.segment("360p", first+80)
	again.Discontinuity = true
	for _, segment := range []struct {
		publish func()
		sinceMs int64
	}{
		{func() {
			if err := s.store.Publish(short, s.nowMs+2000); err != nil {
				t.Fatal(err)
			}
			s.publish(from(first+53, 27)...)
		}, (first + 53) * 2000},
		{func() {
			if err := s.store.Publish(again, s.nowMs+2000); err != nil {
				t.Fatal(err)
			}
			s.publish(from(first+81, 20)...)
		}, (first + 80) * 2000},
	} {
		segment.publish()
		if got := since(); got != segment.sinceMs {
			t.Errorf("the row began at %d, want %d", got, segment.sinceMs)
		}
	}
}

func TestASegmentCanBeHadWithItsInitSection(t *testing.T) {
	s := newStation(t, nil)
	s.publish(first)
	s.init = "init two"
	s.publish(first + 1)
	for i, init := range []string{"init one", "init two"} {
		n := first + int64(i)
		got, ok := s.store.Muxed("360p", n)
		if !ok || string(got.Init) != init || !bytes.Equal(got.Data, s.segment("360p", n).Data) || got.StartMs != n*2000 {
			t.Errorf("segment %d: %v, init section %q, start %d", n, ok, got.Init, got.StartMs)
		}
	}
	view, _ := s.store.View("360p")
	if got := view.Entries[1].Codecs; got != "avc1.4d401e,mp4a.40.2" {
		t.Errorf("it is said to be %q", got)
	}
	for rendition, n := range map[string]int64{"360p": first + 2, "1080p": first} {
		if _, ok := s.store.Muxed(rendition, n); ok {
			t.Errorf("segment %d of %s is there", n, rendition)
		}
	}
}
