package epoll

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
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

	mu       sync.Mutex
	arrivals []arrival
	queued   []*Conn // have something pending
	waiting  []*Conn // have something pending that may wait
	untilMs  int64   // … until then
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
	l.queued = append(l.queued, c)
	l.wake()
}

// gather has the loop write what a connection has pending when the time to wait is over, which begins with the first one.
func (l *loop) gather(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.untilMs = time.Now().Add(l.cfg.Gather).UnixMilli()
		l.wake() // to set the alarm
	}
	l.waiting = append(l.waiting, c)
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
			c.gathered()
			l.write(c)
		}
		if stopped {
			l.closeAll()
			return
		}
		n := 0
		err := l.poll.Read(func(uintptr) bool {
			n, _ = unix.EpollWait(l.epfd, events, 0) // EINTR is as good as nothing
			return n > 0
		})
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			l.cfg.Log.Error("a loop of connections ended", "error", err)
			l.closeAll()
			return
		}
		begun := time.Now()
		l.nowMs = begun.UnixMilli()
		for _, e := range events[:max(n, 0)] {
			l.event(e)
		}
		l.wheel.advance(l.nowMs, l.look)
		if n+len(arrivals) > 0 {
			time.Sleep(breath - time.Since(begun))
		}
	}
}

// inbox takes what others left, and sets the alarm.
func (l *loop) inbox() (arrivals []arrival, queued, gathered []*Conn, stopped bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	arrivals, queued, stopped = l.arrivals, l.queued, l.stopped
	l.arrivals, l.queued, l.woken = nil, nil, false
	alarmMs := l.wheel.nextMs()
	switch {
	case len(l.waiting) == 0:
	case l.nowMs >= l.untilMs:
		gathered, l.waiting = l.waiting, nil
	default:
		alarmMs = min(alarmMs, l.untilMs)
	}
	l.epoll.SetReadDeadline(time.UnixMilli(alarmMs)) //nolint:errcheck // newLoop tried it
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
	n, err := unix.Read(fd, l.buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return
	case err != nil, n <= 0:
		l.end(c, ErrEnded)
		return
	}
	c.heard = true
	b := l.buf[:n]
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
	done, err := c.flush()
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
	l.conns[l.place(int32(fd))] = nil
	unix.Close(fd)
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

// at is when a moment is.
func (l *loop) at(m moment) int64 { return l.nowMs + int64(int32(m-moment(l.nowMs))) }

// appoint looks at a connection again at a time.
func (l *loop) appoint(c *Conn, atMs int64) {
	c.appointment++
	c.check = moment(atMs)
	l.wheel.set(entry{c.fd, c.appointment}, atMs)
}

func (l *loop) appointEarlier(c *Conn, atMs int64) {
	if atMs < l.at(c.check) {
		l.appoint(c, atMs)
	}
}

// look keeps an appointment.
func (l *loop) look(e entry) {
	c := l.conn(e.fd)
	if c == nil || c.appointment != e.appointment {
		return
	}
	if l.nowMs >= l.at(c.check) && !l.check(c) {
		return
	}
	l.appoint(c, max(l.at(c.check), l.nowMs+1))
}

// check looks what time it is for a connection, and sets when to look again. False: it is closed.
func (l *loop) check(c *Conn) bool {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	patience, interval := ms(l.cfg.WriteTimeout), ms(l.cfg.PingInterval)
	stuckMs := int64(0)
	if c.stalled {
		stuckMs = l.at(c.stuck)
	}
	if c.phase != open {
		if c.phase == inHead {
			patience = ms(l.cfg.HandshakeTimeout)
		}
		endMs := max(l.at(c.since), stuckMs) + patience
		c.check = moment(endMs)
		if l.nowMs >= endMs {
			if c.phase == inHead {
				l.cfg.Refused(NoHead)
			}
			l.end(c, ErrEnded)
			return false
		}
		return true
	}
	if c.stalled && l.nowMs >= stuckMs+patience {
		l.end(c, ErrSlow)
		return false
	}
	overdueMs := l.at(c.since) + ms(l.cfg.OpenTimeout)
	if !c.awaited && l.nowMs >= overdueMs {
		c.awaited = true
		c.client.Overdue()
	}
	if !c.heard && l.nowMs >= l.at(c.asked)+patience {
		l.end(c, ErrVanished)
		return false
	}
	if l.nowMs >= l.at(c.pinged)+interval {
		if c.pinged = moment(l.nowMs); c.heard {
			c.asked, c.heard = c.pinged, false
		}
		c.controls = 0
		c.client.Pinging()
		c.queue(func(pending []byte) []byte { return appendFrame(pending, opPing, nil) }, false)
	}
	checkMs := l.at(c.pinged) + interval
	if !c.heard {
		checkMs = min(checkMs, l.at(c.asked)+patience)
	}
	if !c.awaited {
		checkMs = min(checkMs, overdueMs)
	}
	if c.stalled {
		checkMs = min(checkMs, stuckMs+patience)
	}
	c.check = moment(checkMs)
	return true
}

// readHead takes a part of the request's head, and answers it once it is complete.
func (l *loop) readHead(c *Conn, b []byte) {
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
	size := headEnd(b)
	if size == 0 {
		if len(b) > maxHead {
			l.turnAway(c, BadRequest, Refusal{Status: 431, Sentence: "The head of this request is too large."})
			return
		}
		if !ours {
			b = bytes.Clone(b)
		}
		head.rest = b
		return
	}
	c.unfinished = nil
	r, err := parseHead(b[:size], l.lines)
	if err != nil {
		l.turnAway(c, BadRequest, Refusal{Status: 400, Sentence: "This is no HTTP request."})
		return
	}
	opening := l.cfg.Paths[r.URL.Path]
	if opening == nil || !wantsWebSocket(r) {
		if l.cfg.Known != nil && !l.cfg.Known(r) {
			l.turnAway(c, NotFound, Refusal{Status: 404, Sentence: "There is nothing here."})
			return
		}
		l.giveAway(c, head.remote, bytes.Clone(b))
		return
	}
	accept, ok := acceptKey(r)
	if !ok {
		l.turnAway(c, BadRequest, Refusal{Status: 400, Sentence: "This WebSocket has no key, or another version than 13."})
		return
	}
	r.RemoteAddr = head.remote.String()
	client, no := opening(r, c)
	if no != nil {
		l.refuse(c, *no)
		return
	}
	c.client, c.phase, c.heard = client, open, true
	c.since, c.pinged = moment(l.nowMs), moment(l.nowMs)
	l.appoint(c, l.nowMs+min(l.cfg.OpenTimeout, l.cfg.PingInterval).Milliseconds())
	protocol := ""
	if has(r.Header, "Sec-Websocket-Protocol", l.cfg.Subprotocol) {
		protocol = l.cfg.Subprotocol
	}
	c.switchProtocols(accept, protocol)
	if rest := b[size:]; len(rest) > 0 {
		l.feed(c, rest)
	}
}

// switchProtocols puts the answer before whatever the client's owner had to say already.
func (c *Conn) switchProtocols(accept, protocol string) {
	b := emptyBuffer()
	*b = appendSwitch(*b, accept, protocol)
	c.mu.Lock()
	if early := c.pending; early != nil {
		*b = append(*b, *early...)
		buffers.Put(early)
	}
	c.pending = b
	tell := !c.queued
	c.queued = true
	c.mu.Unlock()
	if tell {
		c.loop.enqueue(c)
	}
}

// readProxy takes what a terminator tells, and returns what comes after it.
func (l *loop) readProxy(c *Conn, b []byte) []byte {
	client, size, err := readProxy(b)
	switch {
	case err != nil:
		l.cfg.Refused(BadRequest)
		l.end(c, ErrEnded)
	case size == 0:
		c.unfinished.rest = bytes.Clone(b)
	default:
		if client.IsValid() {
			c.unfinished.remote = client
		}
		c.unfinished.behind, c.unfinished.rest = false, nil
	}
	return b[size:]
}

// turnAway refuses who is no client's business.
func (l *loop) turnAway(c *Conn, why string, no Refusal) {
	l.cfg.Refused(why)
	l.refuse(c, no)
}

func (l *loop) refuse(c *Conn, no Refusal) {
	c.phase = ending
	c.mu.Lock()
	c.queued = true // it is written here and now
	c.mu.Unlock()
	c.queue(func(pending []byte) []byte { return appendRefusal(pending, no) }, true)
	l.write(c)
}

// giveAway hands a connection over to the HTTP server.
func (l *loop) giveAway(c *Conn, remote netip.AddrPort, begun []byte) {
	fd := c.shut()
	l.conns[l.place(int32(fd))] = nil
	unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, fd, nil) //nolint:errcheck // it is in there
	l.server.rest.give(fd, remote, begun)
}
