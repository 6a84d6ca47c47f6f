package world

import (
	"context"
	"testing"
)

// How long viewers are run by themselves is a question of speed: millisecond by
// millisecond, in which only messages that arrive together change places, the same
// comes out. Loss of order or of time would show.
func TestTheLengthOfAWindowChangesNothingButTies(t *testing.T) {
	cfg := fewViewers(60)
	cfg.DurationMs, cfg.Arrival.OverMs = 60_000, 10_000
	cfg.StayMs, cfg.Replace, cfg.Crashes = 60_000, true, 0.3
	cfg.Tracker.Outages = []Outage{{FromMs: 20_000, ToMs: 24_000}}
	run := func(lookaheadMs int64) *Result {
		w := newWorld(cfg, 0)
		w.lookaheadMs = min(w.lookaheadMs, lookaheadMs)
		part, err := w.run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if lookaheadMs > 1 && w.lookaheadMs != cfg.Network.OneWayMs {
			t.Errorf("viewers are run for %d ms, the shortest way takes %d", w.lookaheadMs, cfg.Network.OneWayMs)
		}
		r := Merge(cfg, []*Part{part})
		for _, f := range r.Failures {
			t.Error(f)
		}
		return r
	}
	short, long := run(1), run(maxLookaheadMs)
	near := func(what string, a, b, tolerance float64) {
		if b < a-tolerance || b > a+tolerance {
			t.Errorf("%s: %g with windows of a millisecond, %g with long ones", what, a, b)
		}
	}
	share := func(r *Result) float64 { return float64(r.Measured.P2PBytes) / float64(r.Measured.ViewerBytes) }
	near("offload", share(short), share(long), 0.01)
	near("bytes", float64(short.Measured.ViewerBytes), float64(long.Measured.ViewerBytes), 0.002*float64(short.Measured.ViewerBytes))
	near("connections", float64(short.Connections), float64(long.Connections), 0.05*float64(short.Connections))
	near("spread", float64(short.SpreadMs(0.5)), float64(long.SpreadMs(0.5)), 0.1*float64(short.SpreadMs(0.5)))
	if len(short.Viewers) != len(long.Viewers) {
		t.Fatalf("%d viewers with windows of a millisecond, %d with long ones", len(short.Viewers), len(long.Viewers))
	}
	for i := range short.Viewers {
		a, b := &short.Viewers[i], &long.Viewers[i]
		if a.Number != b.Number || a.JoinMs != b.JoinMs || a.PresentMs != b.PresentMs {
			t.Errorf("viewer %d is there for %d ms, then for %d", a.Number, a.PresentMs, b.PresentMs)
		}
		near("startup", float64(a.StartupMs), float64(b.StartupMs), 250)
	}
}
