package epoll

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// TLS in a loop: crypto/tls is given a wire instead of a network. After the handshake a wire that has nothing says so by an error
// that crypto/tls takes for temporary, keeping what it has of a record. A handshake cannot be left and entered again, so it is a
// coroutine of the loop, which leaves it where it wants to read. It begins when the client's hello is there: until then who is slow
// costs us the bytes that he sent.

const (
	// maxHellos is how many handshakes a loop begins in one turn, a quarter of a millisecond each: those who wait for their
	// neighbours shall not wait for everybody who knocks.
	maxHellos = 8
	// maxEarly bounds what comes before the handshake has begun. A hello is one record nearly always.
	maxEarly = 32 << 10

	recordHeader    = 5
	maxRecord       = recordHeader + 16<<10 + 2048 // RFC 8446 and RFC 5246
	recordHandshake = 22
)

// veil is a connection's TLS.
type veil struct {
	wire
	conn   *tls.Conn
	resume func() (struct{}, bool) // goes on with the handshake; nil once that is over
	stop   func()                  // ends it where it is
	err    error                   // how it ended
}

func newVeil(c *Conn, cfg *tls.Config) *veil {
	v := &veil{wire: wire{fd: int(c.fd), remote: c.unfinished.remote}}
	v.conn = tls.Server(&v.wire, cfg)
	v.resume, v.stop = iter.Pull(func(pause func(struct{}) bool) {
		v.pause = pause
		v.err = v.conn.Handshake()
		v.pause = nil
	})
	return v
}

// veil is a connection's TLS; nil if it has none, or none yet.
func (l *loop) veil(c *Conn) *veil {
	if place := l.place(c.fd); place < len(l.veils) {
		return l.veils[place]
	}
	return nil
}

// forget lets a descriptor's place be another's.
func (l *loop) forget(fd int) {
	place := l.place(int32(fd))
	l.conns[place] = nil
	if place >= len(l.veils) || l.veils[place] == nil {
		return
	}
	if v := l.veils[place]; v.resume != nil {
		v.stop()
	}
	l.veils[place] = nil
}

// knock takes what comes before a handshake, which begins when its turn comes.
func (l *loop) knock(c *Conn, b []byte) {
	head := c.unfinished
	ours := len(head.rest) > 0
	if ours {
		b = append(head.rest, b...)
	}
	if head.behind {
		if b = l.readProxy(c, b); head.behind || c.fd < 0 {
			return
		}
	}
	if !ours {
		b = bytes.Clone(b)
	}
	head.rest = b
	switch {
	case len(b) > maxEarly:
		l.cfg.Refused(BadRequest)
		l.end(c, ErrEnded)
	case !head.knocked && firstRecord(b):
		head.knocked = true
		l.hellos = append(l.hellos, c)
	}
}

// firstRecord tells whether there is all of a record, or something that is none.
func firstRecord(b []byte) bool {
	if len(b) < recordHeader {
		return false
	}
	size := recordHeader + int(binary.BigEndian.Uint16(b[3:]))
	return b[0] != recordHandshake || size > maxRecord || len(b) >= size
}

// greet begins the handshakes of those who have waited longest.
func (l *loop) greet() {
	l.hellos = slices.DeleteFunc(l.hellos, func(c *Conn) bool { return c.fd < 0 })
	n := min(len(l.hellos), maxHellos)
	for _, c := range l.hellos[:n] {
		v := newVeil(c, l.cfg.TLS)
		place := l.place(c.fd)
		for place >= len(l.veils) {
			l.veils = append(l.veils, nil)
		}
		l.veils[place] = v
		b := c.unfinished.rest
		c.unfinished.rest = nil
		l.decrypt(c, v, b)
	}
	l.hellos = slices.Delete(l.hellos, 0, n)
}

// decrypt takes what came from the network.
func (l *loop) decrypt(c *Conn, v *veil, b []byte) {
	v.in = b
	if v.resume != nil && !l.shake(c, v) {
		return
	}
	for c.fd >= 0 { // afterwards it is another's
		n, err := v.conn.Read(l.plain)
		if n > 0 {
			l.hear(c, l.plain[:n])
		}
		if err == nil || c.fd < 0 {
			continue
		}
		v.in = nil
		last := !errors.Is(err, errLater)
		if v.out != nil && (last || c.phase != inHead) { // an alert, or a key update's answer; tickets wait for that to the request
			l.write(c)
		}
		if last {
			l.end(c, ErrEnded)
		}
		return
	}
}

