package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
)

func TestTooManyMessages(t *testing.T) {
	h := start(t, func(c *Config) { c.Limits.MessageBurst, c.Limits.MessageRate = 5, 1 })
	c := h.join(announce.Viewer)
	for range 5 { // the join was one
		c.sendText(`{"type":"report","ready":false}`)
	}
	c.refused(announce.CodeRateLimited, "Too many messages", websocket.StatusPolicyViolation)
	s := h.join(announce.Seeder)
	for range 15 {
		s.sendText(`{"type":"report","ready":false}`)
	}
	h.statsUntil(func(s Stats) bool { return s.Seeders == 1 && s.Viewers == 0 })
}

func TestPlacesAreBounded(t *testing.T) {
	t.Run("in a room", func(t *testing.T) {
		h := start(t, func(c *Config) { c.Limits.RoomViewers = 1 })
		h.join(announce.Viewer)
		c := h.connect()
		c.send(announce.Join{Version: 1, Token: h.tokenFor(announce.Viewer), Role: announce.Viewer})
		c.refused(announce.CodeRoomFull, "full", websocket.StatusPolicyViolation)
	})
	t.Run("of rooms", func(t *testing.T) {
		h := start(t, func(c *Config) { c.Limits.Rooms = 1 })
		h.join(announce.Viewer)
		claims := good()
		claims.Channel = otherChannel
		c := h.connect()
		c.send(announce.Join{Version: 1, Token: sign(t, claims, secret), Role: announce.Viewer})
		c.refused(announce.CodeTrackerFull, "channels", websocket.StatusPolicyViolation)
	})
	t.Run("of connections", func(t *testing.T) {
		h := start(t, func(c *Config) { c.Limits.Connections = 1 })
		h.join(announce.Viewer)
		if status, err := h.dialStatus(nil); status != http.StatusServiceUnavailable {
			t.Errorf("got %d, %v, want 503", status, err)
		}
	})
	t.Run("of connections from one network", func(t *testing.T) {
		var addr atomic.Value
		at := func(s string) { addr.Store(netip.MustParseAddr(s)) }
		at("192.0.2.1")
		h := start(t, func(c *Config) {
			c.Limits.PrefixConnections = 2
			c.ClientAddr = func(*http.Request) netip.Addr { return addr.Load().(netip.Addr) }
		})
		first := h.join(announce.Viewer)
		h.join(announce.Viewer)
		at("192.0.2.200")
		if status, err := h.dialStatus(nil); status != http.StatusTooManyRequests {
			t.Errorf("got %d, %v from the same /24, want 429", status, err)
		}
		at("192.0.3.1")
		h.join(announce.Viewer)
		at("192.0.2.7")
		first.ws.CloseNow()
		h.statsUntil(func(s Stats) bool { return s.Viewers == 2 })
		for { // the place is free when the server has closed its side
			if _, err := h.dialStatus(nil); err == errNotRefused {
				break
			}
		}
	})
	t.Run("of new connections per second", func(t *testing.T) {
		now := time.Now()
		h := start(t, func(c *Config) {
			c.Limits.PrefixBurst, c.Limits.PrefixRate = 2, 1
			c.Now = func() time.Time { return now }
			c.ClientAddr = func(*http.Request) netip.Addr { return netip.MustParseAddr("2001:db8::1") }
		})
		h.connect()
		h.connect()
		if status, err := h.dialStatus(nil); status != http.StatusTooManyRequests {
			t.Errorf("got %d, %v, want 429", status, err)
		}
	})
}

func TestPrefixesAreBounded(t *testing.T) {
	a := newAddresses(Limits{Prefixes: 2, PrefixConnections: 9, PrefixRate: 1, PrefixBurst: 1})
	now := time.Unix(1_000_000, 0)
	if !a.admit(netip.MustParseAddr("192.0.2.1"), now) {
		t.Fatal("the first was refused")
	}
	a.admit(netip.MustParseAddr("2001:db8:1::1"), now)
	if a.admit(netip.MustParseAddr("2001:db8:2::1"), now) {
		t.Error("a third prefix was admitted where two are remembered")
	}
	a.release(netip.MustParseAddr("2001:db8:1::1"))
	now = now.Add(time.Minute)
	if !a.admit(netip.MustParseAddr("2001:db8:2::1"), now) {
		t.Error("the place of a prefix that is long gone was not given away")
	}
	a.release(netip.MustParseAddr("192.0.2.1"))
	for range 20 {
		if !a.admit(netip.MustParseAddr("127.0.0.1"), now) {
			t.Fatal("loopback was counted")
		}
	}
}

func TestSubnetKeys(t *testing.T) {
	key := func(s string) uint64 { return subnetKey(netip.MustParseAddr(s)) }
	for _, same := range [][2]string{{"192.0.2.1", "192.0.2.254"}, {"192.0.2.1", "::ffff:192.0.2.9"}, {"2001:db8:1:2::1", "2001:db8:1:ffff::2"}} {
		if key(same[0]) != key(same[1]) {
			t.Errorf("%v are not one subnet", same)
		}
	}
	for _, apart := range [][2]string{{"192.0.2.1", "192.0.3.1"}, {"2001:db8:1::1", "2001:db8:2::1"}, {"0.0.0.0", "::"}} {
		if key(apart[0]) == key(apart[1]) {
			t.Errorf("%v are one subnet", apart)
		}
	}
	if subnetKey(netip.Addr{}) != 0 {
		t.Error("an unknown address has a subnet")
	}
	for _, s := range []string{"127.0.0.1", "::1", "10.1.2.3", "192.168.1.2", "fd00::1", "fe80::1"} {
		if key(s) != 0 {
			t.Errorf("%s has a subnet: tests and houses would have no neighbours", s)
		}
	}
}

