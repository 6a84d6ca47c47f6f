//go:build linux

package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// enough is how many neighbours a viewer shall have.
const enough = 6

// viewers is many clients in one thread. They do as browsers do: connect, ask for a WebSocket, wait for the answer,
// join, listen, close. They signal nothing and report nothing.
type viewers struct {
	to      unix.SockaddrInet4
	channel func(n int) string
	hold    time.Duration // from the join to the close
	report  bool          // each reports when it is welcome
	spread  bool          // each says that it is somewhere else (X-Forwarded-For)

	epfd    int
	conns   []*viewer // by descriptor
	live    int       // of them
	joined  []*viewer // in the order of their joins, which is that of their ends
	tokens  []string  // of the first viewers, made beforehand as a back end makes them elsewhere; those of others are made when they come
	buf     []byte
	begun   int // have connected
	results results
}

type viewer struct {
	fd         int
	n          int
	phase      byte // 0 connecting, 1 asked for a WebSocket, 2 joined, 3 welcome, 4 has a neighbour, 5 closes
	rest       []byte
	begunAt    time.Time
	joinedAt   time.Time
	neighbours int
	bytes      int // of its join, both ways, until it had six
}

// results is what happened to all of them.
type results struct {
	welcomed   int
	refused    int // by an error message, an HTTP status, or a closed connection before the welcome
	lost       int // closed by the tracker later
	why        map[string]int
	sinceJoin  []time.Duration // to the first neighbour
	sinceBegin []time.Duration // … from the first packet on
	neighbours []int           // when they left
	joinBytes  []int           // from the join to the sixth neighbour, both ways
	handshake  int64           // bytes of all handshakes, both ways
	lag        time.Duration   // the longest that this thread was away from its descriptors
}

func newViewers(address string, hold time.Duration, channel func(n int) string) (*viewers, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &viewers{
		to: unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, channel: channel, hold: hold,
		epfd: epfd, buf: make([]byte, 64<<10), results: results{why: map[string]int{}},
	}, nil
}

func (vs *viewers) close() {
	for _, v := range vs.conns {
		if v != nil {
			hangUp(v.fd)
		}
	}
	unix.Close(vs.epfd)
}