// shake goes on with a handshake as far as what has come allows. It tells whether that was all of it.
func (l *loop) shake(c *Conn, v *veil) bool {
	if _, more := v.resume(); more {
		v.in = nil
		l.write(c)
		return false
	}
	v.resume, v.stop = nil, nil
	if v.err != nil {
		l.cfg.Refused(BadRequest)
		if plain := (tls.RecordHeaderError{}); errors.As(v.err, &plain) && plain.Conn != nil && isHTTP(plain.RecordHeader) {
			v.Write(appendRefusal(nil, Refusal{Status: 400, Sentence: "This server speaks HTTPS: begin its address with https or wss."})) //nolint:errcheck // a wire takes everything
		}
		l.write(c)
		l.end(c, ErrEnded)
		return false
	}
	if v.conn.ConnectionState().Version < tls.VersionTLS13 { // the last word is ours
		l.write(c)
	}
	return c.fd >= 0
}

// isHTTP tells whether somebody began without TLS.
func isHTTP(begun [recordHeader]byte) bool {
	return slices.Contains([]string{"GET /", "HEAD ", "POST "}, string(begun[:]))
}

// flush writes what is pending. The caller has c's lock.
func (v *veil) flush(c *Conn, last bool) (done bool, err error) {
	for full := c.stalled; ; full = false {
		if !full && v.resume == nil && v.err == nil {
			if c.pending != nil {
				if _, err := v.conn.Write(*c.pending); err != nil {
					return false, ErrEnded
				}
				release(&c.pending)
			}
			if c.phase == ending {
				v.conn.CloseWrite() //nolint:errcheck // a wire takes everything
			}
		}
		if v.out == nil {
			return true, nil
		}
		if done, err = drain(int(c.fd), &v.out, last); !done || !full {
			return done, err
		}
	}
}

// over makes it a connection as any other, for the HTTP server.
func (v *veil) over(below net.Conn) net.Conn {
	v.in = bytes.Clone(v.in)
	v.below = below
	return v.conn
}

// wire is what crypto/tls takes for its network.
type wire struct {
	in     []byte  // has come
	out    *[]byte // is to be written, a buffer of the pool; nil if there is nothing
	pause  func(struct{}) bool
	below  net.Conn // the HTTP server's own, once it was given away
	fd     int      // until then
	remote netip.AddrPort
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	for len(w.in) == 0 {
		switch {
		case w.below != nil:
			return w.below.Read(b)
		case w.pause == nil:
			return 0, errLater
		case !w.pause(struct{}{}):
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := copy(b, w.in)
	w.in = w.in[n:]
	return n, nil
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	if w.below == nil {
		if w.out == nil {
			w.out = emptyBuffer()
		}
		*w.out = append(*w.out, b...)
		return len(b), nil
	}
	if w.out == nil {
		return w.below.Write(b)
	}
	before := len(*w.out)
	n, err := w.below.Write(append(*w.out, b...))
	release(&w.out)
	return max(n-before, 0), err
}

// Close implements net.Conn.
func (w *wire) Close() error {
	if w.below == nil {
		return nil // the loop does that
	}
	return w.below.Close()
}

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr {
	if w.below != nil {
		return w.below.LocalAddr()
	}
	at, _ := syscall.Getsockname(w.fd) // the zero address is as good as nothing
	return net.TCPAddrFromAddrPort(addrPort(at))
}

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(w.remote) }

// SetDeadline implements net.Conn.
func (w *wire) SetDeadline(t time.Time) error { return w.deadline(net.Conn.SetDeadline, t) }

// SetReadDeadline implements net.Conn.
func (w *wire) SetReadDeadline(t time.Time) error { return w.deadline(net.Conn.SetReadDeadline, t) }

// SetWriteDeadline implements net.Conn.
func (w *wire) SetWriteDeadline(t time.Time) error { return w.deadline(net.Conn.SetWriteDeadline, t) }

func (w *wire) deadline(set func(net.Conn, time.Time) error, t time.Time) error {
	if w.below == nil {
		return nil // the loop never waits
	}
	return set(w.below, t)
}

// later says that nothing has come: crypto/tls keeps what it has for when it is asked again.
type later struct{}

var errLater error = later{}

func (later) Error() string   { return "nothing has come yet" }
func (later) Timeout() bool   { return true }
func (later) Temporary() bool { return true }
