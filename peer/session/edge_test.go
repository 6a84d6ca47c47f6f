package session

import "testing"

// settledEdge knows a segment that ended at 10 s, at 10.5 s; segments last 2 s.
func settledEdge() edge {
	e := edge{}
	e.learned(8_900, 8_000, 2000, true)
	e.polled(10_400)
	e.learned(10_500, 10_000, 2000, true)
	return e
}

func TestTheFirstAsksWhenSomethingIsExpectedAndTheOthersWaitTheirTurn(t *testing.T) {
	e := settledEdge()
	for _, c := range []struct {
		rank, among int
		want        int64
	}{{0, 1, 12_500}, {1, 13, 12_900}, {7, 13, 12_900 + 600*6/13}, {13, 13, 12_900 + 600*12/13}} {
		if got := e.dueMs(c.rank, c.among); got != c.want {
			t.Errorf("rank %d among %d polls at %d, want %d", c.rank, c.among, got, c.want)
		}
	}
	if e.dueMs(13, 13) > 10_500+3000 {
		t.Error("a head may grow older than 1.5 segments without a poll")
	}
}

func TestPollsInVainAreRepeatedLessAndLessOften(t *testing.T) {
	e := settledEdge()
	at := e.dueMs(0, 1)
	for _, want := range []int64{12_500, 12_700, 13_100, 13_900, 15_500, 17_500, 19_500} {
		if at != want {
			t.Fatalf("the next poll is at %d, want %d", at, want)
		}
		e.polled(at)
		e.missed()
		at = e.dueMs(0, 1)
	}
	if e.lagMs != 500+lagUpMs {
		t.Errorf("six polls in vain raised the lag to %d", e.lagMs)
	}
	e.learned(20_000, 12_000, 2000, true)
	if e.dueMs(0, 1) != 22_000 {
		t.Errorf("after an interruption the next is expected at %d", e.dueMs(0, 1))
	}
}

func TestThePhaseIsFoundFromBothSides(t *testing.T) {
	const lag = 700 // of the origin, unknown to the viewer
	e := edge{}
	e.polled(1_500_000)
	e.learned(1_500_000, 1_499_000-1, 2000, true)
	polls, late := 0, int64(0)
	end := int64(1_499_000 - 1)
	const segments = 200
	for end < 1_499_000+2000*segments {
		now := e.dueMs(0, 1)
		polls++
		e.polled(now)
		if now < end+2000+lag {
			e.missed()
			continue
		}
		end += 2000
		late += now - (end + lag)
		e.learned(now, end, 2000, true)
	}
	if polls > segments*3/2 {
		t.Errorf("%d polls for %d segments", polls, segments)
	}
	if mean := late / segments; mean > 120 {
		t.Errorf("they were known %d ms late in the mean", mean)
	}
}

func TestWhoHearsOfNothingCountsOnNobody(t *testing.T) {
	e := settledEdge()
	e.announced(10_600)
	find := func(announced bool) {
		at := e.dueMs(5, 10)
		e.polled(at)
		e.learned(at, e.endMs+2000, 2000, true)
		if announced {
			e.announced(at + 800)
		}
	}
	patient := func() bool { return e.dueMs(5, 10) > e.expectedMs() }
	find(false)
	find(false)
	if !patient() {
		t.Fatal("a single segment that nobody spoke of says little")
	}
	find(false)
	if patient() {
		t.Fatal("it goes on waiting for neighbours that say nothing")
	}
	find(true)
	if !patient() {
		t.Error("neighbours speak again, and it does not wait for them")
	}
	e.learned(e.expectedMs(), e.endMs+2000, 2000, false)
	if !patient() {
		t.Error("a neighbour was faster, and it does not wait")
	}
}

func TestAHurryIsGrantedOnceForEachSegment(t *testing.T) {
	e := settledEdge()
	e.hurry(11_000)
	if got := e.dueMs(5, 10); got != 11_000 {
		t.Fatalf("it polls at %d", got)
	}
	e.polled(11_000)
	e.missed()
	e.hurry(11_100)
	if got := e.dueMs(0, 1); got != 12_500 || e.lagMs != 500 {
		t.Errorf("a poll before the time moved the next one to %d, the lag to %d", got, e.lagMs)
	}
	e.learned(12_500, 12_000, 2000, false)
	e.polled(12_400)
	e.hurry(12_500)
	if got := e.dueMs(5, 10); got != 12_400+refreshFloorMs {
		t.Errorf("polls follow each other after %d ms", got-12_400)
	}
}

func TestAnEndedStreamIsNotPolled(t *testing.T) {
	e := settledEdge()
	e.ended = true
	if e.dueMs(0, 1) < 1<<50 {
		t.Error("it is")
	}
}

func TestWhereTheServerHoldsRequestsTheFirstAsksEarlyAndNamesWhatItExpects(t *testing.T) {
	e := edge{blocks: true, targetMs: 2000}
	e.polled(8_900)
	e.learned(9_100, 8_500, 500, true) // a part of half a second
	if !e.waits() || e.dueMs(0, 1) != 8_900 {
		t.Errorf("before the phase is known it asks at %d, naming it: %t", e.dueMs(0, 1), e.waits())
	}
	e.learned(9_400, 9_000, 500, true) // 400 ms behind media time
	for _, c := range []struct {
		rank, among int
		want        int64
	}{{0, 1, 9_900 - blockMs}, {1, 4, 10_000}, {4, 4, 10_000 + 150*3/4}} {
		if got := e.dueMs(c.rank, c.among); got != c.want {
			t.Errorf("rank %d among %d polls at %d, want %d", c.rank, c.among, got, c.want)
		}
	}
	e.learned(10_060, 9_500, 500, false)
	if e.lagMs != 400+20 {
		t.Errorf("a part that was known 160 ms later makes the lag %d", e.lagMs)
	}
	// Nothing came in time: what there is is asked for, less and less often.
	e.polled(10_300)
	e.missed()
	if e.waits() {
		t.Error("after a request in vain it waits again, although nothing has moved")
	}
	at := e.dueMs(0, 1)
	for _, want := range []int64{10_500, 10_900, 11_700, 13_300, 15_300} {
		if at != want {
			t.Fatalf("the next poll is at %d, want %d", at, want)
		}
		e.polled(at)
		e.missed()
		at = e.dueMs(0, 1)
	}
	e.learned(15_400, 10_000, 500, true)
	if !e.waits() {
		t.Error("once something has moved it does not wait again")
	}
}
