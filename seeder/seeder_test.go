package seeder

import (
	"context"
	"strings"
	"testing"

	"slipstream/peer/session"
)

func TestArchiveWantsEachSegmentAFixedTimeAfterItWasPublished(t *testing.T) {
	a := &archive{}
	old := session.Segment{StartMs: 90_000, DurationMs: 2_000}
	live := session.Segment{StartMs: 100_000, DurationMs: 2_000}
	if got := a.DeadlineMs(102_300, live); got != 102_300+patienceMs {
		t.Errorf("the live edge is wanted at %d, want %d", got, 102_300+patienceMs)
	}
	if got := a.DeadlineMs(102_300, old); got != 102_300+patienceMs {
		t.Errorf("what is older than the visit is wanted at %d, want %d", got, 102_300+patienceMs)
	}
	// Asked again later, the answer stays: a deadline that moves away never comes.
	if got := a.DeadlineMs(105_000, live); got != 102_300+patienceMs {
		t.Errorf("asked again, the live edge is wanted at %d, want %d", got, 102_300+patienceMs)
	}
	next := session.Segment{StartMs: 102_000, DurationMs: 2_000}
	if got := a.DeadlineMs(104_500, next); got != 104_300+patienceMs {
		t.Errorf("the next segment is wanted at %d, want %d", got, 104_300+patienceMs)
	}
}

func TestBadConfigurationIsOneSentence(t *testing.T) {
	for _, cfg := range []Config{{URL: "live/demo"}, {URL: "http://localhost/x.m3u8", Channel: "no"}} {
		err := Run(context.Background(), cfg)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: error %v; want one sentence", cfg, err)
		}
	}
}
