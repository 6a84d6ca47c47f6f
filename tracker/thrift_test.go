package tracker

import (
	"testing"
	"time"
)

func TestSpareMemoryFollowsWhatIsAllocated(t *testing.T) {
	percent := 100
	for range 40 { // ten quiet seconds
		percent = spare(percent, 10_000, thriftEvery)
	}
	if percent != leastSpare {
		t.Errorf("a tracker at rest has %d %% spare, want %d", percent, leastSpare)
	}
	if busy := spare(percent, 60_000_000/4, thriftEvery); busy != mostSpare {
		t.Errorf("at 60 MB/s it has %d %%, want %d at once", busy, mostSpare)
	}
	if some := spare(percent, 15_000_000/4, thriftEvery); some != 30 {
		t.Errorf("at 15 MB/s it has %d %%, want 30", some)
	}
	if pause := spare(100, 0, thriftEvery); pause < 80 {
		t.Errorf("a pause of %v leaves %d %%", thriftEvery, pause)
	}
	if spare(100, 1<<40, 0) != mostSpare || spare(100, 1<<63, time.Nanosecond) != mostSpare {
		t.Error("more than any machine allocates is too much for it")
	}
}
