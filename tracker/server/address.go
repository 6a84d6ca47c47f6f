package server

import (
	"encoding/binary"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"slipstream/tracker/tight"
)

// remoteAddr is the address that the connection comes from.
func remoteAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // all unknown ones share a prefix
	}
	return ap.Addr().Unmap()
}

// Forwarded is a Config.ClientAddr for those behind terminators: whoever connects from one of their networks speaks for
// the last address in X-Forwarded-For that is not in them. What anybody else claims is not believed.
func Forwarded(trusted []netip.Prefix) func(*http.Request) netip.Addr {
	ours := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return func(r *http.Request) netip.Addr {
		addr := remoteAddr(r)
		list := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(list) - 1; i >= 0 && ours(addr); i-- {
			before, err := netip.ParseAddr(strings.TrimSpace(list[i]))
			if err != nil {
				break
			}
			addr = before.Unmap()
		}
		return addr
	}
}

// prefixOf is the network that an address is counted under: what one customer or one house typically has.
func prefixOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// subnetKey is the prefix as the swarm wants it, 0 if unknown. Addresses that only mean something here or in one house
// are unknown too: whoever uses them is behind a proxy, in a test, or in a network that is trusted anyway.
func subnetKey(a netip.Addr) uint64 {
	a = a.Unmap()
	if !a.IsValid() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return 0
	}
	return prefixKey(prefixOf(a))
}

// prefixKey is a number for a network, never 0, and never the same for two of one length.
func prefixKey(p netip.Prefix) uint64 {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		return 1<<63 | uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := p.Addr().As16()
	return binary.BigEndian.Uint64(b[:8])>>16 | 1<<62
}

// byNetwork is the Locator of those who have no better: /16 and /32 are about what a provider is given at a time.
type byNetwork struct{}

// Locate implements Locator. It knows no regions.
func (byNetwork) Locate(a netip.Addr) (isp, region uint64) {
	if subnetKey(a) == 0 {
		return 0, 0
	}
	bits := 16
	if a = a.Unmap(); a.Is6() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return 0, 0
	}
	return prefixKey(p), 0
}

// addresses counts connections per prefix.
type addresses struct {
	mu       sync.Mutex
	limits   Limits
	prefixes tight.Index[*prefix]
	sweptAt  time.Time
}

// prefix is one network. Most have one viewer or two, so there are nearly as many.
type prefix struct {
	key         uint64 // see prefixKey
	connections int32
	bucket      bucket // of new ones
}

// Key implements tight.Keyed.
func (p *prefix) Key() uint64 { return p.key }

func newAddresses(l Limits) *addresses { return &addresses{limits: l} }

// change puts other limits in force, also for networks that are known.
func (a *addresses) change(l Limits) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limits = l
}

// admit takes a place for a connection; release gives it back. Loopback is not counted: it is a test on one machine, or
// a reverse proxy whose clients cannot be told apart.
func (a *addresses) admit(addr netip.Addr, now time.Time) bool {
	if addr.Unmap().IsLoopback() {
		return true
	}
	key := prefixKey(prefixOf(addr))
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.prefixes.Get(key)
	if p == nil {
		if a.prefixes.Len() >= a.limits.Prefixes && !a.sweep(now) {
			return false
		}
		p = &prefix{key: key}
		a.prefixes.Put(p)
	}
	if int(p.connections) >= a.limits.PrefixConnections || !p.bucket.take(now, a.limits.PrefixRate, a.limits.PrefixBurst) {
		return false
	}
	p.connections++
	return true
}

// release gives back a place that admit gave to the same address.
func (a *addresses) release(addr netip.Addr) {
	if addr.Unmap().IsLoopback() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prefixes.Get(prefixKey(prefixOf(addr))).connections-- // who has connections is not swept away
}

// sweep forgets prefixes that are as good as new, at most once a second because it looks at all of them.
func (a *addresses) sweep(now time.Time) bool {
	if now.Sub(a.sweptAt) < time.Second {
		return false
	}
	a.sweptAt = now
	var gone []uint64
	for p := range a.prefixes.All() {
		if p.connections == 0 && p.bucket.full(now, a.limits.PrefixRate) {
			gone = append(gone, p.key)
		}
	}
	for _, key := range gone {
		a.prefixes.Delete(key)
	}
	return len(gone) > 0
}
