package timeline_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slipstream/origin/timeline"
)

func TestNumberOfATime(t *testing.T) {
	for _, c := range []struct {
		name    string
		epochMs int64
		number  int64
		refused bool
	}{
		{"the epoch", 0, 0, false},
		{"last millisecond of the first segment", 1999, 0, false},
		{"a boundary belongs to the later segment", 2000, 1, false},
		{"a day in 2025, one millisecond before a boundary", 1_763_785_211_999, 881_892_605, false},
		{"that boundary", 1_763_785_212_000, 881_892_606, false},
		{"the greatest time", timeline.MaxEpochMs, timeline.MaxEpochMs / 2000, false},
		{"before the epoch", -1, 0, true},
		{"far before the epoch", math.MinInt64, 0, true},
		{"beyond what JavaScript counts exactly", timeline.MaxEpochMs + 1, 0, true},
		{"the greatest int64", math.MaxInt64, 0, true},
	} {
		number, err := timeline.Number(c.epochMs)
		if number != c.number || (err != nil) != c.refused {
			t.Errorf("%s: Number(%d) = %d, %v; want %d, refused %v", c.name, c.epochMs, number, err, c.number, c.refused)
		}
	}
}

func TestStartOfANumber(t *testing.T) {
	for _, c := range []struct {
		number, startMs int64
		refused         bool
	}{
		{0, 0, false},
		{1, 2000, false},
		{881_892_606, 1_763_785_212_000, false},
		{timeline.MaxEpochMs / 2000, timeline.MaxEpochMs / 2000 * 2000, false},
		{-1, 0, true},
		{timeline.MaxEpochMs/2000 + 1, 0, true},
		{math.MaxInt64, 0, true}, // would overflow when multiplied
	} {
		startMs, err := timeline.StartMs(c.number)
		if startMs != c.startMs || (err != nil) != c.refused {
			t.Errorf("StartMs(%d) = %d, %v; want %d, refused %v", c.number, startMs, err, c.startMs, c.refused)
		}
	}
}

func TestEveryTimeLiesInItsSegment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, timeline.MaxEpochMs).Draw(t, "ms")
		number, err := timeline.Number(ms)
		if err != nil {
			t.Fatal(err)
		}
		startMs, err := timeline.StartMs(number)
		if err != nil {
			t.Fatal(err)
		}
		if ms < startMs || ms >= startMs+timeline.SegmentMs {
			t.Fatalf("%d ms has number %d, which covers %d to %d", ms, number, startMs, startMs+timeline.SegmentMs)
		}
	})
}

func TestFrameGrid(t *testing.T) {
	for _, c := range []struct {
		name    string
		ticks   timeline.Ticks
		rate    int
		want    timeline.Ticks
		refused bool
	}{
		{"on the grid", 6000, 30, 6000, false},
		{"just after", 6001, 30, 6000, false},
		{"just before", 5999, 30, 3000, false},
		{"before the epoch: still downwards", -1, 30, -3000, false},
		{"25 frames a second", 7199, 25, 3600, false},
		{"no rate", 0, 0, 0, true},
		{"negative rate", 0, -30, 0, true},
		{"a rate that leaves the grid", 0, 31, 0, true},
		{"too fast", 0, 90_000, 0, true},
	} {
		got, err := timeline.FloorToFrame(c.ticks, c.rate)
		if got != c.want || (err != nil) != c.refused {
			t.Errorf("%s: FloorToFrame(%d, %d) = %d, %v; want %d", c.name, c.ticks, c.rate, got, err, c.want)
		}
	}
}

// The reason for the grid: whenever a run starts, a frame starts on every boundary.
func TestAFrameStartsOnEverySegmentBoundary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.SampledFrom([]int{24, 25, 30, 50, 60}).Draw(t, "rate")
		ms := rapid.Int64Range(0, timeline.MaxEpochMs-10_000).Draw(t, "ms")
		first, err := timeline.FloorToFrame(timeline.FromMs(ms), rate)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := timeline.FrameTicks(rate)
		if err != nil {
			t.Fatal(err)
		}
		boundary := timeline.FromMs((ms/timeline.SegmentMs + 1) * timeline.SegmentMs)
		if (boundary-first)%frame != 0 {
			t.Fatalf("no frame starts at the boundary %d: the first starts at %d, each lasts %d", boundary, first, frame)
		}
		if late := timeline.FromMs(ms) - first; late < 0 || late >= frame {
			t.Fatalf("the grid moved the start by %d ticks, a frame lasts %d", late, frame)
		}
	})
}

