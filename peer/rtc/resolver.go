package rtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/mdns/v2"
	"golang.org/x/net/ipv4"
)

// resolver finds the address behind a browser's mDNS name.
type resolver interface {
	lookup(ctx context.Context, name string) (netip.Addr, error)
	close()
}

var errNoMulticast = errors.New("mDNS names are not resolved here")

// noResolver is for virtual networks.
type noResolver struct{}

func (noResolver) lookup(context.Context, string) (netip.Addr, error) {
	return netip.Addr{}, errNoMulticast
}
func (noResolver) close() {}

const (
	// lookupTime is how long a name may take: whoever is on this network answers within a second.
	lookupTime = 3 * time.Second
	// rememberTime is how long an answer is believed, the usual lifetime of mDNS addresses (RFC 6762, 10).
	rememberTime = 2 * time.Minute
	// maxNames is how many answers are remembered.
	maxNames = 256
)

// multicastDNS asks the local network. Its socket is opened with the first question: many viewers never meet a browser
// on their own network. Answers are remembered, because a page has one name for all its connections and browsers do not
// repeat an answer soon (RFC 6762, 6).
type multicastDNS struct {
	log logging.LoggerFactory

	mu     sync.Mutex
	conn   *mdns.Conn
	closed bool
	names  map[string]answer
}

type answer struct {
	address netip.Addr
	until   time.Time
}

func (m *multicastDNS) lookup(ctx context.Context, name string) (netip.Addr, error) {
	if address, ok := m.remembered(name); ok {
		return address, nil
	}
	conn, err := m.connection()
	if err != nil {
		return netip.Addr{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	_, address, err := conn.QueryAddr(ctx, name)
	if err != nil {
		return netip.Addr{}, err
	}
	address = address.WithZone("").Unmap()
	m.remember(name, address)
	return address, nil
}

func (m *multicastDNS) remembered(name string) (netip.Addr, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.names[name]
	return known.address, ok && time.Now().Before(known.until)
}

// remember keeps an answer. When there is no room, all are forgotten: asking again is cheap.
func (m *multicastDNS) remember(name string, address netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names == nil || len(m.names) >= maxNames {
		m.names = make(map[string]answer)
	}
	m.names[name] = answer{address, time.Now().Add(rememberTime)}
}

func (m *multicastDNS) connection() (*mdns.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrEngineClosed
	}
	if m.conn != nil {
		return m.conn, nil
	}
	address, err := net.ResolveUDPAddr("udp4", mdns.DefaultAddressIPv4)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp4", address)
	if err != nil {
		return nil, fmt.Errorf("mDNS names cannot be resolved: %w", err)
	}
	conn, err := mdns.NewServer(ipv4.NewPacketConn(socket), nil, mdns.WithLoggerFactory(m.log), mdns.WithCacheRefresh(false))
	if err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("mDNS names cannot be resolved: %w", err)
	}
	m.conn = conn
	return conn, nil
}

func (m *multicastDNS) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.conn != nil {
		_ = m.conn.Close()
	}
}
