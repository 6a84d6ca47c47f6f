package sched

import "testing"

// The same values stand in the TypeScript twin's test.
func TestMix32(t *testing.T) {
	for in, want := range map[uint32]uint32{
		0: 0, 1: 0x514e28b7, 2: 0x30f4c306, 0xffffffff: 0x81f16f39, 0x9e3779b9: 0x92ca2f0e,
	} {
		if got := mix32(in); got != want {
			t.Errorf("mix32(%#x) = %#x, want %#x", in, got, want)
		}
	}
}

// Every leaf belongs to one stripe, stripes are runs of about the same length, and
// with the sequence number they move on by one.
func TestStripe(t *testing.T) {
	for _, leaves := range []int32{1, 7, 16, 17, 100, 4096} {
		var size [Stripes]int32
		for leaf := range leaves {
			s := Stripe(leaf, leaves, 0)
			size[s]++
			if leaf > 0 && s < Stripe(leaf-1, leaves, 0) {
				t.Errorf("%d leaves: leaf %d falls back to stripe %d", leaves, leaf, s)
			}
			if next := Stripe(leaf, leaves, 900_000_005); next != (s+5)%Stripes {
				t.Errorf("%d leaves: leaf %d is in stripe %d of sequence 0 and %d of 900000005", leaves, leaf, s, next)
			}
		}
		for s, n := range size {
			if n < leaves/Stripes || n > (leaves+Stripes-1)/Stripes {
				t.Errorf("%d leaves: stripe %d has %d", leaves, s, n)
			}
		}
	}
}
