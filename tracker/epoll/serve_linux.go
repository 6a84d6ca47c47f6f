package epoll

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Available tells whether this system has epoll.
const Available = true

// Server is the loops on one listener.
type Server struct {
	cfg      Config
	listener *os.File
	loops    []*loop
	rest     *rest
	wg       sync.WaitGroup
}

// Serve begins to serve. The listener must be TCP; the server owns it from now on.
func Serve(listener net.Listener, cfg Config) (*Server, error) {
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("a %T cannot be served by epoll, only TCP can", listener)
	}
	if cfg.TLS != nil {
		cfg.TLS = cfg.TLS.Clone()
		cfg.TLS.DynamicRecordSizingDisabled = true // what is written at once is one record
	}
	cfg.setDefaults()
	s := &Server{cfg: cfg, rest: newRest(listener.Addr(), cfg.MaxRest, cfg.Refused)}
	if err := s.own(tcp); err != nil {
		return nil, fmt.Errorf("the listener cannot be served by epoll: %w", err)
	}
	for range cfg.Loops {
		l, err := newLoop(s)
		if err != nil {
			for _, l := range s.loops {
				l.epoll.Close()
			}
			s.listener.Close()
			return nil, err
		}
		s.loops = append(s.loops, l)
	}
	for _, l := range s.loops {
		s.wg.Go(l.run)
	}
	s.wg.Go(s.accept)
	return s, nil
}

// own takes the listener's descriptor: package net lets nobody else accept.
func (s *Server) own(tcp *net.TCPListener) error {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	err = raw.Control(func(listener uintptr) {
		// Connections inherit it: a message is not held back for another. Without it they are only slower.
		unix.SetsockoptInt(int(listener), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) //nolint:errcheck
		fd, err = unix.FcntlInt(listener, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil {
		return err
	}
	if fd < 0 {
		return errors.New("its descriptor cannot be copied; are there too many open files?")
	}
	s.listener = os.NewFile(uintptr(fd), "listener")
	return tcp.Close()
}

// Rest is the listener of the connections that asked for something else than a WebSocket.
func (s *Server) Rest() net.Listener { return s.rest }

// Close stops accepting, closes all WebSockets without a word and returns when the loops have ended.
func (s *Server) Close() {
	s.listener.Close()
	s.rest.Close()
	for _, l := range s.loops {
		l.stop()
	}
	s.wg.Wait()
}

// accept deals new connections to the loops, by their descriptors: of those the lowest that is free is taken, so the loops
// have as many each.
func (s *Server) accept() {
	raw, err := s.listener.SyscallConn()
	if err != nil {
		s.cfg.Log.Error("nothing can be accepted", "error", err)
		return
	}
	for {
		full, some := false, false
		err := raw.Read(func(listener uintptr) bool {
			for {
				fd, from, err := syscall.Accept4(int(listener), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC) // package unix asks for the protocol as well
				switch {
				case err == nil:
					some = true
					s.loops[fd%len(s.loops)].arrive(arrival{fd, addrPort(from)})
				case errors.Is(err, unix.EAGAIN):
					return some
				case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOBUFS):
					full = true
					return true
				}
			}
		})
		if err != nil {
			return // closed
		}
		if full {
			s.cfg.Refused(NoFiles)
			s.cfg.Log.Error("no connection can be accepted: the limit of open files or of memory is reached; raise it (ulimit -n)")
			time.Sleep(100 * time.Millisecond) // what waits in the backlog is not announced again
		}
		time.Sleep(breath) // whoever comes meanwhile is accepted with the next
	}
}

func addrPort(from syscall.Sockaddr) netip.AddrPort {
	switch a := from.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// rest is a net.Listener of connections that were accepted elsewhere.
type rest struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once

	most    int
	refused func(why string)
	mu      sync.Mutex
	live    []*begunConn // the oldest first
}

func newRest(addr net.Addr, most int, refused func(string)) *rest {
	return &rest{addr: addr, conns: make(chan net.Conn, 256), done: make(chan struct{}), most: most, refused: refused}
}

// give makes a net.Conn of a descriptor, behind TLS or not, whose first bytes were read. If nobody takes it, it is closed.
func (r *rest) give(fd int, v *veil, remote netip.AddrPort, begun []byte) {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	c, err := net.FileConn(f) // with a descriptor of its own
	if err != nil {
		return
	}
	if v != nil {
		c = v.over(c)
	}
	b := r.note(c, remote, begun)
	select {
	case <-r.done:
		b.Close()
	case r.conns <- b:
	default:
		r.refused(Crowded)
		b.Close()
	}
}

// note counts one more in, and closes the oldest if there are too many: each costs a goroutine and buffers.
func (r *rest) note(c net.Conn, remote netip.AddrPort, begun []byte) *begunConn {
	b := &begunConn{c, io.MultiReader(bytes.NewReader(begun), c), remote, r}
	r.mu.Lock()
	r.live = append(r.live, b)
	var oldest *begunConn
	if len(r.live) > r.most {
		oldest = r.live[0]
		r.live = slices.Delete(r.live, 0, 1)
	}
	r.mu.Unlock()
	if oldest != nil {
		r.refused(Crowded)
		go oldest.Close() // behind TLS it says goodbye, and may have to wait for that
	}
	return b
}

func (r *rest) Accept() (net.Conn, error) {
	select {
	case c := <-r.conns:
		return c, nil
	case <-r.done:
		return nil, net.ErrClosed
	}
}

func (r *rest) Close() error {
	r.once.Do(func() { close(r.done) })
	for {
		select {
		case c := <-r.conns:
			c.Close()
		default:
			return nil
		}
	}
}

func (r *rest) Addr() net.Addr { return r.addr }

// begunConn is a connection whose first bytes were read already.
type begunConn struct {
	net.Conn
	from   io.Reader
	remote netip.AddrPort // perhaps of somebody whom a terminator speaks for
	rest   *rest
}

// RemoteAddr implements net.Conn.
func (c *begunConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *begunConn) Close() error {
	r := c.rest
	r.mu.Lock()
	r.live = slices.DeleteFunc(r.live, func(other *begunConn) bool { return other == c })
	r.mu.Unlock()
	return c.Conn.Close()
}

func (c *begunConn) Read(b []byte) (int, error) { return c.from.Read(b) }
