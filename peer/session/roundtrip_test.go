package session

import (
	"testing"
	"time"

	"slipstream/tracker/announce"
)

// road is a link of some length.
type road struct {
	listener
	rtt time.Duration
}

func (r *road) RTT() time.Duration { return r.rtt }

func TestARoundTripIsToldWhenItIsNewAndWhenItHasDoubledOrHalved(t *testing.T) {
	line := &road{}
	ns := newNeighbours()
	ns.byID[1] = &neighbour{peer: 7, conn: line, open: true}
	ns.byID[2] = &neighbour{peer: 8, conn: &listener{}, open: true} // does not know
	ns.byID[3] = &neighbour{peer: 9, conn: &road{rtt: time.Second}} // not open yet
	for step, c := range []struct{ rttMs, told int64 }{
		{0, 0}, {40, 40}, {40, 0}, {79, 0}, {21, 0}, {80, 80}, {41, 0}, {40, 40}, {99_000, announce.MaxRTT},
	} {
		line.rtt = time.Duration(c.rttMs) * time.Millisecond
		got := ns.roundTrips()
		switch {
		case c.told == 0 && len(got) != 0:
			t.Errorf("step %d, %d ms: %v is told, want nothing", step, c.rttMs, got)
		case c.told != 0 && (len(got) != 1 || got[0] != announce.RTT{ID: 7, Ms: c.told}):
			t.Errorf("step %d, %d ms: %v is told, want %d ms", step, c.rttMs, got, c.told)
		}
	}
}
