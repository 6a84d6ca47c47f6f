package playback

import "testing"

func TestPlaysThroughAndReportsStartupAndLatency(t *testing.T) {
	p := New(10_000, 4_000) // asked at 10 s, six seconds behind live
	p.Advance(10_300, 4_000)
	if p.State() != Starting {
		t.Fatalf("state %q with nothing buffered", p.State())
	}
	p.Advance(10_400, 6_000)
	if p.State() != Playing || p.StartupMs() != 400 {
		t.Fatalf("state %q, startup %d ms; want playing after 400 ms", p.State(), p.StartupMs())
	}
	p.Advance(11_400, 6_000)
	if p.PositionMs() != 5_000 || p.LatencyMs(11_400) != 6_400 || p.Stalls() != 0 {
		t.Fatalf("position %d, latency %d, stalls %d", p.PositionMs(), p.LatencyMs(11_400), p.Stalls())
	}
	if due := p.DueMs(11_400, 6_000); due != 12_400 {
		t.Fatalf("media second 6 is due at %d, want 12400", due)
	}
}

func TestStallCountsOnceAndMeasuresItsLength(t *testing.T) {
	p := New(0, 0)
	p.Advance(0, 1_000)
	p.Advance(1_500, 1_000) // ran dry at 1,000
	p.Advance(2_000, 1_050) // not enough to go on
	if p.State() != Stalled || p.Stalls() != 1 || p.StallMs() != 1_000 {
		t.Fatalf("state %q, %d stalls, %d ms; want one stall of 1000 ms", p.State(), p.Stalls(), p.StallMs())
	}
	p.Advance(2_100, 3_000)
	p.Advance(2_600, 3_000)
	if p.State() != Playing || p.Stalls() != 1 || p.StallMs() != 1_100 || p.PositionMs() != 1_500 {
		t.Fatalf("state %q, %d stalls, %d ms, position %d", p.State(), p.Stalls(), p.StallMs(), p.PositionMs())
	}
}

func TestAGapIsJumpedAndIsNoStall(t *testing.T) {
	p := New(0, 0)
	p.Advance(0, 2_000)
	p.Advance(2_000, 2_000)
	p.JumpTo(8_000)
	p.Advance(2_100, 10_000)
	if p.Stalls() != 0 || p.PositionMs() != 8_100 {
		t.Fatalf("%d stalls, position %d; want none, 8100", p.Stalls(), p.PositionMs())
	}
}
