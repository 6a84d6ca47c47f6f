package epoll

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// loop is one goroutine's share of the connections.
type loop struct {
	server *Server
	cfg    *Config
	epoll  *os.File // the runtime's poller wakes this goroutine when epoll has something
	poll   syscall.RawConn
	epfd   int
	conns  []*Conn // by descriptor, those of other loops left out: see place
	wheel  wheel
	buf    []byte
	lines  *bufio.Reader
	heads  []*Conn // whose head was not complete at once, the oldest first, and some who have gone on
	nowMs  int64
	behind bool // there is more to take, so who is patient waits
	taken  int  // bytes since it was not

	veils  []*veil // as conns; empty without TLS
	hellos []*Conn // wait for their handshakes, in order
	plain  []byte  // what was decrypted

	mu       sync.Mutex
	arrivals []arrival
	queued   []*Conn // have something pending
	patient  []*Conn // have something pending, and wait while the loop is behind
	waiting  [patiences]queue
	alarmMs  int64 // when the loop looks what time it is, if it is not woken before
	woken    bool
	stopped  bool
}

// arrival is a connection that was accepted.
type arrival struct {
	fd     int
	remote netip.AddrPort
}

func newLoop(s *Server) (*loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	l := &loop{
		server: s, cfg: &s.cfg, epoll: os.NewFile(uintptr(epfd), "epoll"), epfd: epfd, buf: make([]byte, 64<<10),
		lines: bufio.NewReader(nil),
	}
	if s.cfg.TLS != nil {
		l.plain = make([]byte, 16<<10)
	}
	tickMs := s.cfg.tick().Milliseconds()
	l.nowMs = time.Now().UnixMilli()
	l.wheel = wheel{tickMs: tickMs, atMs: l.nowMs - l.nowMs%tickMs}
	if l.poll, err = l.epoll.SyscallConn(); err == nil {
		err = l.epoll.SetReadDeadline(time.Time{}) // whether the poller takes it
	}
	if err != nil {
		l.epoll.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return l, nil
}

// enqueue has the loop write what a connection has pending.
func (l *loop) enqueue(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.patient {
		l.patient = append(l.patient, c)
	} else {
		l.queued = append(l.queued, c)
	}
	l.wake()
}

// gather has the loop write what a connection has pending when its time to wait is over.
func (l *loop) gather(p Patience, w waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting[p].add(w)
	if w.dueMs < l.alarmMs {
		l.wake() // to set the alarm
	}
}

func (l *loop) arrive(a arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		unix.Close(a.fd)
		return
	}
	l.arrivals = append(l.arrivals, a)
	l.wake()
}

// stop ends the loop, and all of its connections.
func (l *loop) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.wake()
}

// wake lets a deadline pass that the loop waits for; the loop sets the next before it looks at what it is woken for.
func (l *loop) wake() {
	if !l.woken {
		l.woken = true
		l.epoll.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // newLoop tried it
	}
}

// breath is how long a turn of a loop takes at least, if it finds anything to do: whoever comes meanwhile shares the next one, and what
// cells have to say to a client goes out in one write. Thousands of turns a second cost more in waking up than in work.
const breath = time.Millisecond

func (l *loop) run() {
	defer l.epoll.Close()
	events := make([]unix.EpollEvent, 256)
	for {
		l.nowMs = time.Now().UnixMilli()
		arrivals, queued, gathered, stopped := l.inbox()
		for _, a := range arrivals {
			l.adopt(a)
		}
		for _, c := range queued {
			l.write(c)
		}
		for _, c := range gathered {
			if c.isDue(l.nowMs) {
				l.write(c)
			}
		}
		if stopped {
			l.closeAll()
			return
		}
		n := happened(l.epfd, events)
		if n == 0 && !l.behind && len(l.hellos) == 0 {
			err := l.poll.Read(func(uintptr) bool {
				n = happened(l.epfd, events)
				return n > 0
			})
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				l.cfg.Log.Error("a loop of connections ended", "error", err)
				l.closeAll()
				return
			}
		}
		begun := time.Now()
		l.nowMs = begun.UnixMilli()
		for _, e := range events[:n] {
			l.event(e)
		}
		l.took(n, len(events))
		l.wheel.advance(l.nowMs, l.look)
		l.greet()
		if n+len(arrivals)+len(queued)+len(gathered) > 0 {
			runtime.Gosched() // those who decide wait for a processor, if the turn was a long one, and nothing else takes it from us
			if !l.behind && len(l.hellos) == 0 {
				time.Sleep(breath - time.Since(begun))
			}
		}
	}
}

