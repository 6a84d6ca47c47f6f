package rtc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
)

// interfacesAge is how old the list of interfaces may be: an engine lives for months, Wi-Fi comes and goes, but to ask the
// kernel for each of a hundred connections that are made together is a good part of their cost.
const interfacesAge = time.Second

// machine is the machine's network. It differs from pion's in two points: the list of interfaces is fresh, and sockets
// get large buffers.
type machine struct {
	*stdnet.Net

	mu         sync.Mutex
	interfaces []*transport.Interface
	listed     time.Time
}

func newMachine() (*machine, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("the network interfaces cannot be listed: %w", err)
	}
	return &machine{Net: n}, nil
}

// Interfaces implements transport.Net. Without a network there is still this machine (origin, tracker and viewers on one
// laptop in a train), so then it is loopback. Otherwise its sockets, two of four or five for each connection, would only
// cost: whoever is on this machine can be reached at its other addresses too.
func (m *machine) Interfaces() ([]*transport.Interface, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.listed) < interfacesAge {
		return m.interfaces, nil
	}
	listed, err := listInterfaces()
	if err == nil {
		m.interfaces, m.listed = listed, time.Now()
	}
	return listed, err
}

func listInterfaces() ([]*transport.Interface, error) {
	now, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	all, err := now.Interfaces()
	if err != nil {
		return nil, err
	}
	outward := slices.DeleteFunc(slices.Clone(all), func(i *transport.Interface) bool { return !isOutward(i) })
	if len(outward) > 0 {
		return outward, nil
	}
	return all, nil
}

// isOutward reports whether an interface is up and has an address that others could reach.
func isOutward(i *transport.Interface) bool {
	addresses, err := i.Addrs()
	return err == nil && i.Flags&net.FlagUp != 0 && slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, ok := a.(*net.IPNet)
		return ok && prefix.IP.IsGlobalUnicast()
	})
}

// ListenUDP implements transport.Net.
func (*machine) ListenUDP(network string, address *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := net.ListenUDP(network, address)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(socketBuffer) // the kernel grants what it allows
	_ = conn.SetWriteBuffer(socketBuffer)
	return conn, nil
}

// pionLog writes pion's log as debug messages: to an operator, nothing that one connection does is a warning.
type pionLog struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l pionLog) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{l.log.With("pion", scope)}
}

func (l pionLog) write(message string) { l.log.Debug(message) }

func (l pionLog) writef(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug(fmt.Sprintf(format, args...))
	}
}

// pion traces and debugs every packet; that is left out.

func (l pionLog) Trace(string)                      {}
func (l pionLog) Tracef(string, ...any)             {}
func (l pionLog) Debug(string)                      {}
func (l pionLog) Debugf(string, ...any)             {}
func (l pionLog) Info(message string)               { l.write(message) }
func (l pionLog) Infof(format string, args ...any)  { l.writef(format, args...) }
func (l pionLog) Warn(message string)               { l.write(message) }
func (l pionLog) Warnf(format string, args ...any)  { l.writef(format, args...) }
func (l pionLog) Error(message string)              { l.write(message) }
func (l pionLog) Errorf(format string, args ...any) { l.writef(format, args...) }
