package rtc

import "sync"

// queue is what waits between Send and pion. pion's association can lock up under its own lock when a connection ends while
// it begins (pion/sctp 1.11.1: a COOKIE-ECHO that arrives after a write has failed), and whoever calls it then waits for
// ever. That must be a goroutine of this one connection and not the loop of a viewer.
type queue struct {
	filled chan struct{} // signalled when something was added

	mu      sync.Mutex
	waiting [][]byte
	bytes   int
}

// add takes a message over.
func (q *queue) add(b []byte) {
	q.mu.Lock()
	q.waiting = append(q.waiting, b)
	q.bytes += len(b)
	q.mu.Unlock()
	select {
	case q.filled <- struct{}{}:
	default: // it is signalled already
	}
}

// sizeWith is the number of bytes that wait and of those that pion has. Both are read under the lock, so that no more than
// one message goes over between.
func (q *queue) sizeWith(pion func() uint64) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes + int(pion())
}

// each yields the messages in order until none is left. One counts as waiting until it is dealt with.
func (q *queue) each(yield func([]byte) bool) {
	for {
		q.mu.Lock()
		batch := q.waiting
		q.waiting = nil
		q.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, b := range batch {
			if !yield(b) {
				return
			}
			q.mu.Lock()
			q.bytes -= len(b)
			q.mu.Unlock()
		}
	}
}
