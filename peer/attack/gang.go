package attack

import (
	"sync"

	"slipstream/tracker/announce"
)

// Gang is attackers who know each other and waste nothing on one another. It is safe for concurrent use; a nil one is
// nobody.
type Gang struct {
	mu      sync.Mutex
	members map[announce.PeerID]bool
}

// NewGang returns a gang without members.
func NewGang() *Gang { return &Gang{members: make(map[announce.PeerID]bool)} }

func (g *Gang) add(id announce.PeerID) {
	if g != nil {
		g.mu.Lock()
		g.members[id] = true
		g.mu.Unlock()
	}
}

func (g *Gang) has(id announce.PeerID) bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members[id]
}
