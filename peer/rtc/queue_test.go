package rtc

import (
	"slices"
	"testing"
)

func nothing() uint64 { return 0 }

func TestTheQueueKeepsTheOrderAndCountsWhatWaits(t *testing.T) {
	q := queue{filled: make(chan struct{}, 1)}
	q.add([]byte("one"))
	q.add([]byte("two"))
	<-q.filled
	var got []string
	for b := range q.each {
		if got = append(got, string(b)); len(got) == 1 {
			q.add([]byte("three")) // while the others are dealt with
			if q.sizeWith(nothing) != 11 {
				t.Errorf("%d bytes wait, want 11: the first is not through", q.sizeWith(nothing))
			}
		}
	}
	if !slices.Equal(got, []string{"one", "two", "three"}) || q.sizeWith(nothing) != 0 {
		t.Errorf("got %v, and %d bytes are left", got, q.sizeWith(nothing))
	}
	for range q.each {
		t.Error("there is something in an empty queue")
	}
}
