package rtc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m) // after all tests: engines leave nothing behind
}

func TestTwoEnginesExchange16MBUnderBackPressure(t *testing.T) {
	offering, answering := connected(t, newEngine(t, Config{}), newEngine(t, Config{}))
	pour(t, offering, answering, 16<<20, 16384+11)
	pour(t, answering, offering, 1<<20, 16384+11)
}

func TestAllConnectionsShareOneUDPPort(t *testing.T) {
	port := freePort(t)
	shared := newEngine(t, Config{UDPPort: port})
	for range 2 {
		offering, answering := connected(t, newEngine(t, Config{}), shared)
		pour(t, offering, answering, 100_000, 1000)
		answering.mu.Lock()
		for _, s := range answering.sent {
			for _, text := range s.Candidates {
				if c, err := readCandidate(text); err != nil || c.Port() != port {
					t.Errorf("the candidate %q is not on port %d (%v)", text, port, err)
				}
			}
		}
		answering.mu.Unlock()
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port
}

func TestAPortInUseIsOneSentence(t *testing.T) {
	conn, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = New(Config{UDPPort: conn.LocalAddr().(*net.UDPAddr).Port})
	if err == nil || !strings.Contains(err.Error(), "cannot be opened for WebRTC") {
		t.Errorf("got %v", err)
	}
}

func TestAWrongFingerprintIsRefusedByBothSides(t *testing.T) {
	for _, forged := range []announce.Kind{announce.Offer, announce.Answer} {
		offering, answering := connect(t, newEngine(t, Config{}), newEngine(t, Config{}), func(s announce.Signal) announce.Signal {
			if s.Kind == forged {
				digit := byte('0')
				if s.Fingerprint[8] == '0' {
					digit = '1'
				}
				s.Fingerprint = s.Fingerprint[:8] + string(digit) + s.Fingerprint[9:]
			}
			return s
		})
		for name, s := range map[string]*side{"offering": offering, "answering": answering} {
			reason := wait(t, name+" side closes", s.closed)
			if !errors.Is(reason, ErrHandshake) {
				t.Errorf("forged %s: the %s side closed because %q, want a failed handshake", forged, name, reason)
			}
			select {
			case <-s.opened:
				t.Errorf("forged %s: the %s side opened", forged, name)
			default:
			}
			if err := s.conn.Send([]byte("secret")); !errors.Is(err, ErrNotOpen) {
				t.Errorf("forged %s: Send at the %s side says %v", forged, name, err)
			}
		}
	}
}

func TestSilenceEndsInAConnectTimeout(t *testing.T) {
	e := newEngine(t, Config{ConnectTimeout: 50 * time.Millisecond})
	s := newSide()
	h := s.handlers(t, newSide(), nil) // nobody listens
	if _, err := e.Offer(h); err != nil {
		t.Fatal(err)
	}
	if reason := wait(t, "the offer to time out", s.closed); reason != ErrConnectTimeout {
		t.Errorf("closed because %v", reason)
	}
	s = newSide()
	if _, err := e.Answer(s.handlers(t, newSide(), nil)); err != nil {
		t.Fatal(err)
	}
	if reason := wait(t, "waiting for an offer to time out", s.closed); reason != ErrConnectTimeout {
		t.Errorf("closed because %v", reason)
	}
}

func TestCloseIsToldToTheOtherSideAfterTheLastMessage(t *testing.T) {
	offering, answering := connected(t, newEngine(t, Config{}), newEngine(t, Config{}))
	bye := wire.Bye{Reason: "leaving"}.Append(nil)
	if err := offering.conn.Send(bye); err != nil {
		t.Fatal(err)
	}
	offering.conn.Close()
	offering.conn.Close()
	if got := wait(t, "the last message", answering.messages); !bytes.Equal(got, bye) {
		t.Errorf("got %q", got)
	}
	if reason := wait(t, "our side", offering.closed); reason != ErrClosed {
		t.Errorf("our side closed because %v", reason)
	}
	if reason := wait(t, "the other side", answering.closed); !errors.Is(reason, ErrRemoteClosed) {
		t.Errorf("the other side closed because %v", reason)
	}
	if err := offering.conn.Send(bye); !errors.Is(err, ErrNotOpen) {
		t.Errorf("Send after Close says %v", err)
	}
	if err := offering.conn.Signal(announce.Signal{Kind: announce.Candidate}); err != nil {
		t.Errorf("a late signal says %v", err)
	}
}

func TestCloseAtAnyMomentLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	cfg := Config{ConnectTimeout: time.Second} // one side may never hear from the other
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var closings sync.WaitGroup
	for i := range 12 {
		offering, answering := connect(t, a, b, nil)
		closings.Go(func() {
			time.Sleep(time.Duration(i) * 4 * time.Millisecond) // not a wait: another moment for each
			offering.conn.Close()
			wait(t, "the offering side", offering.closed)
			wait(t, "the answering side", answering.closed)
		})
		if i%3 == 0 {
			closings.Go(answering.conn.Close)
		}
	}
	closings.Wait()
	offering, _ := connect(t, a, b, nil) // left alone: the engine closes it
	select {
	case <-offering.opened:
	case <-offering.closed: // possible on a machine that takes longer than cfg allows
	}
	a.Close()
	b.Close()
	a.Close()
	goleak.VerifyNone(t, before)
	if _, err := a.Offer(Handlers{}); !errors.Is(err, ErrEngineClosed) {
		t.Errorf("Offer on a closed engine says %v", err)
	}
}

