package world

import (
	"slices"
	"testing"
)

func joins(t *testing.T, a Arrival, viewers int) (joinMs []int64) {
	t.Helper()
	cfg := fewViewers(viewers)
	cfg.PeerToPeer = false
	cfg.Arrival = a
	for _, v := range run(t, cfg).Viewers {
		joinMs = append(joinMs, v.JoinMs)
	}
	slices.Sort(joinMs)
	return joinMs
}

func TestWaysToArrive(t *testing.T) {
	// At a rate that grows evenly, half have come after 1/√2 of the time.
	if at := joins(t, Arrival{RampMs: 20_000}, 40)[19]; at < 13_000 || at > 15_000 {
		t.Errorf("a ramp over 20 s: half came by %d ms", at)
	}
	// Of a flash crowd with a mean of 5 s, half have come after 5 s · ln 2.
	if at := joins(t, Arrival{FlashMs: 5000}, 40)[19]; at < 3000 || at > 4000 {
		t.Errorf("a flash crowd: half came by %d ms", at)
	}
	visits := []Visit{{JoinMs: 0}, {JoinMs: 700, StayMs: 3000}, {JoinMs: 1500, StayMs: 100, Crash: true}}
	if got := joins(t, Arrival{Visits: visits}, 3); !slices.Equal(got, []int64{0, 700, 1500}) {
		t.Errorf("a trace: they came at %v", got)
	}
}

func TestWaysToStay(t *testing.T) {
	stays := func(change func(*Config)) (ms []int64) {
		cfg := fewViewers(60)
		cfg.PeerToPeer = false
		change(&cfg)
		for _, v := range run(t, cfg).Viewers {
			ms = append(ms, v.PresentMs)
		}
		slices.Sort(ms)
		return ms
	}
	if ms := stays(func(c *Config) { c.Stay.FixedMs = 12_345 }); ms[0] != 12_345 || ms[59] != 12_345 {
		t.Errorf("fixed stays from %d to %d ms", ms[0], ms[59])
	}
	if ms := stays(func(c *Config) { c.Stay = Stay{MedianMs: 10_000, Spread: 0.7} }); ms[29] < 7000 || ms[29] > 13_500 || ms[0] > 6000 {
		t.Errorf("log-normal stays: the median is %d ms, the least %d", ms[29], ms[0])
	}
	// One in two crashes each minute: after 40 s about 28 % are gone.
	gone := 0
	for _, at := range stays(func(c *Config) { c.CrashRate = 0.5 }) {
		if at < 40_000 {
			gone++
		}
	}
	if gone < 9 || gone > 26 {
		t.Errorf("%d of 60 crashed", gone)
	}
}

// In a room that stays as large, everybody who goes is followed by another.
func TestARoomThatStaysAsLarge(t *testing.T) {
	cfg := fewViewers(10)
	cfg.StayMs, cfg.Replace = 10_000, true
	r := run(t, cfg)
	if len(r.Viewers) < 25 {
		t.Errorf("%d viewers came in 40 s, though each stays 10 s on average", len(r.Viewers))
	}
	present := int64(0)
	for _, v := range r.Viewers {
		present += v.PresentMs
	}
	if want := 10 * cfg.DurationMs; present < want*99/100 || present > want {
		t.Errorf("they were present for %d ms in all, want %d", present, want)
	}
}

// Clusters are rooms of their own: each viewer is in one, and together they give
// what a merge of single runs gives.
func TestClustersShareOutTheViewers(t *testing.T) {
	cfg := fewViewers(23)
	cfg.ClusterViewers = 8
	cfg.Seeders = Seeders{Count: 3, UplinkBytesPerSec: 1_000_000}
	if got := Clusters(&cfg); got != 3 {
		t.Fatalf("23 viewers make %d clusters of 8", got)
	}
	r := run(t, cfg)
	if len(r.Viewers) != 26 || r.Measured.ViewersMean != 23 {
		t.Errorf("%d viewers and seeders; a segment reached %.1f", len(r.Viewers), r.Measured.ViewersMean)
	}
	// Every cluster fetches every leaf at least once.
	if copies := r.Measured.CDNCopies(); copies < 3 {
		t.Errorf("%.2f copies for three clusters", copies)
	}
	for i, v := range r.Viewers[:23] {
		if v.Number != int64(i) || v.P2PBytes == 0 {
			t.Errorf("viewer %d is number %d and got %d bytes from neighbours", i, v.Number, v.P2PBytes)
		}
	}
}
