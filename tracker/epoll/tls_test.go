//go:build linux

package epoll

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// withTLS is a configuration's change.
func withTLS(c *Config) {
	own := httptest.NewUnstartedServer(nil)
	own.StartTLS()
	own.Close()
	c.TLS = own.TLS
}

var trusting = &tls.Config{InsecureSkipVerify: true}

// over makes a client one behind TLS.
func (c *conn) over(cfg *tls.Config) *conn {
	secure := tls.Client(c.Conn, cfg)
	return &conn{secure, bufio.NewReader(secure), c.t}
}

// pieces is a network that passes on few bytes at a time.
type pieces struct {
	net.Conn
	most int
}

func (p pieces) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var more int
		more, err = p.Conn.Write(b[n:min(n+p.most, len(b))])
		n += more
	}
	return n, err
}

func (c *conn) converses() {
	c.t.Helper()
	c.write([]byte(request("/echo")))
	c.answer()
	long := strings.Repeat("x", 900)
	c.wants("1welcome")
	c.write(bytes.Join([][]byte{frame(opText, true, "one"), frame(opPing, true, "?"), frame(opText, false, "tw"), frame(opContinuation, true, "o"), frame(opText, true, long)}, nil))
	c.wants("1one", ":?", "1two", "1"+long)
	for _, b := range frame(opText, true, "a record for each byte") {
		c.write([]byte{b})
	}
	c.wants("1a record for each byte")
}

func TestAConversationOverTLS(t *testing.T) {
	s := serve(t, withTLS)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, most := range []int{1, 7, 1 << 20} {
			c := s.dial()
			c.Conn = pieces{c.Conn, most}
			c = c.over(&tls.Config{InsecureSkipVerify: true, MaxVersion: version})
			c.converses()
			c.write(frame(opClose, true, "\x03\xe8"))
			c.wants("8\x03\xe8", "EOF") // which is a close_notify: without one it would be unexpected
			s.ends(ErrEnded)
		}
	}
}

func TestWhoComesAgainResumes(t *testing.T) {
	s := serve(t, withTLS)
	cfg := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "x"}
	for i := range 3 {
		c := s.dial().over(cfg)
		c.converses()
		if resumed := c.Conn.(*tls.Conn).ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed %v", i, resumed)
		}
	}
}

func TestBigFramesAreManyRecords(t *testing.T) {
	s := serve(t, func(c *Config) {
		withTLS(c)
		c.MaxMessage = 60_000
	})
	c := s.dial().over(trusting)
	c.write([]byte(request("/echo")))
	c.answer()
	c.wants("1welcome")
	long := strings.Repeat("0123456789", 6000)
	c.write(frame(opText, true, long))
	c.wants("1" + long)
}

func TestWhoGoesByTLSIsGone(t *testing.T) {
	s := serve(t, withTLS)
	c := s.dial().over(trusting)
	c.converses()
	c.Conn.(*tls.Conn).CloseWrite()
	s.ends(ErrEnded)
}

func TestOtherRequestsAreAnsweredOverTLS(t *testing.T) {
	s := serve(t, withTLS)
	c := s.dial()
	from := c.LocalAddr().String()
	c = c.over(trusting)
	for range 2 { // on one connection
		c.write([]byte("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"))
		c.write([]byte("cde"))
		if resp, body := c.answer(); resp.StatusCode != 200 || body != "POST /echo 5 <nil>" || resp.Header.Get("From") != from {
			t.Errorf("%s, %q, %v", resp.Status, body, resp.Header)
		}
	}
	c = s.dial().over(trusting)
	c.write([]byte(request("/no")))
	if resp, body := c.answer(); resp.StatusCode != 503 || body != "No place is left.\n" {
		t.Errorf("%s, %q", resp.Status, body)
	}
	c.wants("EOF")
}

