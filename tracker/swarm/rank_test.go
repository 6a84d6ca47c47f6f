package swarm

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestLog2IsTheLogarithmRoundedDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Uint64Range(1, 1<<33).Draw(t, "x")
		got, want := float64(log2(x))/(1<<logBits), math.Log2(float64(x))
		if got > want+1e-9 || got < want-2.0/(1<<logBits) {
			t.Fatalf("log2(%d) is %f, want %f", x, got, want)
		}
	})
	for _, x := range []uint64{1, 2, 1 << 16, 1 << 32} {
		if got, want := log2(x), uint64(math.Log2(float64(x)))<<logBits; got != want {
			t.Errorf("log2(%d) is %d, want %d", x, got, want)
		}
	}
}

func TestWhoWeighsMoreComesFirstThatMuchMoreOften(t *testing.T) {
	const rooms = 20_000
	weights := []uint64{2, 8, 16, 256}
	first := make([]int, len(weights))
	for room := range uint64(rooms) {
		best, lowest := 0, uint64(math.MaxUint64)
		for i, w := range weights {
			if s := score(rankOf("channel", "360p", room*uint64(len(weights))+uint64(i)+1, 0), w); s < lowest {
				best, lowest = i, s
			}
		}
		first[best]++
	}
	for i, w := range weights {
		want := float64(rooms) * float64(w) / 282
		if got := float64(first[i]); math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("weight %d came first %v times, want about %v", w, got, want)
		}
	}
}
