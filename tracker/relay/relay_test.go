package relay

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/turn/v5"
	"go.uber.org/goleak"

	"slipstream/tracker/announce"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, change func(*Config)) *Relay {
	t.Helper()
	cfg := Config{Listen: "127.0.0.1:0"}
	if change != nil {
		change(&cfg)
	}
	r, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// dial is a TURN client with the credentials.
func dial(t *testing.T, s announce.ICEServer) *turn.Client {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(s.URLs[0], "turn:"), "?transport=udp")
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: address, TURNServerAddr: address, Username: s.Username, Password: s.Credential, Conn: socket,
		LoggerFactory: silence{}, RTO: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		socket.Close()
	})
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	return c
}

func allocate(t *testing.T, r *Relay) net.PacketConn {
	t.Helper()
	s, _ := r.TURN()
	line, err := dial(t, s).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	return line
}

// exchange sends until it arrives: the first packet brings the permission about.
func exchange(t *testing.T, from, to net.PacketConn, what string) {
	t.Helper()
	b := make([]byte, 2000)
	for range 50 {
		if _, err := from.WriteTo([]byte(what), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		to.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, sender, err := to.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) || err != nil && strings.Contains(err.Error(), "timeout") {
			continue
		}
		if err != nil || string(b[:n]) != what || sender.String() != from.LocalAddr().String() {
			t.Fatalf("%q of %v arrived, %v; want %q of %v", b[:n], sender, err, what, from.LocalAddr())
		}
		return
	}
	t.Fatalf("%q did not arrive", what)
}