// Who is patient (Conn.SetPatient) is written to when all that came has been taken, so that under load more messages share a
// write. But what waits must fit into memory, and not wait for ever: it is time after so many bytes, where each event counts
// as some.
const (
	mostTaken = 32 << 20
	eventCost = 1 << 10
)

// took notes that a turn took n events of at most so many: fewer are all that there were.
func (l *loop) took(n, most int) {
	l.taken += n * eventCost
	if l.behind = n == most && l.taken < mostTaken; !l.behind {
		l.taken = 0
	}
}

// inbox takes what others left, and sets the alarm.
func (l *loop) inbox() (arrivals []arrival, queued, gathered []*Conn, stopped bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	arrivals, queued, stopped = l.arrivals, l.queued, l.stopped
	l.arrivals, l.queued, l.woken = nil, nil, false
	if !l.behind {
		queued = append(queued, l.patient...)
		l.patient = nil
	}
	l.alarmMs = l.wheel.nextMs()
	for p := range l.waiting {
		gathered = l.waiting[p].take(l.nowMs, gathered)
		l.alarmMs = min(l.alarmMs, l.waiting[p].nextMs())
	}
	l.epoll.SetReadDeadline(time.UnixMilli(l.alarmMs)) //nolint:errcheck // newLoop tried it
	return arrivals, queued, gathered, stopped
}

// adopt begins with a connection. What it wants is mostly there already, so who is refused needs not be watched.
func (l *loop) adopt(a arrival) {
	c := &Conn{loop: l, fd: int32(a.fd), unfinished: &unfinished{remote: a.remote}, most: int32(l.cfg.MaxMessage), since: moment(l.nowMs)}
	c.unfinished.behind = slices.ContainsFunc(l.cfg.Terminators, func(p netip.Prefix) bool { return p.Contains(a.remote.Addr()) })
	place := l.place(c.fd)
	for place >= len(l.conns) {
		l.conns = append(l.conns, nil)
	}
	l.conns[place] = c
	l.appoint(c, l.nowMs+l.cfg.HandshakeTimeout.Milliseconds())
	if l.read(c, a.fd); c.fd < 0 {
		return
	}
	events := uint32(unix.EPOLLIN)
	if c.stalled {
		events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, a.fd, &unix.EpollEvent{Events: events, Fd: int32(a.fd)}); err != nil {
		l.cfg.Log.Error("a connection could not be watched", "error", err)
		l.end(c, ErrEnded)
		return
	}
	if c.phase == inHead {
		l.makeRoom(c)
	}
}

// place is where a descriptor's connection is. Descriptors are dealt to the loops in turn.
func (l *loop) place(fd int32) int { return int(fd) / l.cfg.Loops }

// conn finds a descriptor's connection, nil if there is none.
func (l *loop) conn(fd int32) *Conn {
	if place := l.place(fd); place < len(l.conns) {
		return l.conns[place]
	}
	return nil
}

// makeRoom notes one more connection that has not said what it wants, and closes the oldest of those if there are too
// many. It looks at them only once in a while.
func (l *loop) makeRoom(c *Conn) {
	most := max(l.cfg.MaxHeads/l.cfg.Loops, 1)
	if l.heads = append(l.heads, c); len(l.heads) < 2*most {
		return
	}
	l.heads = slices.DeleteFunc(l.heads, func(c *Conn) bool { return c.phase != inHead || c.fd < 0 })
	for len(l.heads) > most {
		l.cfg.Refused(NoHead)
		l.end(l.heads[0], ErrEnded)
		l.heads = slices.Delete(l.heads, 0, 1)
	}
}

func (l *loop) event(e unix.EpollEvent) {
	c := l.conn(e.Fd)
	if c == nil {
		return
	}
	if e.Events&unix.EPOLLOUT != 0 {
		l.write(c)
	}
	if e.Events&^unix.EPOLLOUT != 0 && l.conn(e.Fd) == c {
		l.read(c, int(e.Fd))
	}
}

