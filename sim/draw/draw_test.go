package draw

import (
	"math"
	"testing"
)

func TestDrawsAreFunctionsOfTheirArguments(t *testing.T) {
	a, b := New(7), New(7)
	for who := range int64(50) {
		_ = b.Bits(who, 9, 0) // asking something else in between shifts nothing
		if a.Bits(who, 3, 1) != b.Bits(who, 3, 1) {
			t.Fatalf("the draw of viewer %d depends on what was asked before", who)
		}
	}
	seen := map[uint64]bool{}
	for seed := range uint64(4) {
		for who := range int64(20) {
			for purpose := range Purpose(5) {
				for n := range int64(5) {
					seen[New(seed).Bits(who, purpose, n)] = true
				}
			}
		}
	}
	if len(seen) != 4*20*5*5 {
		t.Fatalf("%d draws of 2000 differ; each argument must count", len(seen))
	}
}

func TestMeans(t *testing.T) {
	s, n := New(1), 100_000
	var unit, exponential, normal, below float64
	for i := range int64(n) {
		unit += s.Unit(i, 1, 0)
		exponential += s.Exponential(40, i, 2, 0)
		normal += s.LogNormal(0.8, i, 3, 0)
		below += float64(s.Below(10, i, 4, 0))
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"unit", unit, 0.5}, {"exponential", exponential, 40}, {"log-normal", normal, 1}, {"below 10", below, 4.5},
	} {
		if mean := c.got / float64(n); math.Abs(mean-c.want) > 0.02*c.want {
			t.Errorf("the mean of %s is %g, want %g", c.name, mean, c.want)
		}
	}
	if s.LogNormal(0, 5, 1, 0) != 1 || s.Below(0, 1, 1, 1) != 0 {
		t.Error("no spread must mean exactly 1, and below 0 exactly 0")
	}
}

func TestSharesAreNearlyExactAmongFew(t *testing.T) {
	for seed := range uint64(20) {
		s, hits := New(seed), 0
		for who := range int64(20) {
			if s.Spread(who, 1) < 0.15 {
				hits++
			}
		}
		if hits < 2 || hits > 4 {
			t.Errorf("seed %d: 15 %% of 20 viewers are %d", seed, hits)
		}
	}
}

// Those who have a property do not come together: what is spread for one purpose says
// nothing about what is spread for another.
func TestSpreadsOfTwoPurposesAreIndependent(t *testing.T) {
	s := New(1)
	for a := Purpose(1); a < 30; a++ {
		for b := a + 1; b < 30; b++ {
			const n = 400
			both := 0
			for who := range int64(n) {
				if s.Spread(who, a) < 0.25 && s.Spread(who, b) < 0.25 {
					both++
				}
			}
			if both < n/16-16 || both > n/16+16 {
				t.Errorf("purposes %d and %d: %d of %d have both, want about %d", a, b, both, n, n/16)
			}
		}
	}
}
