package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"slipstream/origin/logtest"
	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// A client that gives up its neighbours to get others gets no more addresses than its neighbours' and a few.
func TestAHarvesterGetsFewAddresses(t *testing.T) {
	h := openHall(t, 1)
	for range 300 {
		h.enter(announce.Viewer, 0)
	}
	h.settle()
	byID := map[announce.PeerID]ConnID{}
	for conn := range h.seats {
		byID[of[announce.Welcome](h.notes, conn)[0].ID] = conn
	}
	bot := h.enter(announce.Viewer, 0)
	h.settle()
	own := of[announce.Welcome](h.notes, bot)[0].ID
	met := 0
	const minutes = 10
	for range minutes * 60 {
		h.nowMs.Add(1000)
		h.local.cells[0].second()
		h.settle()
		report := announce.Report{Renditions: []string{"360p"}}
		all := of[announce.Neighbour](h.notes, bot)
		for _, n := range all[met:] {
			h.seats[byID[n.ID]].Signal(announce.SignalTo{To: own, Signal: offer()})
			h.seats[bot].Signal(announce.SignalTo{To: n.ID, Signal: offer()})
			report.Dropped = append(report.Dropped, announce.Drop{ID: n.ID, Reason: announce.Unreachable})
		}
		met = len(all)
		h.seats[bot].Report(report)
	}
	h.settle()
	seen := map[announce.PeerID]bool{}
	for _, s := range of[announce.SignalFrom](h.notes, bot) {
		seen[s.From] = true
	}
	if most := freeAddresses + 2*minutes; len(seen) > most || met < 2*most {
		t.Errorf("it met %d and got the addresses of %d, want at most %d", met, len(seen), most)
	}
	if len(seen) < freeAddresses {
		t.Errorf("it got the addresses of %d; an unlucky honest client needs more", len(seen))
	}
}

// Those who leave are not counted: a long visit in a room that comes and goes is served.
func TestChurnCostsNoAddresses(t *testing.T) {
	var d disclosure
	for id := announce.PeerID(1); id < 1000; id++ {
		if !d.may(id, 0, 0) {
			t.Fatalf("the address of neighbour %d was withheld", id)
		}
		d.give(id)
		if id > 12 {
			d.gone(id - 12)
		}
	}
}

// fakeICE is a relay that is not there.
type fakeICE struct{}

func (fakeICE) STUN() announce.ICEServer {
	return announce.ICEServer{URLs: []string{"stun:203.0.113.9:3478"}}
}

func (fakeICE) TURN() (announce.ICEServer, time.Time) {
	return announce.ICEServer{URLs: []string{"turn:203.0.113.9:3478"}, Username: "u", Credential: "c"}, time.Now().Add(time.Minute)
}

func (fakeICE) Address() netip.Addr { return netip.MustParseAddr("203.0.113.9") }

func TestViewersOfARelayOnlyChannelLearnNoAddress(t *testing.T) {
	h := start(t, func(c *Config) { c.ICE = fakeICE{} })
	join := func() (*client, announce.Welcome) {
		c := good()
		c.Sharing, c.Fingerprint = token.RelayOnly, certificate
		cl := h.show(c)
		w := receive[announce.Welcome](cl)
		cl.id = w.ID
		return cl, w
	}
	a, w := join()
	if turn, _ := (fakeICE{}).TURN(); !w.RelayOnly || len(w.ICEServers) != 1 || !reflect.DeepEqual(w.ICEServers[0], turn) || w.RenewMs > 60_000 {
		t.Errorf("welcomed with %+v", w)
	}
	b, _ := join()
	receive[announce.Neighbour](a)
	receive[announce.Neighbour](b)
	leaky := offer()
	leaky.Candidates = []string{
		"candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host",
		"candidate:2 1 udp 1 0a0a0a0a-aaaa-4aaa-8aaa-aaaaaaaaaaaa.local 50000 typ host",
		"candidate:3 1 udp 1694498815 198.51.100.7 50000 typ srflx raddr 192.0.2.1 rport 50000",
		"candidate:4 1 udp 1694498815 198.51.100.8 50000 typ relay raddr 192.0.2.1 rport 50000",
		"candidate:5 1 udp 16777215 203.0.113.9 40000 typ relay raddr 192.0.2.1 rport 50000 generation 0",
	}
	a.send(announce.SignalTo{To: b.id, Signal: announce.Signal{Kind: announce.Candidate, Ufrag: "Ck4x", Candidates: leaky.Candidates[:3]}})
	a.send(announce.SignalTo{To: b.id, Signal: leaky})
	leaky.Candidates = []string{"candidate:5 1 udp 16777215 203.0.113.9 40000 typ relay raddr 0.0.0.0 rport 0"}
	if s := receive[announce.SignalFrom](b); !reflect.DeepEqual(s.Signal, leaky) {
		t.Errorf("heard %+v\nwant %+v", s.Signal, leaky)
	}
}

func TestOthersAreToldOfTheSTUNServerAlone(t *testing.T) {
	h := start(t, func(c *Config) { c.ICE = fakeICE{} })
	if w := receive[announce.Welcome](h.show(good())); w.RelayOnly || !reflect.DeepEqual(w.ICEServers, []announce.ICEServer{fakeICE{}.STUN()}) {
		t.Errorf("welcomed with %+v", w)
	}
}

func TestTheLogHoldsNoViewersAddress(t *testing.T) {
	var log logtest.Buffer
	h := start(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.ClientAddr = func(*http.Request) netip.Addr { return netip.MustParseAddr("203.0.113.77") }
		c.Limits = Limits{Pending: 64 << 10, PrefixBurst: 3, WriteTimeout: 200 * time.Millisecond}
	})
	h.join(announce.Viewer)
	for end := time.Now().Add(patience); !strings.Contains(log.String(), "too slowly") && time.Now().Before(end); {
		h.server.lines.each(func(l line) { l.send(make([]byte, 8<<10), "") }) // and nobody reads
	}
	h.connect()
	h.connect()
	h.dialStatus(nil) // too many of this network
	if text := log.String(); strings.Contains(text, "203.0.113.77") || !strings.Contains(text, "203.0.113.0/24") {
		t.Errorf("the log says:\n%s", text)
	}
}

func TestAddressesInLogsAreTruncated(t *testing.T) {
	var log logtest.Buffer
	l := Discreet(Discreet(slog.New(slog.NewTextHandler(&log, nil)))).With("client", netip.MustParseAddrPort("198.51.100.7:443")).WithGroup("g")
	l.Info("http: TLS handshake error from 203.0.113.77:4242: EOF",
		"error", fmt.Errorf("read: %w", &net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP("2001:db8:1:2::77"), Port: 9}, Err: errors.New("dial 2001:db8:1:2::77: refused")}),
		slog.Group("deep", "mapped", "::ffff:203.0.113.77", "many", []string{"192.0.2.55"}), "prefix", netip.MustParsePrefix("203.0.113.77/25"))
	text := log.String()
	for _, address := range []string{"198.51.100.7", ".77", "::77", ".55", ":2::"} {
		if strings.Contains(text, address) {
			t.Errorf("%s is in the log:\n%s", address, text)
		}
	}
	for in, want := range map[string]string{
		"127.0.0.1:8081": "127.0.0.1:8081", "[::]:8081": "[::]:8081", "at 15:04:05.123": "at 15:04:05.123", "version 1.2.3.4.": "version 1.2.3.0/24.",
		"203.0.113.0/24": "203.0.113.0/24", "2001:db8:1::/48": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48%eth0", "00:11:22:33": "00:11:22:33",
	} {
		if got := truncated(in); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}
