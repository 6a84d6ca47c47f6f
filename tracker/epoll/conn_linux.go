package epoll

import (
	"errors"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// Conn is one connection. Its loop owns it, but for what is pending.
type Conn struct {
	loop   *loop
	client Client
	why    error // what it did wrong
	remote netip.AddrPort
	reader reader // while the head is read: that of what there is
	phase  phase
	heard  bool // something came since askedMs
	behind bool // a terminator, which has not told yet whom it speaks for

	appointment uint32 // see entry
	checkMs     int64  // when that is
	sinceMs     int64  // when the phase began; in open, 0 once Overdue was called
	pingedMs    int64  // the last ping, or the opening
	askedMs     int64  // the first ping that nothing came after
	most        int    // bytes of a message
	controls    int    // frames since the last ping
	stalledMs   int64  // since when the socket takes no more; 0 = it does

	mu      sync.Mutex
	fd      int    // -1 once closed
	pending []byte // to be written
	queued  bool   // the loop knows that something is pending
	gathers bool   // the loop knows that something is pending which may wait
	ended   bool   // nothing may follow what is pending
	slow    bool   // too much was pending
	cut     bool   // to be closed without another word
}

// phase is how far a connection is.
type phase uint8

const (
	inHead  phase = iota // its request is not complete
	open                 // a WebSocket
	closing              // we sent a close, and wait for theirs
	ending               // to be closed when everything is written
)

// Send queues a text message. The payload is the caller's again when Send returns.
func (c *Conn) Send(payload []byte) {
	c.queue(func(pending []byte) []byte { return appendFrame(pending, opText, payload) }, false)
}

// SendSoon is Send for what may wait until there is more, Config.Gather at most: to write costs more than to decide what, and
// one write may carry many messages.
func (c *Conn) SendSoon(payload []byte) {
	c.mu.Lock()
	ok := c.add(func(pending []byte) []byte { return appendFrame(pending, opText, payload) }, false)
	tell := ok && !c.queued && !c.gathers
	c.gathers = c.gathers || tell
	c.mu.Unlock()
	if tell {
		c.loop.gather(c)
	}
}

// SetMaxMessage has this connection take longer messages, or only shorter ones, than the others. It is for Open to call.
func (c *Conn) SetMaxMessage(bytes int) { c.most = bytes }

// End queues a close, after which nothing is sent or heard.
func (c *Conn) End(status Status, reason string) {
	c.queue(func(pending []byte) []byte { return appendClose(pending, status, reason) }, true)
}

// Cut closes the connection without another word, as soon as its loop gets to it.
func (c *Conn) Cut() {
	c.mu.Lock()
	c.cut, c.queued = true, true
	c.mu.Unlock()
	c.loop.enqueue(c)
}

// queue adds to what is pending, and has the loop write it.
func (c *Conn) queue(add func([]byte) []byte, last bool) {
	c.mu.Lock()
	ok := c.add(add, last)
	tell := ok && !c.queued
	c.queued = c.queued || ok
	c.mu.Unlock()
	if tell {
		c.loop.enqueue(c)
	}
}

// add adds to what is pending; false if nothing can be. The caller has the lock.
func (c *Conn) add(add func([]byte) []byte, last bool) bool {
	if c.fd < 0 || c.ended {
		return false
	}
	if c.pending == nil {
		c.pending = buffers.Get().([]byte)[:0]
	}
	c.pending, c.ended = add(c.pending), last
	c.slow = c.slow || len(c.pending) > c.loop.cfg.MaxPending
	return true
}

// gathered notes that its time to wait is over.
func (c *Conn) gathered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathers = false
}

// buffers are for what is pending: of a thousand connections few have something.
var buffers = sync.Pool{New: func() any { return make([]byte, 0, 1024) }}

// keepBuffer is how large a buffer may have grown and still be used again.
const keepBuffer = 8 << 10

// flush writes what is pending. It returns whether everything is written.
func (c *Conn) flush() (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued = false
	switch {
	case c.cut:
		return false, ErrEnded
	case c.slow:
		return false, ErrSlow
	}
	if c.fd < 0 || c.pending == nil {
		return true, nil
	}
	for len(c.pending) > 0 {
		n, err := unix.Write(c.fd, c.pending)
		if err != nil && errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil && errors.Is(err, unix.EAGAIN) {
			return false, nil
		}
		if err != nil {
			return false, ErrEnded
		}
		c.pending = c.pending[:copy(c.pending, c.pending[n:])]
	}
	if cap(c.pending) <= keepBuffer {
		buffers.Put(c.pending) //nolint:staticcheck // a slice's header is cheap beside the write before it
	}
	c.pending = nil
	return true, nil
}

// hasEnded tells whether a close was queued.
func (c *Conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// shut takes the descriptor away from everybody; -1 if that has happened.
func (c *Conn) shut() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd := c.fd
	c.fd, c.pending = -1, nil
	return fd
}
