package server

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// A prefix may hold a whole office or school behind one address: a class that opens the page at once must pass.
	tokensPerSecond = 20
	tokenBurst      = 400
	// maxPrefixes bounds the memory; the prefix that was quiet the longest is forgotten.
	maxPrefixes = 4096
)

// limiter limits requests by network prefix, because addresses cost an attacker less than prefixes do.
type limiter struct {
	mu       sync.Mutex
	prefixes map[netip.Prefix]*list.Element
	recent   *list.List // of *bucket, most recently used first
}

type bucket struct {
	prefix netip.Prefix
	rate   *rate.Limiter
}

func newLimiter() *limiter {
	return &limiter{prefixes: make(map[netip.Prefix]*list.Element), recent: list.New()}
}

// allow takes one token of the client's prefix: a /24 of IPv4, a /48 of IPv6.
func (l *limiter) allow(client netip.Addr, now time.Time) bool {
	bits := 48
	if client.Is4() {
		bits = 24
	}
	prefix, err := client.Prefix(bits)
	if err != nil || !prefix.IsValid() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.prefixes[prefix]
	if !ok {
		if l.recent.Len() == maxPrefixes {
			oldest := l.recent.Back()
			delete(l.prefixes, oldest.Value.(*bucket).prefix)
			l.recent.Remove(oldest)
		}
		element = l.recent.PushFront(&bucket{prefix, rate.NewLimiter(tokensPerSecond, tokenBurst)})
		l.prefixes[prefix] = element
	}
	l.recent.MoveToFront(element)
	return element.Value.(*bucket).rate.AllowN(now, 1)
}
