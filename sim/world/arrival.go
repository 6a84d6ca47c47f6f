package world

import (
	"math"
)

// seederNumber is the number of the first seeder. Viewers have those below, so
// that one viewer more does not change a seeder's draws.
const seederNumber = 1 << 62

// generation is what a viewer's number grows by for the one that takes its place.
const generation = 1 << 32

// scheduleViewers makes the viewers of this cluster, and lets each come when it is
// due.
func (w *world) scheduleViewers() {
	poisson := 0.0
	for i := range w.cfg.Viewers {
		if w.cfg.Arrival.PerSecond > 0 {
			poisson += w.draw.Exponential(1000/w.cfg.Arrival.PerSecond, int64(i), drawJoin, 0)
		}
		if w.clusterOf(i) == w.cluster {
			w.scheduleViewer(int64(i), startMs+w.arrivalMs(i, poisson))
		}
	}
	for i := range w.cfg.Seeders.Count {
		if i%w.clusters == w.cluster {
			v := w.newViewer(seederNumber+int64(i), startMs, true)
			v.at(startMs, v.join)
		}
	}
}

// clusterOf is a viewer's cluster. The tracker fills them evenly, if it does not know where viewers are.
func (w *world) clusterOf(i int) int {
	if w.cfg.RoomOf != nil {
		return int(w.cfg.RoomOf[i])
	}
	return i % w.clusters
}

func (w *world) scheduleViewer(number, joinMs int64) {
	v := w.newViewer(number, joinMs, false)
	v.at(joinMs, v.join)
	if stayMs, crash := w.stay(number); stayMs > 0 {
		w.shared.At(joinMs+stayMs, func() { v.end(crash) })
	}
}

// arrivalMs is when viewer i comes, after the start. Beyond the end is never.
func (w *world) arrivalMs(i int, poissonMs float64) int64 {
	a, at := &w.cfg.Arrival, 0.0
	switch spread := w.draw.Spread(int64(i), drawJoin); {
	case len(a.Visits) > 0:
		return a.Visits[i].JoinMs
	case a.PerSecond > 0:
		at = poissonMs
	case a.OverMs > 0:
		at = spread * float64(a.OverMs)
	case a.RampMs > 0: // a rate that grows with t brings t²/RampMs² of all by t
		at = math.Sqrt(spread) * float64(a.RampMs)
	case a.FlashMs > 0:
		at = -math.Log(1-spread) * float64(a.FlashMs)
	}
	return int64(min(at, float64(2*w.cfg.DurationMs)))
}

// stay is how long a viewer stays, 0 to the end, and whether it goes without a word.
func (w *world) stay(number int64) (ms int64, crash bool) {
	s := &w.cfg.Stay
	if visits := w.cfg.Arrival.Visits; len(visits) > 0 {
		return visits[number].StayMs, visits[number].Crash
	}
	at := math.Inf(1)
	switch {
	case w.cfg.StayMs > 0:
		at = w.draw.Exponential(float64(w.cfg.StayMs), number, drawStay, 0)
	case s.MedianMs > 0:
		at = float64(s.MedianMs) * w.draw.LogNormal(s.Spread, number, drawStay, 0) * math.Exp(s.Spread*s.Spread/2)
	case s.FixedMs > 0:
		at = float64(s.FixedMs)
	}
	crash = w.draw.Unit(number, drawCrash, 0) < w.cfg.Crashes
	if w.cfg.CrashRate > 0 {
		if dies := w.draw.Exponential(60_000/w.cfg.CrashRate, number, drawCrashRate, 0); dies < at {
			at, crash = dies, true
		}
	}
	if at > float64(2*w.cfg.DurationMs) {
		return 0, false
	}
	return max(int64(at), 1), crash
}

// end is when a viewer's time is over. In a room that stays as large another comes.
func (v *viewer) end(crash bool) {
	if !v.present() {
		return
	}
	v.leave(crash)
	if v.w.cfg.Replace {
		v.w.scheduleViewer(v.number+generation, v.w.nowMs+1)
	}
}
