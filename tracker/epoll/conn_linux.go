package epoll

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is one connection. Its loop owns it, but for what is pending. There are many, nearly all of them idle: the order of
// the fields leaves no gaps, and what an idle one has none of is behind a pointer.
type Conn struct {
	loop       *loop
	client     Client
	unfinished *unfinished // nil once the head and all of a message is there

	check  moment // when the appointment is
	since  moment // when the phase began
	pinged moment // the last ping, or the opening
	asked  moment // the first ping that nothing came after
	stuck  moment // since when it is stalled

	appointment uint32 // see entry
	most        int32  // bytes of a message
	controls    uint8  // frames since the last ping
	phase       phase
	heard       bool  // something came since it was asked
	awaited     bool  // Overdue was called
	stalled     bool  // the socket takes no more
	fault       fault // what it did wrong
	patient     bool  // see SetPatient

	queued bool // mu is held for this and what follows. The loop knows that something is pending
	waits  bool // the loop knows that something is pending which may wait until it is due
	ended  bool // nothing may follow what is pending
	cut    bool // to be closed without another word

	due     moment
	fd      int32   // -1 once closed
	pending *[]byte // to be written, a buffer of the pool; nil if there is nothing
	mu      sync.Mutex
}

// moment is the lower half of a time in milliseconds: enough for one that is less than 24 days away, see loop.at.
type moment uint32

func (m moment) before(other moment) bool { return int32(m-other) < 0 }

// unfinished is what there is of a request's head, or of a message, until the rest comes.
type unfinished struct {
	reader
	remote  netip.AddrPort // of the head
	behind  bool           // a terminator, which has not told yet whom it speaks for
	knocked bool           // it waits for its handshake
}

// fault is why it is told to close.
type fault uint8

const (
	brokeRules fault = iota + 1
	sentTooMuch
	flooded
)

var faults = [...]error{brokeRules: ErrRules, sentTooMuch: ErrTooBig, flooded: ErrFlood}

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

// SendWithin is Send for what may wait for more: it goes with the next message that may not, and at the latest when its time is over.
func (c *Conn) SendWithin(p Patience, payload []byte) {
	dueMs := time.Now().Add(c.loop.cfg.Gather[p]).UnixMilli()
	due := moment(dueMs)
	c.mu.Lock()
	ok := c.add(func(pending []byte) []byte { return appendFrame(pending, opText, payload) }, false)
	tell := ok && !c.queued && (!c.waits || due.before(c.due))
	if tell {
		c.waits, c.due = true, due
	}
	c.mu.Unlock()
	if tell {
		c.loop.gather(p, waiter{c, dueMs})
	}
}

// SetMaxMessage has this connection take longer messages, or only shorter ones, than the others. It is for Open to call.
func (c *Conn) SetMaxMessage(bytes int) { c.most = int32(bytes) }

// SetPatient has what this connection is told wait while its loop has still to take what came from others: messages that many
// clients exchange are better passed on together than at once. It is for Open to call.
func (c *Conn) SetPatient() { c.patient = true }

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
		c.pending = emptyBuffer()
	}
	*c.pending, c.ended = add(*c.pending), last
	return true
}

// isDue tells whether something is pending that has waited long enough.
func (c *Conn) isDue(nowMs int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waits && !moment(nowMs).before(c.due)
}

// buffers are for what is pending: of a thousand connections few have something.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 1024)
	return &b
}}

func emptyBuffer() *[]byte {
	b := buffers.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

// keepBuffer is how large a buffer may have grown and still be used again.
const keepBuffer = 8 << 10

// flush writes what is pending; last says that the connection is closed once that is done, which then takes no packet of its own. It
// returns whether everything is written.
func (c *Conn) flush(last bool) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued, c.waits = false, false
	if c.cut {
		return false, ErrEnded
	}
	if c.fd < 0 {
		return true, nil
	}
	v := c.loop.veil(c)
	switch {
	case v != nil:
		done, err = v.flush(c, last)
	case c.pending == nil:
		return true, nil
	default:
		done, err = drain(int(c.fd), &c.pending, last)
	}
	if err == nil && !done && c.unwritten(v) > c.loop.cfg.MaxPending {
		err = ErrSlow
	}
	return done, err
}

// unwritten is how much the client could not be told yet.
func (c *Conn) unwritten(v *veil) (n int) {
	if c.pending != nil {
		n = len(*c.pending)
	}
	if v != nil && v.out != nil {
		n += len(*v.out)
	}
	return n
}

// drain writes a buffer, and gives it back if everything is written.
func drain(fd int, buffer **[]byte, last bool) (done bool, err error) {
	for b := *buffer; len(*b) > 0; {
		n, err := send(fd, *b, last)
		switch err {
		case 0:
			*b = (*b)[:copy(*b, (*b)[n:])]
		case unix.EINTR:
		case unix.EAGAIN:
			return false, nil
		default:
			return false, ErrEnded
		}
	}
	release(buffer)
	return true, nil
}

// release gives a buffer back.
func release(buffer **[]byte) {
	if cap(**buffer) <= keepBuffer {
		buffers.Put(*buffer)
	}
	*buffer = nil
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
	return int(fd)
}
