package playback

// Rung is a rendition on offer.
type Rung struct {
	Name string
	Bps  int64 // bits/s that it needs
}

// Ladder chooses a rendition by what the segments before it have really taken to arrive. It begins at the lowest
// rung, climbs one at a time and falls as far as it must.
type Ladder struct {
	rungs      []Rung // lowest first
	at         int
	fast, slow int64 // throughput in bits/s, averaged over few and over many segments; 0: not known
}

const (
	climbTenths    = 7       // of the throughput is what a higher rung may need,
	stayTenths     = 9       // and the present one
	fastPart       = 2       // a new sample is a half of the fast average,
	slowPart       = 6       // and a sixth of the slow one
	minSampleMs    = 20      // shorter transfers are measured as this,
	maxSampleBytes = 1 << 26 // and larger ones as that
)

// NewLadder returns a ladder over rungs, lowest first, of which there is at least one.
func NewLadder(rungs []Rung) *Ladder { return &Ladder{rungs: rungs} }

// Rung is the present choice.
func (l *Ladder) Rung() Rung { return l.rungs[l.at] }

// Sample tells that a segment of so many bytes took so long.
func (l *Ladder) Sample(bytes, elapsedMs int64) {
	bps := min(bytes, maxSampleBytes) * 8000 / max(elapsedMs, minSampleMs)
	if l.fast == 0 {
		l.fast, l.slow = bps, bps
	}
	l.fast += (bps - l.fast) / fastPart
	l.slow += (bps - l.slow) / slowPart
}

// Choose decides anew, with so much media in hand, where a segment lasts so long. It reports whether the choice has changed.
func (l *Ladder) Choose(aheadMs, segmentMs int64) bool {
	if l.fast == 0 {
		return false
	}
	before, throughput := l.at, min(l.fast, l.slow)
	fits := func(rung int, tenths int64) bool { return l.rungs[rung].Bps*10 <= throughput*tenths }
	switch {
	case l.at+1 < len(l.rungs) && fits(l.at+1, climbTenths) && aheadMs >= segmentMs:
		l.at++
	case !fits(l.at, stayTenths):
		for l.at > 0 && !fits(l.at, stayTenths) {
			l.at--
		}
	}
	return l.at != before
}
