package web

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// A Lane answers requests over plain HTTP/1.1 by itself whose answers lie ready. net/http takes twice as long for one: it makes a request, a
// header and a context of it, and a second goroutine that watches the connection.
//
// The lane sits below net/http, in the Read of its connections: while net/http waits for a request, those that the lane can answer never
// reach it, and whatever else comes does, byte for byte. So nothing has to be handed back and forth, and limits, shutdown and
// the order of answers are those of net/http. A request is the lane's only if it is read by a grammar without choices (request.go).
type Lane interface {
	// Answer makes the answer to a request, or reports that it cannot.
	Answer(q *Request, a *Answer) bool
}

// Answer is what is to be sent.
type Answer struct {
	Header  []byte   // status line and header fields, to be appended to; Date and the empty line are added
	Body    []byte   // nobody changes it any more
	File    *os.File // holds the body instead, for the kernel to send; nil: Body does
	Offset  int64    // where in File
	Size    int64    // how much of File
	Release func()   // called when File is not needed any more
}

// together is up to where an answer is copied into one buffer, which then is cheaper than to send it from where it lies.
const together = 32 << 10

// stage is where in the exchange of requests and answers a connection is.
type stage int

const (
	between stage = iota // what comes next begins a request
	given                // net/http has got one whole request, and nothing behind it
	beyond               // net/http reads for itself, for good: nobody here knows where a request begins
)

// lane is what a connection needs for one.
type lane struct {
	Lane
	limits  *limits
	at      stage
	early   []byte // read before net/http waited for it
	request Request
	answer  Answer
	renew   time.Time // when the deadlines are to be moved again; zero: they are net/http's
	has     atomic.Int32
}

// Who has a connection. One that is to be closed while the lane answers is closed behind the answer.
const (
	elsewhere int32 = iota // net/http
	waiting                // the lane, for a request
	answering              // the lane
	closing                // nobody any more
)

// Read implements net.Conn for net/http.
func (c *conn) Read(p []byte) (int, error) {
	if c.lane.Lane == nil {
		return c.TCPConn.Read(p)
	}
	if c.lane.at != between {
		return c.readOn(p)
	}
	if !c.lane.has.CompareAndSwap(elsewhere, waiting) {
		return 0, net.ErrClosed
	}
	for {
		early := copy(p, c.lane.early)
		c.lane.early = nil
		n, err := c.TCPConn.Read(p[early:])
		if n == 0 {
			return 0, err
		}
		left, err := c.answerAll(p[:early+n])
		if err != nil {
			return 0, err
		}
		if len(left) > 0 {
			return copy(p, left), c.giveUp()
		}
	}
}

// readOn is Read while net/http, or who has taken the connection over, is not known to wait for a request.
func (c *conn) readOn(p []byte) (n int, err error) {
	switch {
	case len(c.lane.early) > 0:
		n = copy(p, c.lane.early)
		c.lane.early = c.lane.early[n:]
	case c.lane.at == given && len(p) == 1:
		// While a handler is at work net/http reads a byte, to learn whether the client is still there. Often enough it is that of the next
		// request, which would then be net/http's, and all that follow. It takes no for an answer.
		if n, err = c.TCPConn.Read(p); n > 0 {
			c.lane.early = []byte{p[0]}
		}
		return 0, err
	default:
		n, err = c.TCPConn.Read(p)
	}
	if n > 0 { // a body, the rest of a header, or another protocol
		c.lane.at = beyond
	}
	return n, err
}

// answerAll answers one request after the other, and returns what is for net/http.
func (c *conn) answerAll(in []byte) ([]byte, error) {
	for len(in) > 0 {
		size, ok := c.lane.request.read(in)
		if !ok {
			c.lane.at = beyond
			return in, nil
		}
		a := &c.lane.answer
		*a = Answer{Header: a.Header[:0]}
		if !c.lane.Answer(&c.lane.request, a) {
			if c.lane.at = beyond; size == len(in) {
				c.lane.at = given
			}
			return in, nil
		}
		if err := c.sendAnswer(a); err != nil {
			return nil, err
		}
		in = in[size:]
	}
	return nil, nil
}

// giveUp leaves the connection to net/http, with the deadlines, which it has not set since it began to wait.
func (c *conn) giveUp() error {
	if !c.lane.renew.IsZero() {
		c.lane.renew = time.Time{}
		_ = c.SetWriteDeadline(time.Time{})                         // whoever reads or writes next learns of an error
		_ = c.SetReadDeadline(time.Now().Add(c.lane.limits.header)) // it may have only the beginning of a request
	}
	if !c.lane.has.CompareAndSwap(waiting, elsewhere) {
		return net.ErrClosed
	}
	return nil
}

// resumed has the lane begin again where net/http has answered a request and waits for the next one.
func resumed(c net.Conn, state http.ConnState) {
	if own, ok := c.(*conn); ok && state == http.StateIdle && own.lane.at == given {
		own.lane.at = between
	}
}

// sendAnswer sends an answer, if the connection is not to be closed.
func (c *conn) sendAnswer(a *Answer) error {
	if a.Release != nil {
		defer a.Release()
	}
	if !c.lane.has.CompareAndSwap(waiting, answering) {
		return net.ErrClosed
	}
	err := c.transmit(a)
	if !c.lane.has.CompareAndSwap(answering, waiting) {
		defer c.finishing.Done()
		return errors.Join(net.ErrClosed, c.shut())
	}
	return err
}

func (c *conn) transmit(a *Answer) error {
	now := time.Now()
	if large := a.File != nil || len(a.Body) > together; large || !now.Before(c.lane.renew) {
		c.patience(now)
	}
	a.Header = append(appendDate(a.Header, now), "\r\n"...)
	switch {
	case a.File != nil:
		c.held = append(c.held[:0], a.Header...)
		_, err := c.sendFile(a.File, a.Offset, a.Size)
		return err
	case len(a.Body) <= together:
		all := buffers.Get().(*[]byte)
		defer buffers.Put(all)
		*all = append(append((*all)[:0], a.Header...), a.Body...)
		_, err := c.TCPConn.Write(*all)
		return err
	default:
		c.held = append(c.held[:0], a.Header...)
		_, err := c.writev(net.Buffers{a.Body})
		return err
	}
}

// patience gives the client time to take this answer and to ask again. For a short answer that is done now and then only: it costs as much as to
// read a request.
func (c *conn) patience(now time.Time) {
	c.lane.renew = now.Add(c.lane.limits.idle / 4)
	_ = c.SetReadDeadline(now.Add(c.lane.limits.idle))
	_ = c.SetWriteDeadline(now.Add(c.lane.limits.answer))
}

// Close implements net.Conn. An answer of the lane's that is under way may be finished.
func (c *conn) Close() error {
	switch {
	case c.lane.has.CompareAndSwap(answering, closing):
		c.finishing.Add(1)
		return c.SetWriteDeadline(time.Now().Add(c.lane.limits.shutdown))
	case c.lane.has.Load() == closing:
		return nil
	default:
		return c.shut()
	}
}

// retire closes the connection if the lane has it: net/http, which takes it for a new one, would wait for its first request.
func (c *conn) retire() {
	if c.lane.has.CompareAndSwap(waiting, closing) {
		_ = c.shut()
	} else if c.lane.has.Load() == answering {
		_ = c.Close()
	}
}