func TestTicksRoundDownToMilliseconds(t *testing.T) {
	for ticks, ms := range map[timeline.Ticks]int64{0: 0, 89: 0, 90: 1, 3000: 33, 6000: 66, -1: -1, -90: -1, -91: -2} {
		if got := ticks.Ms(); got != ms {
			t.Errorf("%d ticks are %d ms, want %d", ticks, got, ms)
		}
	}
}

func TestWhereANewRunStarts(t *testing.T) {
	for _, c := range []struct {
		name          string
		now, last, at int64
		refused       bool
	}{
		{"nothing was published", 10_500, -1, 10_500, false},
		{"the last one is over", 10_500, 4, 10_500, false},
		{"inside of the last one: its partial is dropped later", 10_500, 5, 10_500, false},
		{"our clock was set back an hour", 10_500, 1805, 3_612_000, false},
		{"a time before the epoch", -1, 3, 0, true},
		{"the last number of all", 10_500, timeline.MaxEpochMs / 2000, 0, true},
	} {
		at, err := timeline.RunStartMs(c.now, c.last)
		if at != c.at || (err != nil) != c.refused {
			t.Errorf("%s: RunStartMs(%d, %d) = %d, %v; want %d", c.name, c.now, c.last, at, err, c.at)
		}
	}
}

func TestAnchor(t *testing.T) {
	const epochMs = 1_763_785_210_449 // 449 ms into its second: the frame before is at 433.3 ms
	a, err := timeline.NewAnchor(5*time.Second, epochMs, 30)
	if err != nil {
		t.Fatal(err)
	}
	first := timeline.FromMs(1_763_785_210_000) + 13*3000
	for _, c := range []struct {
		name   string
		source time.Duration
		want   timeline.Ticks
	}{
		{"the first frame lies on the grid", 5 * time.Second, first},
		{"two seconds on", 7 * time.Second, first + 180_000},
		{"RTMP's rounded milliseconds are kept", 5033 * time.Millisecond, first + 33*90},
		{"sound that began earlier", 4979 * time.Millisecond, first - 21*90},
		{"after 40 days", 5*time.Second + 40*24*time.Hour, first + 40*24*3600*90_000},
	} {
		got, err := a.Epoch(c.source)
		if err != nil || got != c.want {
			t.Errorf("%s: Epoch(%v) = %d, %v; want %d", c.name, c.source, got, err, c.want)
		}
		if back := a.Source(got); back != c.source {
			t.Errorf("%s: Source(Epoch(%v)) = %v", c.name, c.source, back)
		}
	}
	if late := a.LatenessMs(6*time.Second, epochMs+1250); late != 250+449-433 {
		t.Errorf("a frame that is 250 ms late is reported %d ms late", late)
	}
	if late := a.LatenessMs(8*time.Second, epochMs+1000); late != -2000+449-433 {
		t.Errorf("a frame that is 2 s early is reported %d ms late", late)
	}
}

func TestAnchorRefusesWhatIsOutsideOfTheEpoch(t *testing.T) {
	for _, ms := range []int64{-1, math.MinInt64, math.MaxInt64, timeline.MaxEpochMs + 1} {
		if _, err := timeline.NewAnchor(0, ms, 30); err == nil {
			t.Errorf("an anchor at %d ms was accepted", ms)
		}
	}
	if _, err := timeline.NewAnchor(0, 1000, 7); err == nil {
		t.Error("an anchor at 7 frames a second was accepted")
	}
	a, err := timeline.NewAnchor(time.Hour, 1000, 30)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Epoch(0); err == nil {
		t.Error("a timestamp an hour before the anchor at 1 s after the epoch was accepted")
	}
	late, err := timeline.NewAnchor(0, timeline.MaxEpochMs, 30)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Epoch(time.Second); err == nil {
		t.Error("a timestamp beyond 2^53 ms was accepted")
	}
}

func TestDriftIsTheLeastLatenessOfAWindow(t *testing.T) {
	var d timeline.Drift
	type frame struct{ nowMs, latenessMs int64 }
	for _, f := range []frame{{0, 900}, {10_000, 8_000}, {20_000, 150}, {29_999, 700}} {
		if _, judged := d.Observe(f.nowMs, f.latenessMs); judged {
			t.Fatalf("judged at %d ms, before the window had passed", f.nowMs)
		}
	}
	if least, judged := d.Observe(30_000, 400); !judged || least != 150 {
		t.Fatalf("a stall looks like drift: %d ms, %v; want 150, true", least, judged)
	}
	d.Observe(30_033, 2600) // the next window starts afresh
	if least, judged := d.Observe(61_000, 2700); !judged || least != 2600 {
		t.Fatalf("a slow clock was not noticed: %d ms, %v; want 2600, true", least, judged)
	}
}
