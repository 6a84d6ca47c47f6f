package timeline

// Drift tells a slow publisher's clock from a slow network. Jitter and stalls only ever
// make single frames late, so the least lateness within a window is what the clocks
// differ by: 50 millionths, a usual quartz, are four seconds a day. The zero value is ready.
type Drift struct {
	// WindowMs is how long lateness is watched before it is judged; 0 means 30 s.
	WindowMs int64

	startMs int64
	leastMs int64
	started bool
}

// Observe takes the lateness of one frame. When a window has passed it returns the least
// lateness that was seen in it and true, and begins the next window.
func (d *Drift) Observe(nowMs, latenessMs int64) (leastMs int64, judged bool) {
	window := d.WindowMs
	if window == 0 {
		window = 30_000
	}
	switch {
	case !d.started:
		*d = Drift{WindowMs: d.WindowMs, startMs: nowMs, leastMs: latenessMs, started: true}
		return 0, false
	case nowMs-d.startMs < window:
		d.leastMs = min(d.leastMs, latenessMs)
		return 0, false
	default:
		leastMs = min(d.leastMs, latenessMs)
		*d = Drift{WindowMs: d.WindowMs}
		return leastMs, true
	}
}
