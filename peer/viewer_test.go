package peer

import (
	"testing"

	"slipstream/peer/playback"
	"slipstream/peer/session"
)

// window makes complete two-second segments with the given numbers.
func window(numbers ...int64) []session.Segment {
	var out []session.Segment
	for _, n := range numbers {
		out = append(out, session.Segment{Number: n, StartMs: n * 2000, DurationMs: 2000, Complete: true})
	}
	return out
}

func TestViewerStartsThreeSegmentsBehindLiveAndWantsNothingOlder(t *testing.T) {
	v := &viewer{joinedMs: 22_000}
	live := window(5, 6, 7, 8, 9, 10)
	for i := range live {
		live[i].Complete = false
	}
	v.Advance(22_000, "360p", live)
	for i, want := range []int64{0, 0, 0, 22_000, 24_000, 26_000} {
		if got := v.DeadlineMs(22_000, live[i]); got != want {
			t.Errorf("segment %d is wanted at %d, want %d", live[i].Number, got, want)
		}
	}
	live[3].Complete = true
	v.Advance(22_400, "360p", live)
	if v.play.State() != playback.Playing || v.play.StartupMs() != 400 || v.play.LatencyMs(22_400) != 6_400 {
		t.Errorf("state %s, startup %d ms, latency %d ms", v.play.State(), v.play.StartupMs(), v.play.LatencyMs(22_400))
	}
}

func TestViewerPlaysOverAPublishersAbsence(t *testing.T) {
	v := &viewer{}
	v.Advance(0, "360p", window(0, 1, 2))
	for now := int64(0); now <= 9_000; now += 50 {
		v.Advance(now, "360p", window(0, 1, 2))
	}
	if v.play.State() != playback.Stalled {
		t.Fatalf("state %s after the publisher went away; want a stall", v.play.State())
	}
	// It returns in the middle of segment 6: three numbers are missing.
	back := append(window(2), session.Segment{Number: 3, StartMs: 6_000, DurationMs: 2000, Gap: true},
		session.Segment{Number: 4, StartMs: 8_000, DurationMs: 2000, Gap: true},
		session.Segment{Number: 5, StartMs: 10_000, DurationMs: 2000, Gap: true},
		session.Segment{Number: 6, StartMs: 12_900, DurationMs: 1_100, Discontinuity: true, Complete: true})
	back = append(back, window(7, 8)...)
	v.Advance(18_100, "360p", back)
	v.Advance(18_200, "360p", back)
	v.Advance(18_700, "360p", back)
	if v.play.State() != playback.Playing || v.play.PositionMs() < 13_000 {
		t.Errorf("state %s at %d; want it to play on from 12900", v.play.State(), v.play.PositionMs())
	}
}

func TestViewerThatFellOutOfTheWindowGoesOnWithWhatThereIs(t *testing.T) {
	v := &viewer{}
	v.Advance(0, "360p", window(0, 1, 2))
	v.Advance(10_000, "360p", window(0, 1, 2))
	v.Advance(60_000, "360p", window(20, 21, 22))
	v.Advance(60_050, "360p", window(20, 21, 22))
	v.Advance(60_150, "360p", window(20, 21, 22))
	if v.play.State() != playback.Playing || v.play.PositionMs() < 40_000 {
		t.Errorf("state %s at %d; want it to play from 40000", v.play.State(), v.play.PositionMs())
	}
}

func TestWhatComesAfterAGapIsDueAsSoonAsItIsThere(t *testing.T) {
	v := &viewer{}
	v.Advance(0, "360p", window(0, 1, 2))
	v.Advance(6_000, "360p", window(0, 1, 2))
	back := append(window(0, 1, 2), session.Segment{Number: 3, StartMs: 6_000, DurationMs: 10_000, Gap: true})
	back = append(back, window(8, 9, 10)...)
	for i := range back[4:] {
		back[4+i].Complete = false
	}
	for now := int64(20_000); now < 26_000; now += 50 {
		v.Advance(now, "360p", back)
		if due := v.DeadlineMs(now, back[4]); due != now {
			t.Fatalf("at %d the first segment after the gap is due at %d", now, due)
		}
		if due := v.DeadlineMs(now, back[5]); due != now+2000 {
			t.Fatalf("at %d the second segment after the gap is due at %d", now, due)
		}
	}
}
