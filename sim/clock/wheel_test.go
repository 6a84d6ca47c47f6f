package clock

import (
	"math/rand/v2"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

func TestEventsComeOutByTimeThenInTheOrderTheyWentIn(t *testing.T) {
	w := New[string](1000)
	w.At(1500, "b1")
	w.At(1002, "a")
	w.At(1500, "b2")
	w.At(900, "past happens now")
	w.At(1_000_000, "d")
	w.At(1500+8192, "c")
	for _, want := range []struct {
		event string
		atMs  int64
	}{{"past happens now", 1000}, {"a", 1002}, {"b1", 1500}, {"b2", 1500}, {"c", 9692}, {"d", 1_000_000}} {
		got, ok := w.Next(2_000_000)
		if !ok || got != want.event || w.NowMs() != want.atMs {
			t.Fatalf("got %q at %d, want %q at %d", got, w.NowMs(), want.event, want.atMs)
		}
	}
	if _, ok := w.Next(2_000_000); ok || w.Len() != 0 {
		t.Fatal("the wheel is not empty")
	}
}

func TestNextStopsAtTheLimitAndTimeStays(t *testing.T) {
	w := New[int](0)
	w.At(50_000, 1)
	if _, ok := w.Next(49_999); ok || w.NowMs() != 0 {
		t.Fatalf("an event of 50,000 came at a limit of 49,999, or time moved to %d", w.NowMs())
	}
	w.At(7, 2) // may still be put in before it
	if e, ok := w.Next(49_999); !ok || e != 2 {
		t.Fatal("an event that was put in later, for earlier, is lost")
	}
	if e, ok := w.Next(50_000); !ok || e != 1 {
		t.Fatal("the event at the limit did not come")
	}
}

func TestAnEventMayCauseAnotherInTheSameMillisecond(t *testing.T) {
	w := New[int](10)
	w.At(20, 1)
	w.At(20, 2)
	w.Next(20)
	w.At(20, 3)
	for want := 2; want <= 3; want++ {
		if got, ok := w.Next(20); !ok || got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	}
}

// The wheel against the simplest thing that could work: a stable sort.
func TestWheelAgreesWithASortedList(t *testing.T) {
	type entry struct {
		atMs int64
		id   int
	}
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 1<<41).Draw(t, "start")
		w, waiting, id := New[int](start), []entry{}, 0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "put") {
				atMs := w.NowMs() + rapid.OneOf(rapid.Int64Range(-3, 3), rapid.Int64Range(8000, 8400),
					rapid.Int64Range(0, 50_000)).Draw(t, "in")
				w.At(atMs, id)
				waiting = append(waiting, entry{max(atMs, w.NowMs()), id})
				id++
				continue
			}
			sort.SliceStable(waiting, func(i, j int) bool { return waiting[i].atMs < waiting[j].atMs })
			until := w.NowMs() + rapid.Int64Range(0, 30_000).Draw(t, "until")
			got, ok := w.Next(until)
			if wantOK := len(waiting) > 0 && waiting[0].atMs <= until; ok != wantOK {
				t.Fatalf("an event came: %v, want %v", ok, wantOK)
			}
			if !ok {
				continue
			}
			if got != waiting[0].id || w.NowMs() != waiting[0].atMs {
				t.Fatalf("got %d at %d, want %d at %d", got, w.NowMs(), waiting[0].id, waiting[0].atMs)
			}
			waiting = waiting[1:]
		}
		if w.Len() != len(waiting) {
			t.Fatalf("%d events wait, want %d", w.Len(), len(waiting))
		}
	})
}

func BenchmarkWheel(b *testing.B) {
	w := New[[4]int64](0)
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		w.At(r.Int64N(3000), [4]int64{})
	}
	b.ReportAllocs()
	for b.Loop() {
		e, _ := w.Next(1 << 60)
		w.At(w.NowMs()+1+r.Int64N(3000), e)
	}
}
