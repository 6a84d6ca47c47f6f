package child

import (
	"context"
	"time"
)

// Backoff says how long to wait before a program that ended is started again: first Least,
// then twice as long each time up to Most, and Least again after a run that lasted.
type Backoff struct {
	Least, Most time.Duration
	next        time.Duration
}

// Next takes how long the last run has lasted.
func (b *Backoff) Next(lasted time.Duration) time.Duration {
	if b.next == 0 || lasted > 2*b.Most {
		b.next = b.Least
	}
	wait := b.next
	b.next = min(2*b.next, b.Most)
	return wait
}

// Sleep waits for d or for the end of the context, and says whether d has passed.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
