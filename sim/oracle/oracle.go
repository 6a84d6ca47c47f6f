// Package oracle is what theory says about peer-assisted live streaming, as
// functions: the laws that no simulation may break. Where the engine beats one of
// them, one of the two is wrong.
//
// N viewers with mean uplink u watch a stream of rate r in segments of length T; the
// CDN sends k copies; a new leaf has the size p.
package oracle

import "math"

// CDNFloor is the least rate at which the CDN must send: one copy, and what the
// viewers' uplinks cannot carry (Kumar, Liu and Ross: Stochastic Fluid Theory for P2P
// Streaming Systems, 2007).
func CDNFloor(viewers, rate, uplinks float64) float64 { return max(rate, viewers*rate-uplinks) }

// Offload is the most that can come from neighbours, as a share: all but k copies, or
// what uplinks carry in the time that a segment has.
//
// deadlineMs is from a segment's publication to its deadline, firstMs until the first
// leaf can be there.
func Offload(viewers, copies, uplinkPerRate, deadlineMs, firstMs, segmentMs float64) float64 {
	inTime := min(1, (deadlineMs-firstMs)/segmentMs)
	return max(0, min(1-copies/viewers, uplinkPerRate*inTime))
}

// SpreadMs is the least time from the first k copies of a leaf until all viewers have
// it: each who has it gives it to one other at a time, so the number at most doubles
// (Liu: On the Minimum Delay Peer-to-Peer Video Streaming, 2007).
func SpreadMs(viewers, copies, leafMs float64) float64 {
	return leafMs * math.Ceil(math.Log2(viewers/copies)-1e-9)
}

// Reach is how many viewers at most have a leaf after so many steps, a step being the
// time to send it once, if one had it at first and each sends it to at most fanout
// others: the sum of the fanout-step Fibonacci numbers.
func Reach(steps, fanout int) float64 {
	news, sum := []float64{1}, 1.0
	for i := 1; i <= steps; i++ {
		n := 0.0
		for j := max(0, i-fanout); j < i; j++ {
			n += news[j]
		}
		news = append(news, n)
		sum += n
	}
	return sum
}

// LocalElection is how many viewers on average fetch a leaf from the CDN if each does
// who draws the least number among itself and its neighbours: Σ 1/(d+1).
func LocalElection(degrees []int) (copies float64) {
	for _, d := range degrees {
		copies += 1 / float64(d+1)
	}
	return copies
}
