package playback

import "testing"

func TestALadderIsClimbedOneRungAtATimeAndFallenDownAtOnce(t *testing.T) {
	l := NewLadder([]Rung{{"low", 500_000}, {"mid", 1_000_000}, {"high", 3_000_000}})
	if l.Choose(6000, 2000) || l.Rung().Name != "low" {
		t.Fatal("it chose without any measurement")
	}
	l.Sample(250_000, 200) // 10 Mb/s
	for _, want := range []string{"mid", "high", "high"} {
		l.Choose(6000, 2000)
		if l.Rung().Name != want {
			t.Errorf("at 10 Mb/s it is at %s, want %s", l.Rung().Name, want)
		}
	}
	for range 4 {
		l.Sample(250_000, 4000) // 0.5 Mb/s
	}
	if !l.Choose(1000, 2000) || l.Rung().Name != "low" {
		t.Errorf("at 0.5 Mb/s it is at %s", l.Rung().Name)
	}
	for range 2 {
		l.Sample(250_000, 100)
	}
	if l.Choose(1000, 2000) {
		t.Error("it climbs with less than a segment in hand")
	}
	if !l.Choose(2000, 2000) || l.Rung().Name != "mid" {
		t.Errorf("at 20 Mb/s again it is at %s", l.Rung().Name)
	}
}

func TestMeasurementsOfNoTimeAreBounded(t *testing.T) {
	l := NewLadder([]Rung{{"only", 1}})
	l.Sample(1<<26, 0)
	l.Sample(1<<52, -5)
	if l.Choose(0, 0) || l.fast > maxSampleBytes*8000 || l.fast <= 0 {
		t.Errorf("throughput %d", l.fast)
	}
}