func (l *loop) read(c *Conn, fd int) {
	n, err := receive(fd, l.buf)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR:
		return
	case err != 0, n == 0:
		l.end(c, ErrEnded)
		return
	}
	c.heard = true
	l.taken += n
	b := l.buf[:n]
	if l.cfg.TLS == nil {
		l.hear(c, b)
	} else if v := l.veil(c); v != nil {
		l.decrypt(c, v, b)
	} else {
		l.knock(c, b)
	}
}

// hear takes what a client says.
func (l *loop) hear(c *Conn, b []byte) {
	if c.phase == inHead {
		l.readHead(c, b)
		return
	}
	l.feed(c, b)
}

// feed takes what came on a WebSocket.
func (l *loop) feed(c *Conn, b []byte) {
	theirs := false
	flood := false
	var r reader
	if c.unfinished != nil {
		r = c.unfinished.reader
	}
	wrong := r.feed(b, int(c.most), func(op byte, payload []byte) bool {
		if op >= opClose {
			if c.controls++; c.controls > maxControls {
				flood = true
				return false
			}
		}
		switch op {
		case opClose:
			theirs = true
			return false
		case opPing:
			c.queue(func(pending []byte) []byte { return appendFrame(pending, opPong, payload) }, false)
		case opText, opBinary:
			if c.phase == open && !c.hasEnded() {
				c.client.Message(op == opText, payload)
			}
		}
		return true
	})
	switch {
	case r.empty():
		c.unfinished = nil
	case c.unfinished == nil:
		c.unfinished = &unfinished{reader: r}
	default:
		c.unfinished.reader = r
	}
	switch {
	case flood, wrong == PolicyViolation: // and would go on while we wait for a close
		c.fault = flooded
		c.End(PolicyViolation, ErrFlood.Error())
		l.write(c)
		l.end(c, ErrFlood)
	case theirs:
		c.End(NormalClosure, "") // unless we began
		c.phase, c.since = ending, moment(l.nowMs)
		l.write(c)
	case wrong != 0 && c.phase == open:
		c.fault = brokeRules
		if wrong == MessageTooBig {
			c.fault = sentTooMuch
		}
		c.End(wrong, faults[c.fault].Error())
		l.write(c)
	case wrong != 0:
		c.unfinished = nil // whatever it says now
	}
}

// write writes what is pending, and draws the consequences.
func (l *loop) write(c *Conn) {
	if c.fd < 0 {
		return
	}
	done, err := c.flush(c.phase == ending && c.client != nil) // a client that said goodbye; whoever else still says something
	if err != nil {
		l.end(c, err)
		return
	}
	switch {
	case !done && !c.stalled:
		c.stalled, c.stuck = true, moment(l.nowMs)
		l.watch(c, unix.EPOLLIN|unix.EPOLLOUT)
		l.appointEarlier(c, l.nowMs+l.cfg.WriteTimeout.Milliseconds())
	case done && c.stalled:
		c.stalled = false
		l.watch(c, unix.EPOLLIN)
	}
	switch {
	case done && c.phase == ending:
		l.end(c, ErrEnded)
	case c.phase == open && c.hasEnded(): // wait for their close
		c.phase, c.unfinished, c.since = closing, nil, moment(l.nowMs)
		l.appointEarlier(c, l.nowMs+l.cfg.WriteTimeout.Milliseconds())
	}
}

func (l *loop) watch(c *Conn, events uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		unix.EpollCtl(l.epfd, unix.EPOLL_CTL_MOD, int(c.fd), &unix.EpollEvent{Events: events, Fd: c.fd}) //nolint:errcheck // it is in there
	}
}

// end closes a connection without another word.
func (l *loop) end(c *Conn, why error) {
	fd := c.shut()
	if fd < 0 {
		return
	}
	l.forget(fd)
	hangUp(fd)
	if c.client != nil {
		c.client.Closed(cmp.Or(faults[c.fault], why))
	}
}

func (l *loop) closeAll() {
	for _, c := range l.conns {
		if c != nil {
			l.end(c, ErrStopped)
		}
	}
}
