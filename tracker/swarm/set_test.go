package swarm

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestASetKeepsWhoIsInItInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s set
		var want []*viewer
		stride := rapid.SampledFrom([]uint64{1, 1 << 32, 0x9e3779b97f4a7c15}).Draw(t, "stride")
		all := make([]*viewer, rapid.IntRange(1, 200).Draw(t, "viewers"))
		for i := range all {
			all[i] = &viewer{id: uint64(i+1) * stride}
		}
		for _, pick := range rapid.SliceOfN(rapid.IntRange(-len(all), len(all)-1), 0, 600).Draw(t, "calls") {
			if pick >= 0 {
				s.add(all[pick])
				if !slices.Contains(want, all[pick]) {
					want = append(want, all[pick])
				}
				continue
			}
			v := all[-pick-1]
			s.remove(v)
			if i := slices.Index(want, v); i >= 0 {
				want[i] = want[len(want)-1]
				want = want[:len(want)-1]
			}
		}
		if !slices.Equal(s.items, want) {
			t.Fatalf("%d are in the set in this order, want %d", len(s.items), len(want))
		}
		for _, v := range all {
			if s.has(v) != slices.Contains(want, v) {
				t.Fatalf("viewer %d: in the set %v", v.id, s.has(v))
			}
		}
	})
}
