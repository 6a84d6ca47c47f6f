package rtc

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"slipstream/tracker/announce"
)

const fingerprint = "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"

var goodOffer = announce.Signal{
	Kind: announce.Offer, Ufrag: "Ck4x", Pwd: "abcdefghijklmnopqrstuv", Fingerprint: fingerprint, Setup: announce.ActPass,
}

// TestTheSessionDescriptionIsTheOneThatAnnounceSpecifies holds the template to the lines in tracker/announce's
// specification, which the browser's twin follows as well.
func TestTheSessionDescriptionIsTheOneThatAnnounceSpecifies(t *testing.T) {
	d, err := sessionDescription(goodOffer)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0",
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0",
		"a=ice-ufrag:Ck4x", "a=ice-pwd:abcdefghijklmnopqrstuv", "a=ice-options:trickle",
		"a=fingerprint:" + fingerprint, "a=setup:actpass",
		"a=mid:0", "a=sctp-port:5000", "a=max-message-size:262144", "",
	}, "\r\n")
	if d.SDP != want || d.Type != webrtc.SDPTypeOffer {
		t.Errorf("got %v\n%s", d.Type, d.SDP)
	}
	var parsed sdp.SessionDescription
	if err := parsed.UnmarshalString(d.SDP); err != nil {
		t.Errorf("it cannot be parsed: %v", err)
	}
	if back, err := newSignal(d); err != nil || fmt.Sprint(back) != fmt.Sprint(goodOffer) {
		t.Errorf("taken apart again it is %+v, %v", back, err)
	}
}

func TestAnOfferThatCannotBeUsedClosesTheConnection(t *testing.T) {
	for name, spoil := range map[string]func(*announce.Signal){
		"line break in ufrag": func(s *announce.Signal) { s.Ufrag += "\r\na=setup:active" },
		"line break in pwd":   func(s *announce.Signal) { s.Pwd += "\nm=audio" },
		"no fingerprint":      func(s *announce.Signal) { s.Fingerprint = "" },
		"broken fingerprint":  func(s *announce.Signal) { s.Fingerprint = "sha-256" },
		"no ufrag":            func(s *announce.Signal) { s.Ufrag = "" },
		"endless pwd":         func(s *announce.Signal) { s.Pwd = strings.Repeat("a", 300) },
	} {
		closed := make(chan error, 1)
		conn, err := newEngine(t, Config{}).Answer(Handlers{OnClosed: func(reason error) { closed <- reason }})
		if err != nil {
			t.Fatal(err)
		}
		bad := goodOffer
		spoil(&bad)
		if err := conn.Signal(bad); !errors.Is(err, ErrSignal) {
			t.Errorf("%s: Signal says %v, want an ErrSignal", name, err)
		}
		if reason := wait(t, name, closed); !errors.Is(reason, ErrViolation) || !errors.Is(reason, ErrSignal) {
			t.Errorf("%s: closed because %v", name, reason)
		}
	}
}

func TestUnexpectedSignalsChangeNothing(t *testing.T) {
	conn, err := newEngine(t, Config{}).Answer(Handlers{})
	if err != nil {
		t.Fatal(err)
	}
	answer, odd := goodOffer, goodOffer
	answer.Kind, answer.Setup = announce.Answer, announce.Active
	odd.Kind = "rollback"
	for _, s := range []announce.Signal{answer, odd} {
		if err := conn.Signal(s); !errors.Is(err, ErrSignal) {
			t.Errorf("a signal of kind %s says %v", s.Kind, err)
		}
	}
	if err := conn.Signal(goodOffer); err != nil {
		t.Errorf("the offer says %v", err)
	}
	if err := conn.Signal(goodOffer); !errors.Is(err, ErrSignal) {
		t.Errorf("a second offer says %v", err)
	}
	if conn.ctx.Err() != nil {
		t.Error("the connection was closed")
	}
}

