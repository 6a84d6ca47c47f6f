package server

import (
	"slices"
	"strings"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/tight"
)

// disclosure is whose addresses a client has been given: signals hold them, introductions do not. Whoever stays gets those of
// its neighbours and of as many again who turn out to be of no use; more come as neighbours leave the room or are taken
// away by the tracker, and otherwise two a minute. However a client behaves, it does not see a room's addresses.
// Nil is that of a client that was given none.
type disclosure struct {
	to    []announce.PeerID // who are still there, oldest first
	extra int64             // given beyond freeAddresses
}

const (
	freeAddresses = 24
	addressEvery  = 30 * time.Second
)

// may tells whether a client that joined at sinceMs may be given the addresses of another.
func (d *disclosure) may(id announce.PeerID, sinceMs, nowMs int64) bool {
	return d == nil || slices.Contains(d.to, id) || len(d.to) < freeAddresses || d.extra < (nowMs-sinceMs)/addressEvery.Milliseconds()
}

// give notes that it was given them, which may said.
func (d *disclosure) give(id announce.PeerID) {
	if slices.Contains(d.to, id) {
		return
	}
	if len(d.to) >= freeAddresses {
		d.to = slices.Delete(d.to, 0, 1)
		d.extra++
	}
	d.to = tight.Append(d.to, id)
}

// gone notes that another has left, or that the tracker has separated the two.
func (d *disclosure) gone(id announce.PeerID) {
	if d != nil {
		d.to = slices.DeleteFunc(d.to, func(other announce.PeerID) bool { return other == id })
	}
}

// relayedOnly takes everything out of a signal that tells where its sender is: candidates other than those on the relay,
// and the address behind those.
func relayedOnly(s announce.Signal, relay string) announce.Signal {
	var kept []string
	for _, c := range s.Candidates {
		// candidate:<foundation> <component> <transport> <priority> <address> <port> typ <type> [raddr <address> rport <port>] …
		if f := strings.Fields(c); len(f) >= 8 && f[4] == relay && f[7] == "relay" {
			kept = append(kept, strings.Join(f[:8], " ")+" raddr 0.0.0.0 rport 0")
		}
	}
	s.Candidates = kept
	return s
}
