//go:build linux

package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// attacker is a program that does harm until its time is over.
type attacker struct {
	to      unix.SockaddrInet4
	address string
	count   int // connections, where it holds some
	end     time.Time
	done    harm
	begun   int // connections
}

// harm is what an attacker has done, by its own count.
type harm struct {
	Tries     int            `json:"tries"`
	Rejected  int            `json:"rejected"`
	Held      int            `json:"heldAtMost,omitempty"`
	Sent      int64          `json:"bytesSent,omitempty"`
	Answers   map[string]int `json:"answers,omitempty"`
	PerToken  int            `json:"mostAddressesOfOneToken,omitempty"`
	Addresses int            `json:"addressesOfAllTokens,omitempty"`
}

// attacks are the programs by name. Those that knock send one request after the other as fast as one core makes them.
var attacks = map[string]func(*attacker){
	"nothing":    func(a *attacker) { time.Sleep(time.Until(a.end)) },
	"junk-bytes": knocking(func(int) []byte { return []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 junk\r\n\r\n") }),
	"junk-path": knocking(func(n int) []byte {
		return fmt.Appendf(nil, "GET /wp-login-%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", n)
	}),
	"junk-metrics":   knocking(func(int) []byte { return []byte("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") }),
	"junk-no-key":    knocking(func(int) []byte { return bytes.Replace(request("x", ""), []byte("Sec-WebSocket-Key"), []byte("X"), 1) }),
	"junk-token":     knocking(func(int) []byte { return request("rubbish.rubbish.rubbish", "") }),
	"one-network":    knocking(func(int) []byte { return request("x", "X-Forwarded-For: 100.127.0.1\r\n") }),
	"replayed-token": replay,
	"stolen-by-origin": knocking(func(n int) []byte {
		return request(sign(secret, "https://tv.example.com", n, channelID(0), time.Now()), "Origin: https://evil.example\r\n")
	}),
	"forged-by-key": knocking(func(n int) []byte {
		return request(sign(bytes.Repeat([]byte{8}, 32), "", n, channelID(0), time.Now()), "")
	}),
	"bogus": func(a *attacker) { a.hold(request("", ""), 0, nil) },
	"slow-head": func(a *attacker) {
		a.hold(nil, 100*time.Millisecond, request("", "X-Padding: "+strings.Repeat("x", 4000)+"\r\n"))
	},
	"idle-http":         func(a *attacker) { a.hold([]byte("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"), 0, nil) },
	"slow-frames":       slowFrames,
	"giant-frames":      giants,
	"endless-fragments": func(a *attacker) { a.flood(frame(0x01, []byte("x")), frame(0x00, nil)) },
	"endless-pings":     func(a *attacker) { a.flood(frame(0x89, nil), frame(0x89, nil)) },
	"harvest":           harvest,
	"sybils":            sybils,
}

// request asks for a WebSocket; without a token it shows none.
func request(token, more string) []byte {
	if token != "" {
		token = ", " + token
	}
	return fmt.Appendf(nil, "GET /tracker HTTP/1.1\r\nHost: tracker.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: slipstream%s\r\n%s\r\n", token, more)
}

func runAttacker(args []string) (any, error) {
	set := flags("attacker")
	kind := set.String("kind", "", "which")
	to := set.String("to", "", "address of the tracker")
	length := set.Duration("for", time.Second, "for how long")
	count := set.Int("count", 1000, "connections")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	attack := attacks[*kind]
	ap, err := netip.ParseAddrPort(*to)
	if err != nil || attack == nil || !ap.Addr().IsLoopback() {
		return nil, fmt.Errorf("%q against %q is no attack on a tracker of this machine", *kind, *to)
	}
	allFiles()
	a := &attacker{
		to: unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}, address: *to, count: *count, end: time.Now().Add(*length),
		done: harm{Answers: map[string]int{}},
	}
	attack(a)
	return a.done, nil
}

func (a *attacker) on() bool { return time.Now().Before(a.end) }

// connect opens one connection, from one of many addresses because of the ports; -1 if there is none to be had.
func (a *attacker) connect() int {
	a.begun++
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	patience := unix.Timeval{Sec: 1}
	from := unix.SockaddrInet4{Addr: [4]byte{127, 0, 64 + byte(a.begun>>8&0x3f), byte(a.begun)}}
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) //nolint:errcheck // then there are fewer ports
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience) //nolint:errcheck // then it waits
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience) //nolint:errcheck // likewise
	if unix.Bind(fd, &from) != nil || unix.Connect(fd, &a.to) != nil {
		unix.Close(fd)
		return -1
	}
	return fd
}

// heard notes an answer by its first line, or that there was none.
func (a *attacker) heard(fd int, buf []byte) (answer string) {
	n, err := unix.Read(fd, buf)
	switch line, _, _ := bytes.Cut(buf[:max(n, 0)], []byte("\r\n")); {
	case len(line) > 0:
		answer = string(line[:min(len(line), 60)])
	case err != nil:
		answer = err.Error()
	default:
		answer = "closed"
	}
	a.done.Answers[answer]++
	if !strings.HasPrefix(answer, "HTTP/1.1 101") && !errors.Is(err, unix.EAGAIN) {
		a.done.Rejected++
	}
	return answer
}

