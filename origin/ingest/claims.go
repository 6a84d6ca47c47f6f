package ingest

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// backupSuffix is not possible in a channel's name.
const backupSuffix = "/backup"

// BackupOf is the place of a channel's backup publisher, for Config.Authorize to return. A channel's own name is that of its publisher.
func BackupOf(channel string) string { return channel + backupSuffix }

// SplitPlace takes what BackupOf made apart, and leaves a channel's name as it is.
func SplitPlace(place string) (channel string, backup bool) {
	return strings.CutSuffix(place, backupSuffix)
}

// claims says who has which place, over whatever protocol: one publisher each.
type claims struct {
	mu    *sync.Mutex
	taken map[string]*claim // by place
}

// A claim holds a place for one publisher.
type claim struct {
	claims claims
	place  string
	remote string
	ending bool          // its last segments are on their way
	gone   chan struct{} // closed when the place is free
}

func newClaims() claims { return claims{&sync.Mutex{}, make(map[string]*claim)} }

// take claims a place. If the publisher before is just leaving, it waits for its last segments: encoders that
// reconnect are quick.
func (c claims) take(ctx context.Context, place, remote string) (*claim, error) {
	for {
		c.mu.Lock()
		other := c.taken[place]
		if other == nil {
			mine := &claim{claims: c, place: place, remote: remote, gone: make(chan struct{})}
			c.taken[place] = mine
			c.mu.Unlock()
			return mine, nil
		}
		ending := other.ending
		c.mu.Unlock()
		if !ending {
			refused := "the channel %s already has a publisher"
			channel, backup := SplitPlace(place)
			if backup {
				refused = "the channel %s already has a backup publisher"
			}
			// Only the operator is told who that is.
			return nil, fmt.Errorf("%w: %s", refuse(refused, quoted(channel)), other.remote)
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
	delete(c.claims.taken, c.place)
	close(c.gone)
}