func TestATerminatorMayPassTLSOn(t *testing.T) {
	s := serve(t, func(c *Config) {
		withTLS(c)
		c.Terminators = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	for _, most := range []int{1, 1 << 20} {
		c := s.dial()
		c.Conn = pieces{c.Conn, most}
		c.write(announced(t, 2, proxyproto.PROXY, "198.51.100.7:40000"))
		c = c.over(trusting)
		c.write([]byte("GET /who HTTP/1.1\r\nHost: x\r\n\r\n"))
		if resp, body := c.answer(); resp.StatusCode != 200 || resp.Header.Get("From") != "198.51.100.7:40000" {
			t.Errorf("%s, %v, %q", resp.Status, resp.Header, body)
		}
	}
}

func TestWhoSpeaksNoTLSIsTurnedAway(t *testing.T) {
	s := serve(t, withTLS)
	c := s.dial()
	c.write([]byte(request("/echo")))
	if resp, body := c.answer(); resp.StatusCode != 400 || !strings.Contains(body, "HTTPS") {
		t.Errorf("%s, %q", resp.Status, body)
	}
	for _, begins := range []string{"\x16\x03\x01\x00\x05hello", "\x16\x03\x01\xff\xff", "\x17\x03\x03\x00\x01x", "\x80\x2e\x01\x00\x02xx", "\x16\x03\x01\x40\x00" + strings.Repeat("\x01", 40_000)} {
		c := s.dial()
		c.Write([]byte(begins))
		for err := error(nil); err == nil; {
			_, err = c.in.ReadByte() // an alert, perhaps
			if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
				t.Errorf("%.10q is not turned away", begins)
			}
		}
	}
	s.turnedAway(BadRequest, 6)
}

// hello is what a client says first.
func hello() []byte {
	said := &listener{}
	tls.Client(said, trusting).Handshake()
	return said.Bytes()
}

// listener is a network without anybody.
type listener struct {
	net.Conn
	bytes.Buffer
}

func (l *listener) Write(b []byte) (int, error) { return l.Buffer.Write(b) }
func (l *listener) Read([]byte) (int, error)    { return 0, net.ErrClosed }

func TestWhoStopsInAHandshakeIsClosed(t *testing.T) {
	s := serve(t, func(c *Config) {
		withTLS(c)
		c.HandshakeTimeout = 50 * time.Millisecond
	})
	h := hello()
	for _, part := range [][]byte{nil, h[:3], h[:len(h)-1], h} {
		c := s.dial()
		c.write(part)
		for err := error(nil); err == nil; {
			_, err = c.in.ReadByte()
			if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
				t.Errorf("after %d bytes of a hello nobody is closed", len(part))
			}
		}
	}
	s.turnedAway(NoHead, 4)
}

func TestManyHandshakesLockNobodyOut(t *testing.T) {
	s := serve(t, func(c *Config) {
		withTLS(c)
		c.MaxHeads, c.Loops = 4, 1
	})
	h := hello()
	for range 3 * maxHellos {
		s.dial().write(h)
	}
	s.dial().over(trusting).converses()
}

func TestATamperedRecordEndsAConnection(t *testing.T) {
	s := serve(t, withTLS)
	c := s.dial()
	raw := c.Conn
	c = c.over(trusting)
	c.converses()
	raw.Write([]byte("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32)))
	s.ends(ErrEnded)
}

func TestWhoDoesNotReadOverTLSIsClosed(t *testing.T) {
	s := serve(t, func(c *Config) {
		withTLS(c)
		c.MaxPending, c.WriteTimeout = 1<<20, 200*time.Millisecond
	})
	c := s.dial()
	c.Conn.(*net.TCPConn).SetReadBuffer(4096)
	c = c.over(trusting)
	c.converses()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		shout := frame(opText, true, strings.Repeat("!", 900))
		for {
			if _, err := c.Write(shout); err != nil {
				return
			}
		}
	}()
	s.ends(ErrSlow)
	c.Close()
	<-ended
}

// Who reads late gets everything, in order.
func TestWhatWaitsBehindTLSComes(t *testing.T) {
	s := serve(t, func(c *Config) {
		withTLS(c)
		c.MaxPending = 64 << 20
	})
	c := s.dial()
	c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	c = c.over(trusting)
	c.converses()
	const shouts = 6
	answer := strings.Repeat("!", 900)
	for range shouts {
		c.write(frame(opText, true, answer))
	}
	for range shouts * 901 {
		c.wants("1" + answer)
	}
}

// FuzzFirstRecord holds that it does not depend on how a hello comes in pieces when a handshake begins, and that it begins before
// more is kept than a record may be.
func FuzzFirstRecord(f *testing.F) {
	h := hello()
	f.Add(h, 3)
	f.Add(h, len(h)-1)
	f.Add([]byte("GET / HTTP/1.1"), 4)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		if cut >= 0 && cut <= len(b) && firstRecord(b[:cut]) && !firstRecord(b) {
			t.Fatalf("%d bytes of %x are all of it, and more are not", cut, b)
		}
		if len(b) >= maxRecord && !firstRecord(b) {
			t.Fatalf("%d bytes are not enough", len(b))
		}
	})
}
