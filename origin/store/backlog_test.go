package store

import (
	"slices"
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

// An encoder that has lost its count with its data is told of it by who packages for it, after it has begun.
func TestARunCountsOnFromWhatItIsTold(t *testing.T) {
	s := newStation(t, nil)
	s.publish(first, first+1)
	s.init = "init two" // a discontinuity
	s.publish(first + 2)
	s.publishParts(first+3, 0, 1)
	counts := func() (got []int64) {
		for n := first - 1; ; n++ {
			next, ok := s.store.After("360p", n)
			if !ok {
				return got
			}
			got = append(got, next.Discontinuities)
		}
	}
	for _, c := range []struct {
		told int64
		want []int64
	}{{-1, []int64{0, 0, 1, 1}}, {7, []int64{8, 8, 9, 9}}, {7, []int64{8, 8, 9, 9}}, {6, []int64{8, 8, 9, 9}}} {
		if s.store.CountOn(c.told); !slices.Equal(counts(), c.want) {
			t.Errorf("told of %d it has %v, want %v", c.told, counts(), c.want)
		}
	}
	s.publish(first+3, first+4)
	if n := s.store.Discontinuities("360p"); n != 9 {
		t.Errorf("the newest segment is behind %d", n)
	}
	if _, story := s.watch(s.verifier()); story != "SS|SSS" {
		t.Errorf("the playlist reads %s", story)
	}
	s.restart(nil)
	if n := s.store.Discontinuities("360p"); n != 9 {
		t.Errorf("after a restart the newest segment is behind %d", n)
	}
	s.publish(first + 5)
	if n := s.store.Discontinuities("360p"); n != 10 {
		t.Errorf("the next run is behind %d", n)
	}
	if n := s.store.Discontinuities("720p"); n != 0 {
		t.Errorf("of a rendition that does not exist there are %d", n)
	}
}
