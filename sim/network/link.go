// Package network is the part of the Internet that a swarm feels: the uplink and
// the downlink of each viewer, the delay between two of them, and a CDN.
//
// Links are fluid: a link carries its bytes per second, in order, and a message
// is there when its last byte is. There are no packets, no loss and no congestion
// window; what they cost is in the wire size of a message (WireBytes). All
// viewers' connections share the one uplink, first come first served, leaf by
// leaf; that is what a saturated access line with its modem's queue looks like
// to all of them together.
//
// Times are microseconds inside, so that a small message on a fast link is not
// rounded to a whole millisecond each time.
package network

// Link carries bytes one way at a fixed rate. The zero Link is infinitely fast.
type Link struct {
	BytesPerSec int64 // 0: unlimited
	freeUs      int64 // when everything accepted so far is through
	carried     int64
}

// Send puts bytes in at nowUs behind all that waits, and tells when the first of
// them starts and the last of them has left.
func (l *Link) Send(nowUs, bytes int64) (startUs, endUs int64) {
	l.carried += bytes
	startUs = max(nowUs, l.freeUs)
	l.freeUs = startUs + l.durationUs(bytes)
	return startUs, l.freeUs
}

// Receive is for the far end of a path: a message's bytes arrive at the link
// between firstUs and lastUs, at the rate of whoever sent them. A link that is
// faster than the sender passes them on as they come, a slower or busy one takes
// longer. Calls come in the order of lastUs.
func (l *Link) Receive(firstUs, lastUs, bytes int64) (endUs int64) {
	l.carried += bytes
	l.freeUs = max(lastUs, max(l.freeUs, firstUs)+l.durationUs(bytes))
	return l.freeUs
}

// BacklogUs is how long what was accepted keeps the link busy from nowUs on.
func (l *Link) BacklogUs(nowUs int64) int64 { return max(l.freeUs-nowUs, 0) }

// Carried is the number of bytes accepted so far.
func (l *Link) Carried() int64 { return l.carried }

func (l *Link) durationUs(bytes int64) int64 {
	if l.BytesPerSec == 0 {
		return 0
	}
	return (bytes*1_000_000 + l.BytesPerSec - 1) / l.BytesPerSec
}

// MsFromUs rounds up: nothing happens before it can.
func MsFromUs(us int64) int64 { return (us + 999) / 1000 }
