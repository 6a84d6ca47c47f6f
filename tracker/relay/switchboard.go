package relay

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"
)

const (
	// firstPort is the lowest that an allocation gets; the ports are names, nobody listens on them.
	firstPort, ports = 1024, 65536 - 1024
	// inboxPackets is how many packets wait for one allocation: a burst of SCTP and some.
	inboxPackets = 64
	packetBytes  = 1600 // the largest that the TURN server takes
)

// switchboard connects allocations. It is the TURN server's turn.RelayAddressGenerator.
type switchboard struct {
	ip      net.IP
	cfg     Config
	relayed atomic.Int64
	dropped atomic.Int64
	buffers sync.Pool

	mu      sync.RWMutex
	lines   map[int]*line // by port
	viewers map[string]*viewer
}

// viewer is who has allocations.
type viewer struct {
	name  string
	lines int
	sends *rate.Limiter
}

func newSwitchboard(cfg Config) *switchboard {
	return &switchboard{
		ip: cfg.Public.AsSlice(), cfg: cfg, lines: map[int]*line{}, viewers: map[string]*viewer{},
		buffers: sync.Pool{New: func() any { return new([packetBytes]byte) }},
	}
}

func (b *switchboard) count() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.lines)
}

// hasPlace tells whether a viewer may have another allocation.
func (b *switchboard) hasPlace(name string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.hasPlaceLocked(name)
}

func (b *switchboard) hasPlaceLocked(name string) bool {
	v := b.viewers[name]
	return len(b.lines) < min(b.cfg.Allocations, ports) && (v == nil || v.lines < b.cfg.ViewerAllocations)
}

var (
	errNoPlace = errors.New("there is no place for another allocation")
	errUDPOnly = errors.New("this relay carries UDP, of the address family of its own address")
)

// Validate implements turn.RelayAddressGenerator.
func (b *switchboard) Validate() error { return nil }

// AllocatePacketConn implements turn.RelayAddressGenerator.
func (b *switchboard) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	if (c.Network == "udp4") != (b.ip.To4() != nil) {
		return nil, nil, errUDPOnly
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.hasPlaceLocked(c.UserID) {
		return nil, nil, errNoPlace
	}
	port := firstPort + rand.N(ports)
	for b.lines[port] != nil {
		port = firstPort + (port-firstPort+1)%ports
	}
	v := b.viewers[c.UserID]
	if v == nil {
		v = &viewer{name: c.UserID, sends: rate.NewLimiter(rate.Limit(b.cfg.ViewerBytesPerSec), max(b.cfg.ViewerBytesPerSec, packetBytes))}
		b.viewers[c.UserID] = v
	}
	v.lines++
	l := &line{board: b, viewer: v, at: &net.UDPAddr{IP: b.ip, Port: port}, inbox: make(chan packet, inboxPackets), closed: make(chan struct{})}
	b.lines[port] = l
	return l, l.at, nil
}

// AllocateListener implements turn.RelayAddressGenerator.
func (b *switchboard) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errUDPOnly
}

// AllocateConn implements turn.RelayAddressGenerator.
func (b *switchboard) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, errUDPOnly
}

func (b *switchboard) remove(l *line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.lines, l.at.Port)
	if l.viewer.lines--; l.viewer.lines == 0 {
		delete(b.viewers, l.viewer.name)
	}
}

// lineAt finds who has an address.
func (b *switchboard) lineAt(address net.Addr) *line {
	to, ok := address.(*net.UDPAddr)
	if !ok || !to.IP.Equal(b.ip) {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.lines[to.Port]
}

// line is an allocation's net.PacketConn.
type line struct {
	board  *switchboard
	viewer *viewer
	at     *net.UDPAddr
	inbox  chan packet
	closed chan struct{}
	once   sync.Once
}

type packet struct {
	from   *net.UDPAddr
	buffer *[packetBytes]byte
	size   int
}

// WriteTo hands a packet to another allocation. Like UDP it does not say what became of it.
func (l *line) WriteTo(b []byte, address net.Addr) (int, error) {
	board := l.board
	to := board.lineAt(address)
	if to == nil || len(b) > packetBytes || !l.viewer.sends.AllowN(board.cfg.Now(), len(b)) {
		board.dropped.Add(1)
		return len(b), nil
	}
	p := packet{l.at, board.buffers.Get().(*[packetBytes]byte), len(b)}
	copy(p.buffer[:], b)
	select {
	case to.inbox <- p:
		board.relayed.Add(int64(len(b)))
	default:
		board.dropped.Add(1)
		board.buffers.Put(p.buffer)
	}
	return len(b), nil
}

// ReadFrom waits for the next packet.
func (l *line) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-l.inbox:
		n := copy(b, p.buffer[:p.size])
		l.board.buffers.Put(p.buffer)
		return n, p.from, nil
	case <-l.closed:
		return 0, nil, net.ErrClosed
	}
}

// Close gives the address back.
func (l *line) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.board.remove(l)
	})
	return nil
}

// LocalAddr implements net.PacketConn.
func (l *line) LocalAddr() net.Addr { return l.at }

// SetDeadline implements net.PacketConn; nobody needs one here.
func (*line) SetDeadline(time.Time) error { return nil }

// SetReadDeadline likewise.
func (*line) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline likewise.
func (*line) SetWriteDeadline(time.Time) error { return nil }