func permit(t *testing.T, a, b net.PacketConn) {
	t.Helper()
	for from, to := range map[net.PacketConn]net.PacketConn{a: b, b: a} {
		if _, err := from.WriteTo([]byte("hello"), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTwoViewersReachEachOtherThroughTheRelay(t *testing.T) {
	r := start(t, nil)
	a, b := allocate(t, r), allocate(t, r)
	permit(t, a, b)
	drain(b)
	exchange(t, a, b, "from a")
	drain(a)
	exchange(t, b, a, strings.Repeat("x", 1200))
	if r.board.count() != 2 || r.board.relayed.Load() == 0 {
		t.Errorf("%d allocations, %d bytes", r.board.count(), r.board.relayed.Load())
	}
}

func drain(c net.PacketConn) {
	b := make([]byte, 2000)
	for {
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, _, err := c.ReadFrom(b); err != nil {
			return
		}
	}
}

// Nobody is reached through the relay but its allocations: not the machine it runs on, nor any other.
func TestItIsNoOpenRelay(t *testing.T) {
	r := start(t, nil)
	a := allocate(t, r)
	service, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	for range 5 { // the address is the relay's own, so the permission is given
		if _, err := a.WriteTo([]byte("let me in"), service.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	service.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, from, err := service.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes came through from %v", n, from)
	}
	for _, private := range []string{"10.0.0.1", "192.168.1.1", "127.0.0.2", "203.0.113.5"} {
		if _, err := a.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.ParseIP(private), Port: 53}); err == nil {
			t.Errorf("%s is permitted", private)
		}
	}
	if r.board.dropped.Load() == 0 {
		t.Error("nothing was counted as dropped")
	}
}

func TestCredentials(t *testing.T) {
	var nowMs atomic.Int64
	nowMs.Store(time.Now().UnixMilli())
	r := start(t, func(c *Config) { c.Now = func() time.Time { return time.UnixMilli(nowMs.Load()) } })
	good, end := r.TURN()
	other, _ := start(t, nil).TURN()
	for name, change := range map[string]func(*announce.ICEServer){
		"another password": func(s *announce.ICEServer) { s.Credential += "x" },
		"of another relay": func(s *announce.ICEServer) { s.Username, s.Credential = other.Username, other.Credential },
		"a longer life":    func(s *announce.ICEServer) { s.Username = "9" + s.Username },
		"no life":          func(s *announce.ICEServer) { s.Username = "somebody" },
	} {
		s := good
		change(&s)
		if _, err := dial(t, s).Allocate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	line, err := dial(t, good).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	line.Close()
	nowMs.Store(end.UnixMilli())
	if _, err := dial(t, good).Allocate(); err == nil {
		t.Error("accepted after their end")
	}
}

func TestAViewerHasSoManyAllocations(t *testing.T) {
	r := start(t, func(c *Config) { c.ViewerAllocations, c.Allocations = 2, 3 })
	s, _ := r.TURN()
	var lines []net.PacketConn
	for range 2 {
		line, err := dial(t, s).Allocate()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if _, err := dial(t, s).Allocate(); err == nil || !strings.Contains(err.Error(), "486") {
		t.Errorf("a third one: %v, want 486 (quota reached)", err)
	}
	lines = append(lines, allocate(t, r))
	another, _ := r.TURN()
	if _, err := dial(t, another).Allocate(); err == nil {
		t.Error("there are more allocations than agreed")
	}
	for _, l := range lines[:2] {
		l.Close()
	}
	for range 100 {
		if line, err := dial(t, s).Allocate(); err == nil {
			line.Close()
			return
		}
	}
	t.Error("places that were given back are not given again")
}

// What a viewer sends is bounded, and so is what waits for one who does not read.
func TestAViewerSendsSoMuch(t *testing.T) {
	now := time.Now()
	b := newSwitchboard(Config{
		Public: netip.MustParseAddr("192.0.2.9"), Allocations: 10, ViewerAllocations: 10, ViewerBytesPerSec: 20_000, Now: func() time.Time { return now },
	})
	open := func(viewer string) net.PacketConn {
		l, _, err := b.AllocatePacketConn(turn.AllocateListenerConfig{Network: "udp4", UserID: viewer})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	a1, a2, to := open("a"), open("a"), open("b")
	packet := bytes.Repeat([]byte("x"), 1000)
	arrive := func() (n int) {
		for range 15 {
			a1.WriteTo(packet, to.LocalAddr())
			a2.WriteTo(packet, to.LocalAddr())
		}
		for len(to.(*line).inbox) > 0 {
			to.ReadFrom(make([]byte, 2000))
			n++
		}
		return n
	}
	if n := arrive(); n != 20 {
		t.Errorf("%d packets arrived at once, want 20", n)
	}
	now = now.Add(500 * time.Millisecond)
	if n := arrive(); n != 10 {
		t.Errorf("%d packets arrived after half a second, want 10", n)
	}
	for range 1000 {
		now = now.Add(time.Second)
		a1.WriteTo(packet, to.LocalAddr())
	}
	if n := len(to.(*line).inbox); n != inboxPackets {
		t.Errorf("%d packets wait for who does not read", n)
	}
	if _, _, err := b.AllocatePacketConn(turn.AllocateListenerConfig{Network: "udp6", UserID: "a"}); err == nil {
		t.Error("an IPv4 relay gave an IPv6 address")
	}
}

func TestAnAddressForViewersIsNeeded(t *testing.T) {
	if _, err := Start(Config{Listen: "0.0.0.0:0"}); err == nil || !strings.Contains(err.Error(), "at which IP address viewers reach it") {
		t.Errorf("got %v", err)
	}
	r := start(t, func(c *Config) { c.Listen, c.Public = "0.0.0.0:0", netip.MustParseAddr("203.0.113.9") })
	if s := r.STUN().URLs[0]; !strings.HasPrefix(s, "stun:203.0.113.9:") || r.Address().String() != "203.0.113.9" {
		t.Errorf("viewers are told %s", s)
	}
	if _, err := Start(Config{Listen: "nowhere"}); err == nil || !strings.Contains(err.Error(), `cannot listen on "nowhere"`) {
		t.Errorf("got %v", err)
	}
}
