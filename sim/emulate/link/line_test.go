package link

import "testing"

func TestALineSendsAtItsRateAndItsQueueIsBounded(t *testing.T) {
	l := Line{BytesPerSec: 100_000, QueueUs: 100_000} // 1000 B take 10 ms
	for i, c := range []struct {
		nowUs, bytes, endUs int64
		ok                  bool
	}{
		{0, 1000, 10_000, true},
		{0, 1000, 20_000, true},
		{5_000, 9500, 115_000, true},   // 110 ms of queue: the last that begins within 100 ms
		{5_000, 40, 0, false},          // longer than it may be
		{20_000, 40, 115_400, true},    // 95 ms again
		{300_000, 1000, 310_000, true}, // idle in between: nothing is saved up
	} {
		if endUs, ok := l.Send(c.nowUs, c.bytes); endUs != c.endUs || ok != c.ok {
			t.Errorf("packet %d: through at %d, accepted %v; want %d, %v", i, endUs, ok, c.endUs, c.ok)
		}
	}
}

func TestEvenASlowLineHoldsFourFullPackets(t *testing.T) {
	l := Line{BytesPerSec: 12_500, QueueUs: 200_000}
	accepted := 0
	for range 10 {
		if _, ok := l.Send(0, 1400); ok {
			accepted++
		}
	}
	if accepted != 5 { // one being sent, four waiting
		t.Errorf("a line of 100 kb/s took %d packets at once, want 5", accepted)
	}
}

func TestAnUnlimitedLineNeverWaits(t *testing.T) {
	var l Line
	for range 3 {
		if endUs, ok := l.Send(7, 1<<40); endUs != 7 || !ok {
			t.Fatalf("through at %d, accepted %v", endUs, ok)
		}
	}
}
