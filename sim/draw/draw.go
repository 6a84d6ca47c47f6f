// Package draw is randomness that is looked up instead of consumed. A draw is a
// function of (seed, who, purpose, count) and of nothing else: there is no
// generator whose state the order of calls could shift. One more viewer, or one
// more question asked about a viewer, changes no draw that was there before, so
// two runs differ only by what was changed between them (Salmon et al., Parallel
// Random Numbers: As Easy as 1, 2, 3, 2011).
package draw

import "math"

// Purpose keeps the draws for different questions apart.
type Purpose uint64

// Source holds the seed of a run.
type Source struct{ seed uint64 }

// New returns the source for a seed.
func New(seed uint64) Source { return Source{mix(seed)} }

// Bits returns 64 random bits for the n-th draw of this purpose by or about who.
func (s Source) Bits(who int64, purpose Purpose, n int64) uint64 {
	x := mix(s.seed + uint64(who)*0x9e3779b97f4a7c15)
	x = mix(x ^ uint64(purpose)*0xbf58476d1ce4e5b9)
	return mix(x + uint64(n)*0x94d049bb133111eb)
}

// Unit is uniform in [0, 1).
func (s Source) Unit(who int64, purpose Purpose, n int64) float64 {
	return float64(s.Bits(who, purpose, n)>>11) / (1 << 53)
}

// Below is uniform in [0, limit); 0 if limit ≤ 0.
func (s Source) Below(limit, who int64, purpose Purpose, n int64) int64 {
	if limit <= 0 {
		return 0
	}
	return int64(s.Unit(who, purpose, n) * float64(limit))
}

// Exponential has the given mean.
func (s Source) Exponential(mean float64, who int64, purpose Purpose, n int64) float64 {
	return -mean * math.Log(1-s.Unit(who, purpose, n))
}

// LogNormal has the mean 1; spread is the standard deviation of its logarithm.
func (s Source) LogNormal(spread float64, who int64, purpose Purpose, n int64) float64 {
	if spread == 0 {
		return 1
	}
	// Box and Muller: two uniform draws make a normal one.
	radius := math.Sqrt(-2 * math.Log(1-s.Unit(who, purpose, 2*n)))
	normal := radius * math.Cos(2*math.Pi*s.Unit(who, purpose, 2*n+1))
	return math.Exp(spread*normal - spread*spread/2)
}

// Spread is uniform in [0, 1), and even: of every eight in a row, one falls into each
// eighth, in an order drawn anew for each eight and each purpose; within an eighth they
// follow Kronecker's sequence (golden ratio). Where a share of the viewers has a
// property, that makes the share nearly exact even among few, and says nothing about
// who has another property. A viewer more still moves nobody.
func (s Source) Spread(who int64, purpose Purpose) float64 {
	const strata = 8
	block, place := who/strata, who%strata
	mine, stratum := s.Bits(block, purpose, spreadDraws+place), 0
	for other := range int64(strata) {
		if s.Bits(block, purpose, spreadDraws+other) < mine {
			stratum++
		}
	}
	_, frac := math.Modf(s.Unit(-1, purpose, int64(stratum)) + float64(block)*0.6180339887498949)
	return (float64(stratum) + frac) / strata
}

// spreadDraws keeps the draws of Spread away from those that callers count themselves.
const spreadDraws = 1 << 40

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
