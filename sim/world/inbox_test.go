package world

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// What a viewer's turn finds is what happens in its window, by time, and of one moment in
// the order in which it was put in, however far ahead that was.
func TestAnInboxGivesWhatIsDueInOrder(t *testing.T) {
	var b inboxes
	b.open()
	b.open()
	r := rand.New(rand.NewPCG(1, 2))
	var waiting []event // of viewer 1, in the order in which it was put in
	given := 0
	for windowMs := int32(0); windowMs < 20_000; windowMs += 30 {
		for range r.IntN(12) {
			e := event{atMs: windowMs + 30 + r.Int32N(60), end: int32(given + len(waiting))}
			if r.IntN(4) == 0 {
				e.atMs += r.Int32N(2000)
			}
			b.put(1, windowMs, e)
			waiting = append(waiting, e)
		}
		untilMs := windowMs + 60
		var want []event
		waiting = slices.DeleteFunc(waiting, func(e event) bool {
			if e.atMs < untilMs {
				want = append(want, e)
			}
			return e.atMs < untilMs
		})
		slices.SortStableFunc(want, func(x, y event) int { return int(x.atMs - y.atMs) })
		if wakes := b.wakeMs[1] < untilMs; wakes != (len(want) > 0) {
			t.Fatalf("before %d there are %d events, and the viewer wakes: %v", untilMs, len(want), wakes)
		}
		b.take(1, untilMs)
		if !slices.Equal(b.due, want) {
			t.Fatalf("before %d:\n%v are due, want\n%v", untilMs, b.due, want)
		}
		given += len(want)
		b.due = b.due[:0]
		next := int32(eternity)
		for _, e := range waiting {
			next = min(next, e.atMs)
		}
		if b.nextMs() != next {
			t.Fatalf("the next event is at %d, want %d", b.nextMs(), next)
		}
	}
	if given < 1000 {
		t.Errorf("only %d events were given", given)
	}
}