func TestOnlyTerminatorsAreBelieved(t *testing.T) {
	client := Forwarded([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	for _, c := range []struct{ from, forwarded, want string }{
		{"10.0.0.1:5", "203.0.113.7", "203.0.113.7"},
		{"[::1]:5", "198.51.100.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"},
		{"198.51.100.9:5", "203.0.113.7", "198.51.100.9"},
		{"10.0.0.1:5", "", "10.0.0.1"},
		{"10.0.0.1:5", "203.0.113.7, unknown", "10.0.0.1"},
		{"10.0.0.1:5", "::ffff:203.0.113.7", "203.0.113.7"},
	} {
		r := &http.Request{RemoteAddr: c.from, Header: http.Header{"X-Forwarded-For": {c.forwarded}}}
		if got := client(r); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s for %q is %v, want %s", c.from, c.forwarded, got, c.want)
		}
	}
}

func TestWithoutALocatorNetworksStandForISPs(t *testing.T) {
	isp := func(s string) uint64 {
		key, region := byNetwork{}.Locate(netip.MustParseAddr(s))
		if region != 0 {
			t.Errorf("%s is in region %d; how do we know?", s, region)
		}
		return key
	}
	if isp("192.0.2.1") != isp("192.0.77.1") || isp("192.0.2.1") == isp("192.1.2.1") || isp("2001:db8:1::1") != isp("2001:db8:2::1") {
		t.Error("a provider is not a /16 or a /32")
	}
	if isp("10.0.0.1") != 0 || isp("127.0.0.1") != 0 {
		t.Error("a private address has a provider")
	}
}

func TestWhoDoesNotJoinInTimeIsClosed(t *testing.T) {
	h := start(t, func(c *Config) { c.Limits.JoinTimeout = 30 * time.Millisecond })
	h.connect().refused(announce.CodeJoinFirst, "in time", websocket.StatusPolicyViolation)
}

func TestWhoDoesNotReadIsClosedAndHarmsNobody(t *testing.T) {
	h := start(t, func(c *Config) {
		c.Limits.Pending, c.Limits.MessageBurst, c.Limits.WriteTimeout = 32<<10, 1<<30, 300*time.Millisecond
	})
	small := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(4096)
		}
		return c, err
	}}}
	defer small.CloseIdleConnections()
	sleeper, _, err := h.dial(&websocket.DialOptions{HTTPClient: small})
	if err != nil {
		t.Fatal(err)
	}
	sleeper.send(announce.Join{Version: 1, Token: h.tokenFor(announce.Viewer), Role: announce.Viewer})
	sleeper.id = receive[announce.Welcome](sleeper).ID
	talker := h.join(announce.Viewer)
	receive[announce.Neighbour](talker)

	large := offer()
	for len(large.Candidates) < announce.MaxCandidates {
		large.Candidates = append(large.Candidates, large.Candidates[0]+" "+strings.Repeat("x", 200))
	}
	b, err := announce.Encode(announce.SignalTo{To: sleeper.id, Signal: large})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				if talker.ws.Write(context.Background(), websocket.MessageText, b) != nil {
					return
				}
			}
		}
	}()
	if g := receive[announce.Gone](talker); g.ID != sleeper.id {
		t.Errorf("%s is gone, want %s", g.ID, sleeper.id)
	}
	close(stop)
	<-done
}

func TestWhoDoesNotAnswerPingsIsGone(t *testing.T) {
	h := start(t, func(c *Config) {
		c.Limits.PingInterval, c.Limits.WriteTimeout = 50*time.Millisecond, time.Second
	})
	awake := h.join(announce.Viewer)
	gone := make(chan announce.PeerID, 1)
	go func() { // it reads all the time, so it answers all the time
		defer close(gone)
		for m, err := awake.next(); err == nil; m, err = awake.next() {
			if g, ok := m.(announce.Gone); ok {
				gone <- g.ID
				return
			}
		}
	}()
	asleep := h.join(announce.Viewer) // from here on it does not read, so it does not answer
	if id := <-gone; id != asleep.id {
		t.Errorf("%s is gone, want %s", id, asleep.id)
	}
}

func TestClosingSaysGoodbye(t *testing.T) {
	h := start(t, nil)
	a := h.join(announce.Viewer)
	waiting := h.connect()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.server.Close()
	}()
	a.refused(announce.CodeShuttingDown, "join again", websocket.StatusGoingAway)
	waiting.refused(announce.CodeShuttingDown, "join again", websocket.StatusGoingAway)
	<-done
	if status, err := h.dialStatus(nil); status != http.StatusServiceUnavailable {
		t.Errorf("after the end: %d, %v, want 503", status, err)
	}
	if resp, _ := h.get("/tracker/stats.json"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("statistics after the end: %d, want 503", resp.StatusCode)
	}
	h.server.Close() // once more does no harm
}

func TestWhoDoesNotSayGoodbyeIsNotWaitedFor(t *testing.T) {
	h := start(t, func(c *Config) { c.Limits.WriteTimeout = time.Hour })
	h.join(announce.Viewer) // and reads nothing from here on
	h.server.Close()
}
