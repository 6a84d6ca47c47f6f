package epoll

import (
	"math"
	"testing"
)

func TestWhoWaitsIsTakenInTurn(t *testing.T) {
	var q queue
	next, added := 0, 0
	conns := make([]Conn, 1000)
	for nowMs := int64(0); next < len(conns); nowMs++ {
		for range min(3, len(conns)-added) { // three come in a millisecond, and wait for 70
			q.add(waiter{&conns[added], nowMs + 70})
			added++
		}
		due := q.take(nowMs, nil)
		for _, c := range due {
			if c != &conns[next] {
				t.Fatalf("at %d ms it is another's turn than %d's", nowMs, next)
			}
			next++
		}
		if want := max(0, min(3*(nowMs-69), 1000)); int64(next) != want {
			t.Fatalf("at %d ms %d were taken, want %d", nowMs, next, want)
		}
		if len(q.waiters) > 500 {
			t.Fatalf("%d are kept, of whom at most 210 wait", len(q.waiters))
		}
	}
	if q.waiters != nil || q.nextMs() != math.MaxInt64 {
		t.Errorf("nobody waits: %+v", q)
	}
}