func TestRemoteCandidatesAreCheckedAndCounted(t *testing.T) {
	good := func(address string, port int) string {
		return fmt.Sprintf("candidate:1 1 udp 2130706431 %s %d typ host", address, port)
	}
	for text, ok := range map[string]bool{
		good("192.0.2.7", 40000):   true,
		good("127.0.0.1", 40000):   true,
		good("2001:db8::7", 40000): true,
		good("7f9c24e8-3b12-4fef-91e0-56a9d6c3b1a2.local", 40000) + " generation 0 ufrag Ck4x network-cost 999": true,
		"candidate:1 1 udp 1677721855 203.0.113.5 40000 typ srflx raddr 0.0.0.0 rport 0":                        true,
		"candidate:1 1 udp 1677721855 203.0.113.5 40000 typ relay raddr 0.0.0.0 rport 0":                        true,
		good("0.0.0.0", 40000):                                                                false,
		good("::", 40000):                                                                     false,
		good("224.0.0.251", 5353):                                                             false,
		good("ff02::fb", 5353):                                                                false,
		good("255.255.255.255", 9):                                                            false,
		good("::ffff:224.0.0.251", 40000):                                                     false,
		good("192.0.2.7", 0):                                                                  false,
		good("intranet.example.org", 80):                                                      false, // a look-up of a stranger's choice
		good("printer.local", 40000):                                                          false,
		good("7F9C24E8-3B12-4FEF-91E0-56A9D6C3B1A2.local", 40000):                             false,
		"candidate:1 2 udp 2130706431 192.0.2.7 40000 typ host":                               false, // RTCP
		"candidate:1 1 tcp 2130706431 192.0.2.7 9 typ host tcptype active":                    false,
		"candidate:1 1 tcp 2130706431 192.0.2.7 40000 typ host tcptype passive":               false,
		good("192.0.2.7", 40000) + "\r\na=setup:active":                                       false,
		good("192.0.2.7", 40000) + strings.Repeat(" x y", 60):                                 false,
		"candidate:1 1 udp 2130706431 7f9c24e8-3b12-4fef-91e0-56a9d6c3b1a2.local 4 typ srflx": false,
		"candidate:": false,
		"":           false,
	} {
		if _, err := readCandidate(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	conn, err := newEngine(t, Config{}).Answer(Handlers{})
	if err != nil {
		t.Fatal(err)
	}
	offer := goodOffer
	for i := range 100 {
		offer.Candidates = append(offer.Candidates, good("192.0.2.7", 40000+i), good("0.0.0.0", 1))
	}
	if err := conn.Signal(offer); err != nil {
		t.Fatal(err)
	}
	if conn.remote.candidates != maxCandidates {
		t.Errorf("%d candidates are used, want %d", conn.remote.candidates, maxCandidates)
	}
}

func TestCandidatesOfAnotherSessionAreIgnored(t *testing.T) {
	conn, err := newEngine(t, Config{}).Answer(Handlers{})
	if err != nil {
		t.Fatal(err)
	}
	stale := announce.Signal{Kind: announce.Candidate, Ufrag: "old1", Candidates: []string{"candidate:1 1 udp 1 192.0.2.7 40000 typ host"}}
	for _, s := range []announce.Signal{stale, goodOffer, stale} {
		if err := conn.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	if conn.remote.candidates != 0 {
		t.Error("a candidate of another session was used")
	}
}

func FuzzReadCandidate(f *testing.F) {
	f.Add("candidate:1 1 udp 2130706431 192.0.2.7 40000 typ host")
	f.Add("candidate:842163049 1 udp 1677729535 203.0.113.5 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999")
	f.Add("candidate:1 1 udp 1 7f9c24e8-3b12-4fef-91e0-56a9d6c3b1a2.local 4 typ host")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := readCandidate(text)
		if err != nil {
			return
		}
		if c.Port() == 0 || strings.ContainsAny(text, "\r\n") {
			t.Errorf("%q passes", text)
		}
		if address, err := netip.ParseAddr(c.Address()); err == nil && (address.IsUnspecified() || address.IsMulticast()) {
			t.Errorf("%q passes with address %v", text, address)
		}
	})
}

// TestSignalsAreBatched: the description takes the candidates along that are there, the rest follows in full messages.
func TestSignalsAreBatched(t *testing.T) {
	var sent []announce.Signal
	o := outbox{send: func(s announce.Signal) { sent = append(sent, s) }}
	for i := range 50 {
		o.add(fmt.Sprint("candidate:", i))
	}
	o.flush()
	if len(sent) != 0 {
		t.Fatalf("%v was sent before there was a description", sent)
	}
	o.begin(goodOffer)
	o.complete()
	if len(sent) != 2 || sent[0].Kind != announce.Offer || sent[1].Kind != announce.Candidate {
		t.Fatalf("sent %+v, want an offer and one more signal", sent)
	}
	if sent[0].Pwd != goodOffer.Pwd || sent[1].Pwd != "" || sent[1].Ufrag != goodOffer.Ufrag {
		t.Errorf("the candidates came with %+v", sent[1])
	}
	for i, s := range sent {
		if len(s.Candidates) != announce.MaxCandidates || s.Candidates[0] != fmt.Sprint("candidate:", i*announce.MaxCandidates) {
			t.Errorf("signal %d has the candidates %v", i, s.Candidates)
		}
	}
	o.complete()
	o.stop()
	o.add("candidate:late")
	o.flush()
	if len(sent) != 2 {
		t.Errorf("%+v was sent although there was nothing to say", sent[2:])
	}
}
