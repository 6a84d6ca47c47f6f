package ingest

import (
	"context"
	"fmt"
	"sync"
)

// claims says who publishes which channel, over whatever protocol: one at a time.
type claims struct {
	mu    *sync.Mutex
	taken map[string]*claim
}

// A claim holds a channel for one publisher.
type claim struct {
	claims  claims
	channel string
	remote  string
	ending  bool          // its last segments are on their way
	gone    chan struct{} // closed when the channel is free
}

func newClaims() claims { return claims{&sync.Mutex{}, make(map[string]*claim)} }

// take claims a channel. If the publisher before is just leaving, it waits for its last segments: encoders that
// reconnect are quick.
func (c claims) take(ctx context.Context, channel, remote string) (*claim, error) {
	for {
		c.mu.Lock()
		other := c.taken[channel]
		if other == nil {
			mine := &claim{claims: c, channel: channel, remote: remote, gone: make(chan struct{})}
			c.taken[channel] = mine
			c.mu.Unlock()
			return mine, nil
		}
		ending := other.ending
		c.mu.Unlock()
		if !ending {
			// Only the operator is told who that is.
			return nil, fmt.Errorf("%w: %s", refuse("the channel %s already has a publisher", quoted(channel)), other.remote)
		}
		select {
		case <-other.gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *claim) end() {
	c.claims.mu.Lock()
	defer c.claims.mu.Unlock()
	c.ending = true
}

func (c *claim) release() {
	c.claims.mu.Lock()
	defer c.claims.mu.Unlock()
	delete(c.claims.taken, c.channel)
	close(c.gone)
}
