package prefetch

import "testing"

func TestNothingIsAskedForWhereNothingIs(t *testing.T) {
	Value[int](nil)
	First[int](nil, 1)
	Slice([]int(nil))
	Slice([]int{}) // has an address, and nothing there
}

func TestAskingForMemoryChangesNothing(t *testing.T) {
	var page [4096]byte
	for i := range page {
		page[i] = byte(i)
	}
	Value(&page)
	First(&page, 3)
	Slice(page[4000:]) // what lies behind it may be asked for, too
	for i := range page {
		if page[i] != byte(i) {
			t.Fatalf("byte %d has changed", i)
		}
	}
}
