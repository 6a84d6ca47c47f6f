package epoll

import (
	"math"
	"slices"
)

// queue is the connections that have something pending for equally long, the first first. Some have written it since.
type queue struct {
	waiters []waiter
	taken   int // of them
}

// waiter is a connection, and when its time to wait is over.
type waiter struct {
	conn  *Conn
	dueMs int64
}

func (q *queue) add(w waiter) {
	if q.taken > 64 && q.taken > len(q.waiters)/2 {
		q.waiters = slices.Delete(q.waiters, 0, q.taken)
		q.taken = 0
	}
	q.waiters = append(q.waiters, w)
}

// take adds those whose time is over.
func (q *queue) take(nowMs int64, to []*Conn) []*Conn {
	for q.taken < len(q.waiters) && q.waiters[q.taken].dueMs <= nowMs {
		to = append(to, q.waiters[q.taken].conn)
		q.waiters[q.taken].conn = nil
		q.taken++
	}
	if q.taken == len(q.waiters) && q.taken > 0 {
		q.waiters, q.taken = nil, 0 // an idle tracker keeps nothing
	}
	return to
}

// nextMs is when the next one's time is over; never if there is none.
func (q *queue) nextMs() int64 {
	if q.taken == len(q.waiters) {
		return math.MaxInt64
	}
	return q.waiters[q.taken].dueMs
}
