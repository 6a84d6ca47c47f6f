package rtc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/mdns/v2"
	"golang.org/x/net/ipv4"
)

// responder answers for name on this machine, as a browser does. It skips the test where multicast does not work.
func responder(t *testing.T, name string) *mdns.Conn {
	t.Helper()
	address, err := net.ResolveUDPAddr("udp4", mdns.DefaultAddressIPv4)
	if err != nil {
		t.Fatal(err)
	}
	open := func(names ...string) *mdns.Conn {
		socket, err := net.ListenUDP("udp4", address)
		if err != nil {
			t.Skipf("mDNS cannot be used on this machine: %v", err)
		}
		conn, err := mdns.NewServer(ipv4.NewPacketConn(socket), nil, mdns.WithLocalNames(names...))
		if err != nil {
			_ = socket.Close()
			t.Skipf("mDNS cannot be used on this machine: %v", err)
		}
		return conn
	}
	answering, control := open(name), open()
	t.Cleanup(func() { _ = answering.Close() })
	defer control.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, _, err := control.QueryAddr(ctx, name); err != nil {
		t.Skipf("multicast does not reach this machine itself: %v", err)
	}
	return answering
}

func TestMulticastNamesAreResolvedAndRemembered(t *testing.T) {
	const name = "0b9e4c1d-5a72-4e83-8f10-2c6d7e8f9a01.local"
	answering := responder(t, name)
	m := &multicastDNS{log: pionLog{slog.New(slog.DiscardHandler)}}
	defer m.close()
	first, err := m.lookup(context.Background(), name)
	if err != nil || !usable(first) {
		t.Fatalf("got %v, %v", first, err)
	}
	if err := answering.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := m.lookup(context.Background(), name)
	if err != nil || again != first {
		t.Errorf("asked again while nobody answers: %v, %v; want %v", again, err, first)
	}
}

func TestRememberedNamesAreBounded(t *testing.T) {
	m := &multicastDNS{}
	for i := range 10 * maxNames {
		m.remember(fmt.Sprint(i), netip.IPv4Unspecified())
	}
	if len(m.names) > maxNames {
		t.Errorf("%d names are remembered", len(m.names))
	}
	if _, ok := m.remembered(fmt.Sprint(10*maxNames - 1)); !ok {
		t.Error("the last name is not remembered")
	}
	m.names["old"] = answer{netip.IPv4Unspecified(), time.Now().Add(-time.Second)}
	if _, ok := m.remembered("old"); ok {
		t.Error("an answer is believed for ever")
	}
}

func TestAClosedResolverOpensNoSocket(t *testing.T) {
	m := &multicastDNS{}
	m.close()
	if _, err := m.lookup(context.Background(), "x.local"); err != ErrEngineClosed {
		t.Errorf("got %v", err)
	}
}