// knocking sends requests, many at a time so that it never waits, and hears what becomes of each.
func knocking(next func(n int) []byte) func(*attacker) {
	return func(a *attacker) {
		var fds [64]int
		buf := make([]byte, 4096)
		for a.on() {
			for i := range fds {
				if fds[i] = a.connect(); fds[i] >= 0 {
					unix.Write(fds[i], next(a.begun)) //nolint:errcheck // the answer tells
					a.done.Tries++
				}
			}
			for _, fd := range fds {
				if fd >= 0 {
					a.heard(fd, buf)
					unix.Close(fd)
				}
			}
		}
	}
}

// replay shows the token of one visit again and again.
func replay(a *attacker) {
	stolen := request(token(1, channelID(0), time.Now()), "")
	knocking(func(int) []byte { return stolen })(a)
}

// hold keeps as many connections as it can, each of which says first at once and then, a byte at a time, the rest; whoever is closed
// comes again.
func (a *attacker) hold(first []byte, every time.Duration, rest []byte) {
	type held struct{ fd, said int }
	var all []held
	buf := make([]byte, 4096)
	for a.on() {
		from := time.Now()
		for range min(a.count-len(all), 2000) {
			fd := a.connect()
			if fd < 0 {
				a.done.Answers["no connection"]++
				break
			}
			unix.Write(fd, first) //nolint:errcheck // it is seen below
			a.done.Tries++
			all = append(all, held{fd: fd})
		}
		kept := all[:0]
		for _, h := range all {
			n, _, err := unix.Recvfrom(h.fd, buf, unix.MSG_DONTWAIT)
			if ended := n == 0 && err == nil || err != nil && !errors.Is(err, unix.EAGAIN); ended || n > 0 && bytes.HasPrefix(buf, []byte("HTTP/1.1 4")) {
				a.done.Rejected++
				unix.Close(h.fd)
				continue
			}
			if h.said < len(rest) {
				unix.Write(h.fd, rest[h.said:h.said+1]) //nolint:errcheck // it is seen above
				h.said++
			}
			kept = append(kept, h)
		}
		all = kept
		a.done.Held = max(a.done.Held, len(all))
		time.Sleep(max(every, 20*time.Millisecond) - time.Since(from))
	}
}

// visit is a connection whose token was taken; -1 if there is none.
func (a *attacker) visit() int {
	fd := a.connect()
	if fd < 0 {
		return -1
	}
	a.done.Tries++
	unix.Write(fd, request(token(a.begun, channelID(0), time.Now()), "")) //nolint:errcheck // the answer tells
	if answer := a.heard(fd, make([]byte, 1024)); !strings.HasPrefix(answer, "HTTP/1.1 101") {
		unix.Close(fd)
		return -1
	}
	return fd
}

// slowFrames has visitors who say their join, as long as a message may be, byte by byte and as fast as that goes.
func slowFrames(a *attacker) {
	message := frame(0x81, []byte(strings.Replace(joinMessage, `{`, `{`+strings.Repeat(" ", 16_000), 1)))
	fds, said := make([]int, min(a.count, 200)), make([]int, min(a.count, 200))
	for i := range fds {
		fds[i] = a.visit()
	}
	for a.on() {
		for i, fd := range fds {
			if fd >= 0 {
				if _, err := unix.Write(fd, message[said[i]:said[i]+1]); err == nil {
					a.done.Sent++
				}
			}
			if said[i]++; said[i] == len(message) || fd < 0 {
				unix.Close(fd)
				fds[i], said[i] = a.visit(), 0
			}
		}
	}
}

// giants announces frames that nobody has room for, and begins them.
func giants(a *attacker) {
	message := append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<62), make([]byte, 32<<10)...)
	buf := make([]byte, 4096)
	for a.on() {
		fd := a.visit()
		if fd < 0 {
			continue
		}
		n, _ := unix.Write(fd, message)
		a.done.Sent += int64(max(n, 0))
		if _, err := unix.Read(fd, buf); err == nil {
			a.done.Rejected++
		}
		unix.Close(fd)
	}
}

// flood has sixteen visitors who send the same small frames without end, and read nothing.
func (a *attacker) flood(first, unit []byte) {
	chunk := bytes.Repeat(unit, 5000)
	type flooding struct {
		fd   int
		rest []byte // so that frames stay whole
	}
	visits := make([]flooding, 16)
	for i := range visits {
		visits[i].fd = -1
	}
	for a.on() {
		busy := false
		for i := range visits {
			v := &visits[i]
			if v.fd < 0 {
				if v.fd = a.visit(); v.fd < 0 {
					continue
				}
				unix.SetNonblock(v.fd, true) //nolint:errcheck // then it waits
				v.rest = first
			}
			n, err := unix.Write(v.fd, v.rest)
			switch {
			case errors.Is(err, unix.EAGAIN):
			case err != nil:
				a.done.Rejected++
				unix.Close(v.fd)
				v.fd = -1
			default:
				busy = true
				a.done.Sent += int64(n)
				if v.rest = v.rest[n:]; len(v.rest) == 0 {
					v.rest = chunk
				}
			}
		}
		if !busy {
			time.Sleep(time.Millisecond)
		}
	}
}