func TestABlockedReaderHoldsTheSenderBack(t *testing.T) {
	offering, answering := connected(t, newEngine(t, Config{}), newEngine(t, Config{}))
	b := make([]byte, 16384)
	var err error
	count := 0
	for ; count < 10_000 && err == nil; count++ { // nobody reads at the other side
		err = offering.conn.Send(b)
	}
	if !errors.Is(err, ErrBufferFull) {
		t.Fatalf("after %d messages Send says %v, want a full buffer", count, err)
	}
	if n := offering.conn.BufferedAmount(); n > maxBuffered {
		t.Errorf("%d bytes are buffered, allowed are %d", n, maxBuffered)
	}
	for range 200 { // reading on frees it
		wait(t, "a message", answering.messages)
	}
	answering.conn.Close() // while its handler blocks
	wait(t, "the reader", answering.closed)
}

func TestMessagesBeyondTheProtocolsSizeAreNeitherSentNorAccepted(t *testing.T) {
	offering, answering := connected(t, newEngine(t, Config{}), newEngine(t, Config{}))
	largest := make([]byte, wire.MaxMessage)
	largest[len(largest)-1] = 7
	if err := offering.conn.Send(largest); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, "the largest message", answering.messages); !bytes.Equal(got, largest) {
		t.Errorf("the largest message arrived with %d bytes", len(got))
	}
	if err := offering.conn.Send(append(largest, 0)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Send of a byte more says %v", err)
	}
	if err := offering.conn.channel.Send(append(largest, 0)); err != nil { // a hostile neighbour has no such check
		t.Fatal(err)
	}
	if reason := wait(t, "the receiver", answering.closed); !errors.Is(reason, ErrViolation) {
		t.Errorf("closed because %v, want a violation", reason)
	}
}

func TestTextAndFurtherChannelsAreViolations(t *testing.T) {
	for name, violate := range map[string]func(*Conn) error{
		"text": func(c *Conn) error { return c.channel.SendText("hello") },
		"a second channel": func(c *Conn) error {
			_, err := c.pc.CreateDataChannel("more", nil)
			return err
		},
	} {
		offering, answering := connected(t, newEngine(t, Config{}), newEngine(t, Config{}))
		if err := violate(offering.conn); err != nil {
			t.Fatal(err)
		}
		if reason := wait(t, name, answering.closed); !errors.Is(reason, ErrViolation) {
			t.Errorf("%s: closed because %v, want a violation", name, reason)
		}
	}
}

func TestNoHandlersAreNeeded(t *testing.T) {
	a, b := newEngine(t, Config{}), newEngine(t, Config{})
	answering := newSide()
	conn, err := a.Offer(Handlers{OnSignal: func(s announce.Signal) { answering.inbound <- s }})
	if err != nil {
		t.Fatal(err)
	}
	answering.conn, err = b.Answer(Handlers{OnSignal: func(s announce.Signal) { _ = conn.Signal(s) }, OnOpen: func() { close(answering.opened) }})
	if err != nil {
		t.Fatal(err)
	}
	go answering.listen(t)
	wait(t, "open", answering.opened)
	for answering.conn.Send([]byte("unheard")) == ErrNotOpen {
		t.Fatal("not open after OnOpen")
	}
	conn.Close()
	wait(t, "the other side", answering.conn.Done())
}

func TestCertificatesAreRenewedLongBeforeTheyExpire(t *testing.T) {
	e := newEngine(t, Config{})
	first := e.certificate
	if time.Until(first.Expires()) < certificateRest {
		t.Fatalf("a new certificate is good until %v only", first.Expires())
	}
	pc, err := e.newPeerConnection(true)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if e.certificate != first {
		t.Error("each connection makes a certificate of its own")
	}
}

func TestMulticastNamesAreResolvedOnceTheyLookLikeABrowsers(t *testing.T) {
	const name = "7f9c24e8-3b12-4fef-91e0-56a9d6c3b1a2.local"
	a, b := newEngine(t, Config{}), newEngine(t, Config{})
	asked := make(chan string, 16)
	var hidden atomic.Value // the address behind the name: both sides are on this machine
	for _, e := range []*Engine{a, b} {
		e.resolver = fakeResolver(func(n string) (netip.Addr, error) {
			asked <- n
			return hidden.Load().(netip.Addr), nil
		})
	}
	// Both sides hide their IPv4 address behind the name, and show nothing else.
	offering, answering := connect(t, a, b, func(s announce.Signal) announce.Signal {
		candidates := s.Candidates[:0:0]
		for _, c := range s.Candidates {
			fields := strings.Fields(c) // RFC 8839, 5.1: the address is the fifth
			if address, err := netip.ParseAddr(fields[4]); err == nil && address.Is4() && hidden.CompareAndSwap(nil, address) || hidden.Load() == address {
				fields[4] = name
				candidates = append(candidates, strings.Join(fields, " "))
			}
		}
		s.Candidates = candidates
		return s
	})
	wait(t, "open at the offering side", offering.opened)
	wait(t, "open at the answering side", answering.opened)
	if got := wait(t, "a look-up", asked); got != name {
		t.Errorf("%q was looked up", got)
	}
}

type fakeResolver func(name string) (netip.Addr, error)

func (f fakeResolver) lookup(_ context.Context, name string) (netip.Addr, error) { return f(name) }
func (fakeResolver) close()                                                      {}
