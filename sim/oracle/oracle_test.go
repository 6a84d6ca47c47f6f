package oracle

import (
	"math"
	"testing"
)

func TestOracles(t *testing.T) {
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"uplinks to spare: one copy", CDNFloor(100, 4, 800), 4},
		{"half of the uplink that is needed", CDNFloor(100, 4, 200), 200},
		{"offload, bounded by the copy", Offload(100, 1, 2, 4000, 90, 2000), 0.99},
		{"offload, bounded by uplinks", Offload(100, 1, 0.5, 4000, 90, 2000), 0.5},
		{"offload, bounded by time", Offload(100, 1, 1, 1090, 90, 2000), 0.5},
		{"offload without time", Offload(100, 1, 1, 50, 90, 2000), 0},
		{"offload alone", Offload(1, 1, 2, 4000, 90, 2000), 0},
		{"eight viewers, one copy: three doublings", SpreadMs(8, 1, 10), 30},
		{"nine take a fourth", SpreadMs(9, 1, 10), 40},
		{"four copies save two", SpreadMs(32, 4, 10), 30},
		{"everybody got a copy", SpreadMs(8, 8, 10), 0},
		{"a chain", Reach(5, 1), 6},
		{"fan-out 2: Fibonacci", Reach(5, 2), 1 + 1 + 2 + 3 + 5 + 8},
		{"wide enough: doubling", Reach(5, 12), 32},
		{"FACTS.md: at most 83 % offload for d = 5", 1 - LocalElection([]int{5, 5, 5, 5, 5, 5})/6, 1 - 1.0/6},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("%s: %g, want %g", c.what, c.got, c.want)
		}
	}
}
