package web

import (
	"context"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
)

// listener admits so many connections at a time. Unlike netutil's, its connections are still those of TCP to net/http, which can then leave
// files to the kernel (sendfile) and say that nothing more comes (CloseWrite).
type listener struct {
	*net.TCPListener
	lane   Lane // nil: none
	limits *limits
	places chan struct{}
	closed chan struct{}
	close  func() error

	mu        sync.Mutex
	conns     map[*conn]struct{} // those that have a lane
	finishing sync.WaitGroup     // answers of lanes whose connections are to be closed
}

func limited(l *net.TCPListener, lane Lane, limits *limits) *listener {
	closed := make(chan struct{})
	return &listener{
		TCPListener: l, lane: lane, limits: limits, places: make(chan struct{}, limits.connections), conns: make(map[*conn]struct{}), closed: closed,
		close: sync.OnceValue(func() error {
			close(closed)
			return l.Close()
		}),
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	tcp, err := l.AcceptTCP()
	if err != nil {
		<-l.places
		return nil, err
	}
	c := &conn{TCPConn: tcp, lane: lane{Lane: l.lane, limits: l.limits}, finishing: &l.finishing}
	c.leave = sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, c)
		<-l.places
	})
	if l.lane != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns[c] = struct{}{}
	}
	return c, nil
}

// retire closes the connections that lanes have.
func (l *listener) retire() {
	l.mu.Lock()
	conns := slices.Collect(maps.Keys(l.conns))
	l.mu.Unlock()
	for _, c := range conns {
		c.retire()
	}
}

// Close implements net.Listener.
func (l *listener) Close() error { return l.close() }

// conn can hold back the beginning of an answer until the rest comes. net/http by itself writes the first 4 KiB, and then the rest: two
// system calls, two packets and two readers woken, which is most of what a playlist costs. Only one goroutine writes to it at a time.
type conn struct {
	*net.TCPConn
	leave   func()
	holding bool
	held    []byte

	lane      lane
	finishing *sync.WaitGroup
}

// buffers hold answers that go out in one piece.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// mostHeld is far more than a header.
const mostHeld = 64 << 10

// shut closes the connection.
func (c *conn) shut() error {
	defer c.leave()
	return c.TCPConn.Close()
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if !c.holding {
		return c.TCPConn.Write(p)
	}
	c.held = append(c.held, p...)
	if len(c.held) > mostHeld {
		if err := c.release(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// release writes what is held back.
func (c *conn) release() error {
	c.holding = false
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.TCPConn.Write(c.held)
	c.held = c.held[:0]
	return err
}

// inFile and inMemory are bodies that need not be read to be sent.
type (
	inFile interface {
		File() (file *os.File, offset int64)
	}
	inMemory interface{ Take(most int64) net.Buffers }
)

// ReadFrom implements io.ReaderFrom, which is how net/http gives a body to the connection.
func (c *conn) ReadFrom(from io.Reader) (n int64, err error) {
	if body, ok := from.(*io.LimitedReader); ok {
		switch held := body.R.(type) {
		case inFile:
			file, offset := held.File()
			return c.sendFile(file, offset, body.N)
		case inMemory:
			return c.writev(held.Take(body.N))
		}
	}
	if err := c.release(); err != nil {
		return 0, err
	}
	return c.TCPConn.ReadFrom(from)
}

// writev sends what is held back and the body, without a copy.
func (c *conn) writev(body net.Buffers) (int64, error) {
	before := int64(len(c.held))
	all := append(net.Buffers{c.held}, body...)
	n, err := all.WriteTo(c.TCPConn)
	c.holding, c.held = false, c.held[:0]
	return max(0, n-before), err
}

type connKey struct{}

// known lets handlers find the connection of a request over plain HTTP/1.1.
func known(ctx context.Context, c net.Conn) context.Context {
	if own, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

// Together has the header of an answer go out with the beginning of its body, until done is called at the end of the handler. It reports
// false where there is no such connection, as with TLS: then nothing needs to be done.
func Together(ctx context.Context) (done func(), ok bool) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return nil, false
	}
	c.holding = true
	return func() { _ = c.release() }, true // whoever writes next learns of an error
}
