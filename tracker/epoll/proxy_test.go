//go:build linux

package epoll

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

// announced is a header of the PROXY protocol.
func announced(t testing.TB, version byte, command proxyproto.ProtocolVersionAndCommand, from string) []byte {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.9:443")))
	if netip.MustParseAddrPort(from).Addr().Is6() {
		h = proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from)), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("[2001:db8::9]:443")))
	}
	h.Command = command
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// behindOne serves a terminator on loopback, and says who came.
func behindOne(t *testing.T) (s *site, came chan string) {
	came = make(chan string, 16)
	return serve(t, func(c *Config) {
		c.Terminators = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		open := c.Paths["/echo"]
		c.Paths["/echo"] = func(r *http.Request, conn *Conn) (Client, *Refusal) {
			came <- r.RemoteAddr
			return open(r, conn)
		}
	}), came
}

func TestATerminatorTellsWhomItSpeaksFor(t *testing.T) {
	s, came := behindOne(t)
	for name, c := range map[string]struct {
		header []byte
		want   string // "" is itself
	}{
		"version 1":            {announced(t, 1, proxyproto.PROXY, "198.51.100.7:40000"), "198.51.100.7:40000"},
		"version 1, IPv6":      {announced(t, 1, proxyproto.PROXY, "[2001:db8::7]:40000"), "[2001:db8::7]:40000"},
		"version 2":            {announced(t, 2, proxyproto.PROXY, "198.51.100.7:40000"), "198.51.100.7:40000"},
		"version 2, IPv6":      {announced(t, 2, proxyproto.PROXY, "[2001:db8::7]:40000"), "[2001:db8::7]:40000"},
		"version 1, of nobody": {[]byte("PROXY UNKNOWN\r\n"), ""},
		"version 2, its own":   {[]byte(string(proxyproto.SIGV2) + "\x20\x00\x00\x00"), ""},
	} {
		for _, pieces := range []int{1, 1 << 20} {
			conn := s.dial()
			want := c.want
			if want == "" {
				want = conn.LocalAddr().String()
			}
			for all := append(bytes.Clone(c.header), request("/echo")...); len(all) > 0; {
				n := min(pieces, len(all))
				conn.write(all[:n])
				all = all[n:]
			}
			conn.answer()
			conn.wants("1welcome")
			if got := <-came; got != want {
				t.Errorf("%s: %s came, want %s", name, got, want)
			}
			conn.Close()
		}
	}
}

func TestATerminatorMustTell(t *testing.T) {
	s, _ := behindOne(t)
	for _, begins := range []string{
		request("/echo"), "PROXY TCP4 nobody 192.0.2.9 1 443\r\n" + request("/echo"), "PROXY " + strings.Repeat("x", maxProxyLine),
		string(proxyproto.SIGV2) + "\x21\x11\xff\xff", string(proxyproto.SIGV2) + "\x21\x11\x00\x01x",
	} {
		conn := s.dial()
		conn.write([]byte(begins))
		if got := conn.next(); got != "EOF" && !strings.Contains(got, "reset") {
			t.Errorf("%.40q: %q", begins, got)
		}
	}
	s.turnedAway(BadRequest, 5)
}

func TestOthersCannotTellWhoTheyAre(t *testing.T) {
	s := serve(t, func(c *Config) { c.Terminators = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	c := s.dial()
	c.write(append(announced(t, 1, proxyproto.PROXY, "198.51.100.7:40000"), request("/echo")...))
	if resp, body := c.answer(); resp.StatusCode != 400 {
		t.Errorf("%s, %q", resp.Status, body)
	}
}

func TestTheHTTPServerHearsWhoItIsToo(t *testing.T) {
	s, _ := behindOne(t)
	c := s.dial()
	c.write(append(announced(t, 2, proxyproto.PROXY, "198.51.100.7:40000"), "GET /who HTTP/1.1\r\nHost: x\r\n\r\n"...))
	if resp, body := c.answer(); resp.StatusCode != 200 || resp.Header.Get("From") != "198.51.100.7:40000" {
		t.Errorf("%s, %v, %q", resp.Status, resp.Header, body)
	}
}

// FuzzProxy holds that what is read does not depend on how it comes in pieces, and does not reach beyond what there is.
func FuzzProxy(f *testing.F) {
	f.Add(announced(f, 1, proxyproto.PROXY, "198.51.100.7:40000"), 3)
	f.Add(announced(f, 2, proxyproto.PROXY, "[2001:db8::7]:40000"), 20)
	f.Add([]byte("PROXY UNKNOWN\r\nGET /"), 14)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		client, size, err := readProxy(b)
		if size < 0 || size > len(b) || size > maxProxy || err != nil && (size != 0 || client.IsValid()) {
			t.Fatalf("%d bytes of %d, %v, %v", size, len(b), client, err)
		}
		if size == 0 || cut < 0 || cut > len(b) {
			return
		}
		again, part, err := readProxy(b[:cut])
		if cut < size && (part != 0 || err != nil) || cut >= size && (part != size || again != client) {
			t.Fatalf("of %d bytes: %v, %d, %v; of %d: %v, %d", cut, again, part, err, len(b), client, size)
		}
	})
}
