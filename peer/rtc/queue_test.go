package rtc

import (
	"slices"
	"testing"
)

func TestTheQueueKeepsTheOrderAndCountsWhatWaits(t *testing.T) {
	q := queue{filled: make(chan struct{}, 1)}
	q.add([]byte("one"))
	q.add([]byte("two"))
	<-q.filled
	var got []string
	for b := range q.each {
		if got = append(got, string(b)); len(got) == 1 {
			q.add([]byte("three")) // while the others are dealt with
			if q.size() != 11 {
				t.Errorf("%d bytes wait, want 11: the first is not through", q.size())
			}
		}
	}
	if !slices.Equal(got, []string{"one", "two", "three"}) || q.size() != 0 {
		t.Errorf("got %v, and %d bytes are left", got, q.size())
	}
	for range q.each {
		t.Error("there is something in an empty queue")
	}
}
