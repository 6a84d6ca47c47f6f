package store

import (
	"slices"
	"testing"

	"slipstream/origin/cmaf"
	"slipstream/origin/health"
	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

// offeredNow are the renditions that a multivariant playlist may list.
func (s *station) offeredNow() (names []string) {
	for _, st := range s.store.Status() {
		names = append(names, st.Rendition)
	}
	return names
}

// put publishes segments of one rendition; a run of the encoder begins with the first.
func (s *station) put(rendition string, numbers ...int64) {
	s.t.Helper()
	for i, n := range numbers {
		segment := s.segment(rendition, n)
		segment.Discontinuity = i == 0
		s.nowMs = n*2000 + 2300
		if err := s.store.Publish(segment, s.nowMs); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *station) expectOffered(when string, want ...string) {
	s.t.Helper()
	if got := s.offeredNow(); !slices.Equal(got, want) {
		s.t.Errorf("%s %q are offered, want %q", when, got, want)
	}
}

// A rung that goes is not offered any more; one that comes back is, when a player that begins with it finds a whole window, and then counts
// discontinuities as the others do.
func TestARenditionGoesAndComesBack(t *testing.T) {
	s := newStation(t, func(cfg *Config) { cfg.WindowMs = 3_600_000 })
	s.expectOffered("before the first run", "360p", "180p")
	s.store.Offer([]string{"360p", "180p"}, s.nowMs)
	s.expectOffered("on an empty channel", "360p", "180p")
	s.put("360p", from(first, 10)...)
	s.put("180p", from(first, 10)...)

	s.store.Offer([]string{"180p"}, s.nowMs)
	s.expectOffered("without a rung", "180p")
	if s.store.Made("360p") || !s.store.Made("180p") || s.store.Made("no such") {
		t.Error("it is not known what is made")
	}
	if _, ok := s.store.Segment("360p", first+9); !ok {
		t.Error("what was published of it cannot be fetched any more")
	}
	s.put("180p", from(first+10, 20)...)

	s.store.Offer([]string{"360p", "180p"}, s.nowMs)
	v := manifest.NewVerifier(s.keys.ID(), "360p")
	for i, n := range from(first+30, health.Recent) {
		s.expectOffered("while its window is not whole", "180p")
		for _, rendition := range []string{"180p", "360p"} {
			segment := s.segment(rendition, n)
			segment.Discontinuity = i == 0
			s.nowMs = n*2000 + 2300
			if err := s.store.Publish(segment, s.nowMs); err != nil {
				t.Fatal(err)
			}
		}
		if pl, story := s.watch(v); pl.MediaSequence != first+30 || len(story) != i+1 {
			t.Errorf("from %d on it lists %s", pl.MediaSequence, story)
		}
	}
	s.expectOffered("with a whole window", "360p", "180p")
	count := func(rendition string) int64 {
		view, _ := s.store.View(rendition)
		total := view.DiscontinuitySequence
		for _, entry := range view.Entries {
			if entry.Discontinuity {
				total++
			}
		}
		return total
	}
	if a, b := count("360p"), count("180p"); a != b {
		t.Errorf("%d and %d discontinuities lie before the newest segments", a, b)
	}
}

// The first publisher's picture is small, the next one's is not: all that it makes is waited for, as at a start.
func TestALargerSourceAfterAPause(t *testing.T) {
	s := newStation(t, nil)
	s.store.Offer([]string{"180p"}, s.nowMs)
	s.expectOffered("with a small source", "180p")
	s.put("180p", from(first, 3)...)
	s.put("180p", from(first+3, 3)...) // another run
	s.nowMs += hls.OffAirMs + 1
	s.store.Offer([]string{"360p", "180p"}, s.nowMs)
	s.expectOffered("with a large source", "360p", "180p")
	later := s.nowMs/2000 + 1
	s.put("360p", later)
	s.put("180p", later)
	a, _ := s.store.View("360p")
	b, _ := s.store.View("180p")
	last := b.Entries[len(b.Entries)-1]
	total := b.DiscontinuitySequence
	for _, entry := range b.Entries {
		if entry.Discontinuity {
			total++
		}
	}
	if a.DiscontinuitySequence != total || last.Number != later {
		t.Errorf("the new rendition begins with %d discontinuities, the other one has had %d", a.DiscontinuitySequence, total)
	}
}

// Somebody who waits for more of a rendition that is no longer made is not left waiting.
func TestWhoWaitsForARenditionThatGoesIsTold(t *testing.T) {
	s := newStation(t, nil)
	s.put("360p", first)
	part := cmaf.Part{Segment: s.segment("360p", first+1)}
	if err := s.store.PublishPart(part, s.nowMs); err != nil {
		t.Fatal(err)
	}
	edge, _ := s.store.Edge("360p")
	s.store.Offer([]string{"180p"}, s.nowMs)
	select {
	case <-edge.Changed:
	default:
		t.Error("nobody told")
	}
	view, _ := s.store.View("180p")
	if len(view.Reports) != 0 {
		t.Errorf("players are told how far %v is", view.Reports)
	}
}
