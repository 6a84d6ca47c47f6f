package sim

import (
	"testing"

	"slipstream/sim/report"
	"slipstream/sim/world"
)

// The short form of `slipstream sim bars --only matching`: forty ISPs in rooms of 120.
func TestATrackerThatKnowsPlacesKeepsBytesInThem(t *testing.T) {
	cfg, err := Load("ten-thousand-isps")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Viewers, cfg.ClusterViewers, cfg.DurationMs, cfg.MeasureAfterMs = 480, 120, 34_000, 20_000
	run := func(blind bool) *report.Report {
		cfg.Tracker.Blind = blind
		return report.New(simulate(t, cfg))
	}
	matched, random := run(false), run(true)
	if matched.SameISP < 0.65 || random.SameISP > 0.15 {
		t.Errorf("%.3f of what could stay inside an ISP did, at random %.3f; want 0.65 and at most 0.15", matched.SameISP, random.SameISP)
	}
	if matched.LargestComponent < 0.999 {
		t.Errorf("a room has fallen apart: %.3f are together", matched.LargestComponent)
	}
	if matched.Offload < random.Offload-0.01 || matched.Stalls > random.Stalls {
		t.Errorf("offload %.4f and %d stalls, at random %.4f and %d", matched.Offload, matched.Stalls, random.Offload, random.Stalls)
	}
}

func TestRoomsAreThoseOfTheTracker(t *testing.T) {
	cfg, err := Load("ten-thousand-isps")
	if err != nil {
		t.Fatal(err)
	}
	cfg = cfg.WithRooms()
	sizes := make([]int, world.Clusters(&cfg))
	for _, room := range cfg.RoomOf {
		sizes[room]++
	}
	for room, n := range sizes {
		if n < 450 || n > 1500 {
			t.Errorf("room %d of %v has %d viewers", room, sizes, n)
		}
	}
	if again := cfg.WithRooms(); &again.RoomOf[0] != &cfg.RoomOf[0] {
		t.Error("rooms that were decided on are decided on again")
	}
}
