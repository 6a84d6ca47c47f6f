// Package load judges whether a machine keeps up with what it has to encode, and decides when a rung of the ladder goes and
// when it comes back: a viewer gets over a smaller picture, but not over one that stands still.
//
// Slowness shows as lag: how far the newest media that was published lies behind the newest picture of the publisher. It is half a
// second where all is well, because media comes in parts of that length. A machine that is too slow falls behind until the
// queue in front of the encoder is full; from then on pictures are thrown away. One that is behind and catches up is fast enough.
//
// The package is a core: no I/O and no clock. A Governor is told what was seen, about once a second, and says what to do.
package load

import "fmt"

const (
	// settleMs is how long a new run of the encoder is not judged: it has to start.
	settleMs = 5000
	// behindMs and onTimeMs are lags. Between them neither patience grows.
	behindMs = 2500
	onTimeMs = 1500
	// catchUpMs is by how much a lag has to shrink within patienceMs.
	catchUpMs = 500
	// patienceMs is how long the machine must be behind, without a break, before a rung goes.
	patienceMs = 5000
	// calmMs is how long it must be on time before a rung comes back; each time that was a mistake, twice as long.
	calmMs    = 60_000
	maxCalmMs = 3_600_000
	// regretMs is how soon after its return a rung has to go again for the return to have been a mistake.
	regretMs = 60_000
	// roomPercent is how much of the processors the ladder with the rung may be expected to take.
	roomPercent = 80
)

// Observation is what was seen of an encoder at a moment.
type Observation struct {
	NowMs   int64 // on any clock that does not go back
	LagMs   int64
	Skipped int64 // pictures and frames of sound that were thrown away so far
	CPUMs   int64 // processor time that the encoder has used so far; 0: not known
	Pixels  int64 // that it encodes now
	// Next is what it would encode with the rung that would come back first; 0: all are there.
	Next int64
	// Last says that no rung is left that could go.
	Last bool
}

// Verdict is what to do.
type Verdict int

// The verdicts.
const (
	Keep    Verdict = iota
	Slow            // tell the operator that the machine is too slow; nothing can be or may be done. Once, until it was calm
	Drop            // start the encoder anew without its topmost rung
	Restore         // start it anew with the rung that went last
)

// String names the verdict.
func (v Verdict) String() string { return [...]string{"keep", "slow", "drop", "restore"}[v] }

// A Governor decides for one channel.
type Governor struct {
	Cores int  // of the machine
	Drops bool // rungs may go

	settledMs int64 // until when nothing is judged
	behindMs  int64 // since when it is behind; 0: it is not
	calmMs    int64 // since when it is on time; 0: it is not
	waitMs    int64 // how long it must be; 0: calmMs
	backMs    int64 // when a rung came back last; 0: never
	told      bool
	since     Observation // where the present stretch of time, behind or on time, began
}

// Told reports whether the operator was told that the machine is too slow, and it was not calm since.
func (g *Governor) Told() bool { return g.told }

// Began says that a run of the encoder has begun.
func (g *Governor) Began(o Observation) {
	g.settledMs = o.NowMs + settleMs
	g.stretch(o)
}

// stretch begins to watch anew.
func (g *Governor) stretch(o Observation) {
	g.behindMs, g.calmMs, g.since = 0, 0, o
}

// Observe takes what was seen, and says what to do.
func (g *Governor) Observe(o Observation) Verdict {
	if o.NowMs < g.settledMs {
		g.stretch(o)
		return Keep
	}
	switch {
	case o.LagMs > behindMs:
		return g.late(o)
	case o.LagMs <= onTimeMs:
		return g.punctual(o)
	}
	g.stretch(o)
	return Keep
}

func (g *Governor) late(o Observation) Verdict {
	if g.behindMs == 0 || o.LagMs <= g.since.LagMs-catchUpMs {
		g.stretch(o)
		g.behindMs = o.NowMs
	}
	switch {
	case o.NowMs-g.behindMs < patienceMs:
		return Keep
	case g.Drops && !o.Last:
		if g.backMs != 0 && o.NowMs-g.backMs < regretMs {
			g.waitMs = min(2*g.wait(), maxCalmMs)
		}
		g.behindMs = 0
		return Drop
	case !g.told:
		g.told = true
		return Slow
	}
	return Keep
}

func (g *Governor) punctual(o Observation) Verdict {
	if g.calmMs == 0 {
		g.stretch(o)
		g.calmMs = o.NowMs
	}
	if g.backMs != 0 && o.NowMs-g.backMs > 2*g.wait() { // it was no mistake
		g.backMs, g.waitMs = 0, 0
	}
	calm := o.NowMs - g.calmMs
	if calm >= calmMs {
		g.told = false
	}
	if o.Next == 0 || calm < g.wait() || !g.roomFor(o) {
		return Keep
	}
	g.backMs = o.NowMs
	g.calmMs = 0
	return Restore
}

func (g *Governor) wait() int64 { return max(g.waitMs, calmMs) }

// roomFor reckons with processor time in proportion to pixels.
func (g *Governor) roomFor(o Observation) bool {
	return g.coresPercent(o)*o.Next <= int64(g.Cores)*roomPercent*max(o.Pixels, 1)
}

// coresPercent is how many hundredths of a core the encoder has used of late.
func (g *Governor) coresPercent(o Observation) int64 {
	return max(o.CPUMs-g.since.CPUMs, 0) * 100 / max(o.NowMs-g.since.NowMs, 1)
}

// Describe is the figures of an observation, in words.
func (g *Governor) Describe(o Observation) string {
	text := fmt.Sprintf("what is published is %d.%d s behind the publisher", o.LagMs/1000, o.LagMs%1000/100)
	if percent := g.coresPercent(o); percent > 0 {
		text += fmt.Sprintf(", ffmpeg uses %d.%d of %d cores", percent/100, percent%100/10, g.Cores)
	}
	if n := o.Skipped - g.since.Skipped; n > 0 {
		text += fmt.Sprintf(", %d pictures and frames of sound were thrown away meanwhile", n)
	}
	return text
}