// begin connects one more, from one of many addresses because of the ports.
func (vs *viewers) begin(now time.Time) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("no socket for viewer %d: %w", vs.begun, err)
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) //nolint:errcheck // then there are fewer ports
	from := unix.SockaddrInet4{Addr: [4]byte{127, 0, 1 + byte(vs.begun>>8&0x3f), byte(vs.begun)}}
	vs.begun++
	if err := unix.Bind(fd, &from); err != nil {
		return err
	}
	if err := unix.Connect(fd, &vs.to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	v := &viewer{fd: fd, n: vs.begun, begunAt: now}
	for len(vs.conns) <= fd {
		vs.conns = append(vs.conns, nil)
	}
	vs.conns[fd] = v
	vs.live++
	events := uint32(unix.EPOLLOUT)
	if vs.ask(v) { // on loopback it is connected by now, unless the backlog is full
		events = unix.EPOLLIN
	}
	return unix.EpollCtl(vs.epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// at is who has a descriptor; nil if nobody has.
func (vs *viewers) at(fd int) *viewer {
	if fd >= len(vs.conns) {
		return nil
	}
	return vs.conns[fd]
}

// mint makes the tokens of those who come at a rate. Each is as old as the rush is long when it is shown, so that their ends are
// as far apart as they are: the tracker remembers used tokens by their end. None may be older than a token lives.
func (vs *viewers) mint(rate int, length time.Duration) {
	length = min(length, 90*time.Second)
	from := time.Now().Add(-length)
	for i := range int(float64(rate) * length.Seconds()) {
		vs.tokens = append(vs.tokens, token(i+1, vs.channel(i+1), from.Add(time.Duration(i)*time.Second/time.Duration(rate))))
	}
}

// turn serves what has happened, and ends those whose time is over as long as others come.
func (vs *viewers) turn(events []unix.EpollEvent, waitMs int, come bool) {
	n := happened(vs.epfd, events, waitMs)
	now := time.Now()
	for _, e := range events[:n] {
		v := vs.at(int(e.Fd))
		if v == nil {
			continue
		}
		switch {
		case v.phase > 0:
			vs.read(v)
		case vs.ask(v):
			unix.EpollCtl(vs.epfd, unix.EPOLL_CTL_MOD, v.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: e.Fd}) //nolint:errcheck // it is in there
		default:
			vs.end(v, "not connected")
		}
	}
	for come && len(vs.joined) > 0 && now.Sub(vs.joined[0].joinedAt) >= vs.hold {
		vs.leave(vs.joined[0])
		vs.joined = vs.joined[1:]
	}
	vs.results.lag = max(vs.results.lag, time.Since(now))
}

// upgrade asks for a WebSocket, and shows a token.
func upgrade(dst []byte, token string) []byte {
	dst = append(dst, "GET /tracker HTTP/1.1\r\nHost: tracker.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: slipstream, "...)
	return append(append(dst, token...), "\r\n\r\n"...)
}

const joinMessage = `{"type":"join","version":1,"role":"viewer","renditions":["720p"],"noUpload":false,"uplinkBps":0}`

const reportMessage = `{"type":"report","ready":true,"neighbours":10,"renditions":["720p"],"uplinkBps":5000000,"httpBytes":1000000,"p2pBytes":90000000}`

// ask asks for a WebSocket; false if the connection is not there yet.
func (vs *viewers) ask(v *viewer) bool {
	shown := ""
	if v.n <= len(vs.tokens) {
		shown = vs.tokens[v.n-1]
	} else {
		shown = token(v.n, vs.channel(v.n), time.Now())
	}
	request := upgrade(vs.buf[:0], shown)
	if vs.spread { // 40 ISPs with 256 networks each
		from := netip.AddrFrom4([4]byte{11, byte(v.n % 40), byte(v.n / 40), 1 + byte(v.n/10240)})
		request = fmt.Appendf(request[:len(request)-2], "X-Forwarded-For: %s\r\n\r\n", from)
	}
	if send(v.fd, request) < len(request) {
		return false
	}
	v.phase = 1
	vs.results.handshake += int64(len(request))
	return true
}

func (vs *viewers) join(v *viewer) {
	v.phase, v.joinedAt = 2, time.Now()
	vs.joined = append(vs.joined, v)
	b := joinFrame
	v.bytes = len(b)
	vs.write(v, b)
}

var (
	joinFrame  = frame(0x81, []byte(joinMessage))
	closeFrame = frame(0x88, []byte{0x03, 0xe9})
)

// frame is a client's frame of at most 64 KiB. Its mask is 0, which is a mask as any other.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	if len(payload) < 126 {
		b = append(b, 0x80|byte(len(payload)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func (vs *viewers) write(v *viewer, b []byte) {
	if send(v.fd, b) < len(b) {
		vs.end(v, "the socket takes nothing")
	}
}

func (vs *viewers) read(v *viewer) {
	n, err := receive(v.fd, vs.buf)
	if err == unix.EAGAIN {
		return
	}
	if err != 0 || n == 0 {
		vs.end(v, "closed")
		return
	}
	b := vs.buf[:n]
	if len(v.rest) > 0 {
		b = append(v.rest, b...)
		v.rest = nil
	}
	if v.phase == 1 {
		i := bytes.Index(b, []byte("\r\n\r\n"))
		if i < 0 {
			v.rest = bytes.Clone(b)
			return
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101 ")) {
			vs.end(v, string(b[:min(len(b), 40)]))
			return
		}
		vs.results.handshake += int64(i + 4)
		b = b[i+4:]
		vs.join(v)
	}
	for len(b) >= 2 {
		size, at := int(b[1]), 2
		if size == 126 {
			if len(b) < 4 {
				break
			}
			size, at = int(binary.BigEndian.Uint16(b[2:])), 4
		}
		if len(b) < at+size {
			break
		}
		v.bytes += at + size
		vs.hear(v, b[0], b[at:at+size])
		b = b[at+size:]
	}
	if len(b) > 0 && vs.at(v.fd) == v {
		v.rest = bytes.Clone(b)
	}
}

var kinds = struct{ welcome, neighbour, gone, failure []byte }{
	[]byte(`{"type":"welcome"`), []byte(`{"type":"neighbour"`), []byte(`{"type":"gone"`), []byte(`{"type":"error"`),
}

func (vs *viewers) hear(v *viewer, first byte, payload []byte) {
	r := &vs.results
	switch {
	case first == 0x89: // ping
		vs.write(v, frame(0x8a, payload))
	case first != 0x81 || v.phase == 5:
	case bytes.HasPrefix(payload, kinds.welcome):
		v.phase = 3
		r.welcomed++
		if vs.report {
			vs.write(v, frame(0x81, []byte(reportMessage)))
		}
	case bytes.HasPrefix(payload, kinds.neighbour):
		if v.neighbours++; v.phase == 3 {
			v.phase = 4
			now := time.Now()
			r.sinceJoin = append(r.sinceJoin, now.Sub(v.joinedAt))
			r.sinceBegin = append(r.sinceBegin, now.Sub(v.begunAt))
		}
		if v.neighbours == enough && v.bytes > 0 {
			r.joinBytes = append(r.joinBytes, v.bytes)
			v.bytes = -1 << 40 // counted
		}
	case bytes.HasPrefix(payload, kinds.gone):
		v.neighbours--
	case bytes.HasPrefix(payload, kinds.failure):
		r.why[string(payload)]++
	}
}

// leave closes as a browser does.
func (vs *viewers) leave(v *viewer) {
	if vs.at(v.fd) != v {
		return
	}
	vs.results.neighbours = append(vs.results.neighbours, v.neighbours)
	v.phase = 5
	vs.write(v, closeFrame)
}

// leaveAll ends everybody who is left.
func (vs *viewers) leaveAll() {
	for _, v := range vs.joined {
		vs.leave(v)
	}
	vs.joined = nil
}

func (vs *viewers) end(v *viewer, why string) {
	if vs.at(v.fd) != v {
		return
	}
	vs.conns[v.fd] = nil
	vs.live--
	hangUp(v.fd)
	switch {
	case v.phase < 3:
		vs.results.refused++
	case v.phase < 5:
		vs.results.lost++
	default:
		return
	}
	vs.results.why[why]++
}
