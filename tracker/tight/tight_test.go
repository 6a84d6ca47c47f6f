package tight

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type entry struct{ key uint64 }

func (e *entry) Key() uint64 { return e.key }

func TestAnIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x Index[*entry]
		want := map[uint64]*entry{}
		stride := rapid.SampledFrom([]uint64{1, 1 << 24, 1 << 40, 0x9e3779b97f4a7c15}).Draw(t, "stride") // some meet all in one place
		for _, pick := range rapid.SliceOfN(rapid.IntRange(-100, 100), 0, 600).Draw(t, "calls") {
			switch key := uint64(max(pick, -pick)) * stride; {
			case pick > 0:
				want[key] = &entry{key}
				x.Put(want[key])
			case pick < 0:
				delete(want, key)
				x.Delete(key)
			}
		}
		for i := uint64(1); i <= 100; i++ {
			if got := x.Get(i * stride); got != want[i*stride] {
				t.Fatalf("entry %d is %v, want %v", i, got, want[i*stride])
			}
		}
		all := slices.Collect(x.All())
		for _, e := range all {
			if want[e.key] != e {
				t.Fatalf("%v is no entry", e)
			}
		}
		if len(all) != len(want) || x.Len() != len(want) {
			t.Fatalf("it has %d entries and says %d, want %d", len(all), x.Len(), len(want))
		}
	})
}

func TestATightListGrowsByAFew(t *testing.T) {
	var list []int
	for i := range 100 {
		list = Append(list, i)
		if list[i] != i || len(list) != i+1 || cap(list) > max(len(list)+step, first) {
			t.Fatalf("after %d entries it has %d, and place for %d", i+1, len(list), cap(list))
		}
	}
}
