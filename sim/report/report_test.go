package report

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"slipstream/sim/world"
)

// example is a result whose numbers can be worked out by hand: 10 viewers of
// whom one left before its first picture, 20 segments of 250 kB.
func example() *world.Result {
	r := &world.Result{
		Config: world.Config{
			Name: "by hand", Seed: 3,
			Stream: world.Stream{BytesPerSec: 125_000, SegmentMs: 2000, HoldBackSegments: 3},
			CDN:    world.CDN{OneWayMs: 20, ServerMs: 5},
		},
		Measured: world.Measured{
			Segments: 20, ViewerBytes: 50_000_000, HTTPBytes: 10_000_000, P2PBytes: 40_000_000,
			DutyBytes: 5_000_000, RescueBytes: 5_000_000, CDNBytes: 10_000_000, StreamBytes: 5_000_000,
			ViewersMean: 10, UplinkMean: 106_250,
		},
		Whole: world.Measured{ViewerBytes: 60_000_000, P2PBytes: 42_000_000, StartupBytes: 6_000_000},
	}
	for i := range 10 {
		v := world.Viewer{Number: int64(i), UplinkBytesPerSec: 100_000}
		v.StartupMs, v.LatencyMs = int64(100*(i+1)), int64(6000+i)
		v.HTTPBytes, v.P2PBytes, v.Stalls, v.StallMs = 1000, 3000, int64(i/8), int64(i/8*50)
		v.UplinkBytes, v.PresentMs = 30_000, 1000
		r.Viewers = append(r.Viewers, v)
	}
	r.Viewers[4].StartupMs = 0
	r.Viewers = append(r.Viewers, world.Viewer{Number: 10, JoinMs: -1})
	return r
}

func TestNumbers(t *testing.T) {
	r := New(example())
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"offload", r.Offload, 0.8},
		// u/r is 0.85, less than 1 − 1/10; D − t0 = 4000 − 90 is more than T.
		{"bound", r.Bound.Offload, 0.85},
		{"share of the bound", r.BoundShare, 0.8 / 0.85},
		{"copies", r.CDNCopies, 2},
		{"duty", r.DutyShare, 0.1},
		{"rescue", r.RescueShare, 0.1},
		{"whole", r.OffloadWhole, 0.7},
		{"startup", r.StartupShare, 0.1},
		{"uplink use", r.UplinkUse, 0.3},
		{"viewers", float64(r.Viewers), 10},
		{"never started", float64(r.NeverStarted), 1},
		{"stalls", float64(r.Stalls), 2},
		{"stalled viewers", float64(r.StalledViewers), 2},
		{"startup p50", float64(r.StartupMsP50), 600}, // the fifth of nine
		{"startup p99", float64(r.StartupMsP99), 1000},
		{"latency p50", float64(r.LatencyMsP50), 6005},
		{"latency most", float64(r.LatencyMsMax), 6009},
		{"bytes", float64(r.HTTPBytes + r.P2PBytes), 40_000},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("%s is %g, want %g", c.what, c.got, c.want)
		}
	}
}

func TestBound(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*world.Result)
		want   float64
	}{
		{"uplinks to spare", func(r *world.Result) { r.Measured.UplinkMean = 1e6 }, 0.9},
		{"with a seeder", func(r *world.Result) { r.Measured.UplinkMean, r.Config.Seeders.Count = 1e6, 1 }, 1},
		{"alone", func(r *world.Result) { r.Measured.ViewersMean = 1 }, 0},
		{"too little time", func(r *world.Result) { r.Config.Stream.HoldBackSegments, r.Config.Stream.SegmentMs = 2, 180 }, 0.85 * 0.5},
		{"no time at all", func(r *world.Result) { r.Config.Stream.HoldBackSegments = 1 }, 0},
		{"nothing measured", func(r *world.Result) { r.Measured = world.Measured{} }, 0},
	} {
		result := example()
		c.change(result)
		if got := New(result).Bound.Offload; math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: the bound is %g, want %g", c.what, got, c.want)
		}
	}
}

func TestTextSaysTheNumbers(t *testing.T) {
	result := example()
	result.Failures = []string{"viewer 3 stores a leaf twice"}
	var out bytes.Buffer
	if err := New(result).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"by hand, seed 3: 10 viewers", "offload      80.0 %", "bound        85.0 %, of which that is 94.1 %",
		"N 10.0, ū 0.85 Mb/s, r 1.00 Mb/s, D 4000 ms, t0 90 ms, T 2000 ms", "2.00 copies",
		"stalls       2, 100 ms in all, 2 viewers", "FAILURE      viewer 3 stores a leaf twice", "result hash  ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text does not say %q:\n%s", want, out.String())
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }

func TestAWriteThatFailsIsTold(t *testing.T) {
	r := New(example())
	for name, err := range map[string]error{"text": r.WriteText(brokenPipe{}), "JSON": r.WriteJSON(brokenPipe{})} {
		if err == nil || !strings.Contains(err.Error(), "cannot be written") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}
