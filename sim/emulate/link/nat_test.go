package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
)

// agent is what ICE does in this respect (RFC 8445): it sends checks to the other's
// candidate, and to every address that it has received a check from (peer reflexive).
type agent struct {
	host    int
	port    uint16
	targets []netip.AddrPort
	heard   bool
}

// connects lets two agents check each other for a few rounds. A pair is good if both
// receive: an answer goes the way that a check came.
func connects(t *testing.T, a, b NAT) bool {
	f := twoHosts(t, func(c *Config) { c.Hosts[0].NAT, c.Hosts[1].NAT = a, b })
	agents := []*agent{
		{host: 0, port: 5000, targets: []netip.AddrPort{end(2, 6000)}},
		{host: 1, port: 6000, targets: []netip.AddrPort{end(1, 5000)}},
	}
	nowUs := int64(0)
	for range 4 {
		for _, a := range agents {
			for _, to := range a.targets {
				f.Accept(nowUs, a.host, datagramOf(netip.AddrPortFrom(addr(byte(a.host+1)), a.port), to, []byte("check")))
			}
		}
		nowUs += 100_000
		f.Advance(nowUs, func(to int, _ int64, data []byte) {
			p, a := packet(data), agents[to]
			if binary.BigEndian.Uint16(p.datagram()[2:]) != a.port {
				t.Fatalf("a datagram came to port %d of host %d", binary.BigEndian.Uint16(p.datagram()[2:]), to)
			}
			a.heard = true
			a.targets = append(a.targets, netip.AddrPortFrom(p.source(), binary.BigEndian.Uint16(p.datagram())))
		})
	}
	return agents[0].heard && agents[1].heard
}

// RFC 5128 section 3.3.5, and the table of Ford, Srisuresh and Kegel (2005).
func TestWhichNATsCanBeTraversed(t *testing.T) {
	kinds := []NAT{Open, EndpointIndependent, AddressDependent, AddressAndPortDependent, Symmetric, Blocked}
	names := "open, endpoint-independent, address-dependent, address-and-port-dependent, symmetric, blocked"
	want := [6]string{
		"yyyyyn",
		"yyyyyn",
		"yyyyyn",
		"yyyynn", // a port that changes is no good to who looks at ports
		"yyynnn",
		"nnnnnn",
	}
	for i, a := range kinds {
		got := ""
		for _, b := range kinds {
			got += map[bool]string{true: "y", false: "n"}[connects(t, a, b)]
		}
		if got != want[i] {
			t.Errorf("kind %d against (%s): %s, want %s", a, names, got, want[i])
		}
	}
}

func TestFiltersLookAtWhatTheirNameSays(t *testing.T) {
	for _, c := range []struct {
		kind   NAT
		passes string // of: the end that was sent to, another port of it, another host
	}{
		{Open, "yyy"}, {EndpointIndependent, "yyy"}, {AddressDependent, "yyn"}, {AddressAndPortDependent, "ynn"}, {Symmetric, "ynn"}, {Blocked, "nnn"},
	} {
		t.Run(fmt.Sprint(c.kind), func(t *testing.T) {
			f := network(t, 3, func(n *Config) { n.Hosts[0].NAT = c.kind })
			outer := uint16(5000)
			f.Accept(0, 0, datagramOf(end(1, 5000), end(2, 6000), nil))
			for _, a := range drain(f) {
				outer = binary.BigEndian.Uint16(packet(a.data).datagram())
			}
			got := ""
			for _, from := range []netip.AddrPort{end(2, 6000), end(2, 6001), end(3, 6000)} {
				f.Accept(1000, int(from.Addr().As4()[2]-1), datagramOf(from, end(1, outer), nil))
				got += map[int]string{1: "y", 0: "n"}[len(drain(f))]
			}
			if got != c.passes {
				t.Errorf("passes %s, want %s", got, c.passes)
			}
		})
	}
}

func TestASymmetricRouterShowsEachAnotherPortAndForgetsSilentOnes(t *testing.T) {
	r := newRouter(Symmetric)
	first, _ := r.outbound(0, 5000, end(2, 1))
	second, _ := r.outbound(0, 5000, end(3, 1))
	again, _ := r.outbound(60e6, 5000, end(2, 1))
	if first == second || first != again {
		t.Errorf("outer ports %d, %d and again %d", first, second, again)
	}
	if port, ok := r.inbound(170e6, first, end(2, 1)); !ok || port != 5000 {
		t.Error("a mapping that was used 110 s ago is gone")
	}
	if _, ok := r.inbound(121e6, second, end(3, 1)); ok {
		t.Error("a mapping that was silent for 121 s still passes")
	}
	if later, _ := r.outbound(300e6, 5000, end(2, 1)); later == first {
		t.Error("a forgotten mapping came back with the same port")
	}
}

func TestARouterHasRoomForSoMany(t *testing.T) {
	r := newRouter(Symmetric)
	for i := range maxMappings {
		if _, ok := r.outbound(0, uint16(i), end(2, 1)); !ok {
			t.Fatalf("no room for mapping %d", i)
		}
	}
	if _, ok := r.outbound(1, 9999, end(2, 2)); ok {
		t.Error("there was room for one more than there is")
	}
	if _, ok := r.outbound(mappingUs+2, 9999, end(2, 2)); !ok {
		t.Error("silent mappings keep their room for ever")
	}
}
