package swarm

import (
	"slices"
	"testing"
)

// fares lets every viewer report every five seconds for so many, at 1 Mb/s, with rescues of so many leaves in each
// thousand.
func (m *model) fares(fromMs, seconds int64, n int, perMille func(i int) int64) {
	for ms := fromMs; ms < fromMs+seconds*1000; ms += 1000 {
		if ms/1000%5 == 0 {
			for i := range n {
				m.swarm.Handle(ms, readyReport(i, func(_ int, r *Report) {
					r.MediaBytes = ms * 125
					// Not all round down in the same report.
					r.Rescues = (r.MediaBytes/leafBytes*perMille(i) + int64(i*1000/n)) / 1000
				}))
			}
		}
		m.swarm.Handle(ms, Tick{})
	}
}

func (m *model) copies() int { return m.swarm.channels["room"].rooms[0].deals[0].now }

func always(share int64) func(int) int64 { return func(int) int64 { return share } }

func TestCopiesGrowWithTheRoom(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 1, 20: 1, 100: 1, 101: 2, 300: 4, 576: 6, 1000: 7, 1024: 8, 1500: 9} {
		if got := copiesFor(n); got != want {
			t.Errorf("%d viewers have %d copies, want %d", n, got, want)
		}
	}
}

func TestASmallRoomHasOneCopyHoweverItFares(t *testing.T) {
	for _, n := range []int{2, 3, 5, 8, 20, 31} {
		m := audience(t, Config{}, n, nil)
		m.fares(10_000, 200, n, always(500))
		if got := m.copies(); got != 1 {
			t.Errorf("%d viewers who rescue half of everything have %d copies, want 1", n, got)
		}
	}
}

func TestRescuesBringCopiesAndCalmTakesThemAway(t *testing.T) {
	m := audience(t, Config{}, 300, nil)
	if got := m.copies(); got != 4 {
		t.Fatalf("300 viewers begin with %d copies, want 4", got)
	}
	helps := func(int) int64 { return 200 / int64(m.copies()) } // 0.2·300/k viewers' worth: least in sum at k = √60
	m.fares(10_000, 15, 300, helps)
	if got := m.copies(); got < 7 || got > 9 {
		t.Errorf("after fifteen seconds there are %d copies, want about 8", got)
	}
	m.fares(25_000, 300, 300, helps)
	if got := m.copies(); got < 6 || got > 9 {
		t.Errorf("after five minutes there are %d copies, want about 8", got)
	}
	m.fares(325_000, 60, 300, func(int) int64 { return 800 / int64(m.copies()) })
	if got := m.copies(); got < 9 || got > 10 {
		t.Errorf("where more would save more there are %d copies, want one for 30 viewers at most", got)
	}
	before := m.copies()
	m.fares(385_000, 8, 300, always(0))
	if got := m.copies(); got != before {
		t.Errorf("after one look without rescues there are %d copies, before %d: that was rash", got, before)
	}
	m.fares(393_000, 120, 300, always(0))
	if got := m.copies(); got != 1 {
		t.Errorf("after two calm minutes there are %d copies, want 1", got)
	}
}

func TestCopiesThatDoNotHelpAreGivenUp(t *testing.T) {
	m := audience(t, Config{}, 300, nil)
	more := 0
	for round := range int64(60) {
		m.fares(10_000+round*10_000, 10, 300, always(100))
		if m.copies() > 4 {
			more++
		}
	}
	if more == 0 || more > 20 {
		t.Errorf("more copies than usual changed nothing, and there were more in %d of 60 rounds; want a short trial now and then", more)
	}
}

func TestLiarsDoNotBringCopies(t *testing.T) {
	for _, liars := range []int{1, 10, 24} {
		honest, lied := audience(t, Config{}, 200, nil), audience(t, Config{}, 200, nil)
		honest.fares(10_000, 120, 200, always(5))
		lied.fares(10_000, 120, 200, func(i int) int64 {
			if i < liars {
				return 1000
			}
			return 5
		})
		if a, b := honest.copies(), lied.copies(); a != b {
			t.Errorf("%d of 200 claim to rescue everything, and there are %d copies instead of %d", liars, b, a)
		}
	}
}

func TestAnImpossibleReportIsBoundedAndANewPlaybackBeginsAnew(t *testing.T) {
	var f fare
	f.report(1000, 1<<53-1, 0, 0, 0)
	f.report(2000, 5, 0, 0, 0) // another playback
	f.report(7000, 1_000_005, 1<<53-1, 0, 0)
	f.close()
	if !f.known || f.mediaBps != 1_600_000 || f.rescuePerMille != maxShare {
		t.Errorf("%+v", f)
	}
	f.report(12_000, 1<<53-1, 1<<53-1, 0, 0)
	f.close()
	if f.mediaBps <= 0 || f.rescuePerMille != 0 {
		t.Errorf("%+v", f)
	}
}

func TestTrimmedMeanLeavesOutTheEighthThatClaimsMost(t *testing.T) {
	for want, of := range map[int64][]int64{0: {1000}, 1: {1, 1000}, 10: {10, 10, 10, 10, 10, 10, 10, 1000}} {
		if got := trimmedMean(slices.Clone(of)); got != want {
			t.Errorf("the mean of %v is %d, want %d", of, got, want)
		}
	}
}
