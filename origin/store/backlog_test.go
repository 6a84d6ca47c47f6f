package store

import (
	"testing"

	"slipstream/origin/hls"
)

func TestWhatIsLeftToPush(t *testing.T) {
	s := newStation(t, nil)
	if _, ok := s.store.After("360p", -1); ok {
		t.Error("there is something before anything was published")
	}
	s.publish(from(first, 15)...)
	s.publishParts(first+15, 0, 2)
	for _, c := range []struct {
		after, want int64
		whole       bool
	}{
		{-1, first + 5, true}, // ten segments are the window
		{first + 6, first + 7, true},
		{first + 13, first + 14, true},
		{first + 14, first + 15, false}, // it is being filled
	} {
		got, ok := s.store.After("360p", c.after)
		if !ok || got.Number != c.want || (got.Data != nil) != c.whole || string(got.Init) != "init one" {
			t.Errorf("after %d: %d, %t; want %d", c.after, got.Number, ok, c.want)
		}
	}
	if got, ok := s.store.After("360p", first+15); ok {
		t.Errorf("after the last there is %d", got.Number)
	}
	if _, ok := s.store.After("720p", -1); ok {
		t.Error("there is a rendition that does not exist")
	}
	if n := s.store.Newest("360p"); n != first+14 {
		t.Errorf("the newest is %d", n)
	}
	if n := s.store.Newest("180p"); n != -1 {
		t.Errorf("of what was never published the newest is %d", n)
	}
}

// Two who package for one encoder tell of the same discontinuities, whatever one of them has missed.
func TestTheEncoderCountsDiscontinuities(t *testing.T) {
	story := func(s *station) (tags []int64, before int64) {
		view, _ := s.store.View("360p")
		for _, e := range view.Entries {
			if e.Discontinuity {
				tags = append(tags, e.Number-first)
			}
		}
		return tags, view.DiscontinuitySequence
	}
	publish := func(s *station, n, count int64) {
		s.nowMs = n*2000 + 2300
		seg := s.segment("360p", n)
		seg.Counted, seg.Discontinuities, seg.Discontinuity = true, count, true // each comes by itself
		if err := s.store.Publish(seg, s.nowMs); err != nil {
			t.Fatal(err)
		}
	}
	all, some := newStation(t, nil), newStation(t, nil)
	for n := first; n < first+6; n++ {
		count := int64(7)
		if n >= first+4 {
			count = 8
		}
		publish(all, n, count)
		if n != first+2 {
			publish(some, n, count)
		}
		if n == first+2 {
			some.restart(nil)
		}
	}
	for name, s := range map[string]*station{"all of it": all, "with a hole and a restart": some} {
		if tags, before := story(s); len(tags) != 1 || tags[0] != 4 || before != 7 {
			t.Errorf("%s: discontinuities at %v after %d", name, tags, before)
		}
	}
	view, _ := some.store.View("360p")
	if _, err := hls.Media(view, some.nowMs); err != nil {
		t.Error(err)
	}
}
