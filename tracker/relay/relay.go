package relay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/announce"
)

// Config says where to listen, and how much viewers may use. Only Listen is required.
type Config struct {
	Listen string     // UDP address
	Public netip.Addr // at which viewers reach this machine; default: Listen's

	Allocations       int           // at a time [20,000]
	ViewerAllocations int           // of one viewer: one for each of its connections [64]
	ViewerBytesPerSec int           // that one viewer may send [2,500,000]
	Life              time.Duration // of credentials [24 h]

	Now func() time.Time // nil means time.Now
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		n *int
		v int
	}{{&c.Allocations, 20_000}, {&c.ViewerAllocations, 64}, {&c.ViewerBytesPerSec, 2_500_000}} {
		if *d.n <= 0 {
			*d.n = d.v
		}
	}
	if c.Life <= 0 {
		c.Life = 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

const (
	realm       = "slipstream"
	secretBytes = 32
)

// Relay is a running server.
type Relay struct {
	cfg     Config
	server  *turn.Server
	board   *switchboard
	address netip.AddrPort // at which viewers reach it
	secret  []byte
}

// Start begins to listen; Close ends it.
func Start(cfg Config) (*Relay, error) {
	cfg.setDefaults()
	socket, err := net.ListenPacket("udp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("the relay cannot listen on %q: %w", cfg.Listen, err)
	}
	at := socket.LocalAddr().(*net.UDPAddr).AddrPort()
	if !cfg.Public.IsValid() {
		cfg.Public = at.Addr()
	}
	cfg.Public = cfg.Public.Unmap()
	if cfg.Public.IsUnspecified() || cfg.Public.Zone() != "" {
		return nil, errors.Join(fmt.Errorf("the relay listens on %q, which does not say at which IP address viewers reach it", cfg.Listen), socket.Close())
	}
	r := &Relay{cfg: cfg, board: newSwitchboard(cfg), address: netip.AddrPortFrom(cfg.Public, at.Port()), secret: make([]byte, secretBytes)}
	rand.Read(r.secret) // never fails since Go 1.24
	r.server, err = turn.NewServer(turn.ServerConfig{
		Realm:        realm,
		AuthHandler:  r.authenticate,
		QuotaHandler: func(viewer, _ string, _ net.Addr) bool { return r.board.hasPlace(viewer) },
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: socket, RelayAddressGenerator: r.board,
			PermissionHandler: func(_ net.Addr, peer net.IP) bool { return peer.Equal(r.board.ip) },
		}},
		LoggerFactory: silence{}, // its log holds whole addresses
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the relay cannot start: %w", err), socket.Close())
	}
	return r, nil
}

// Close ends all allocations.
func (r *Relay) Close() { _ = r.server.Close() }

// STUN is what any viewer may use.
func (r *Relay) STUN() announce.ICEServer {
	return announce.ICEServer{URLs: []string{"stun:" + r.address.String()}}
}

// TURN makes credentials for one visit, and tells when they end.
func (r *Relay) TURN() (announce.ICEServer, time.Time) {
	end := r.cfg.Now().Add(r.cfg.Life).Truncate(time.Second)
	name := strconv.FormatInt(end.Unix(), 10) + ":" + rand.Text()
	return announce.ICEServer{
		URLs: []string{"turn:" + r.address.String() + "?transport=udp"}, Username: name, Credential: r.password(name),
	}, end
}

// Address is where all viewers of relay-only channels seem to be.
func (r *Relay) Address() netip.Addr { return r.address.Addr() }

func (r *Relay) password(name string) string {
	mac := hmac.New(sha256.New, r.secret)
	mac.Write([]byte(name))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// authenticate tells which viewer a user name stands for, and the key that its messages are signed with.
func (r *Relay) authenticate(a *turn.RequestAttributes) (viewer string, key []byte, ok bool) {
	end, viewer, _ := strings.Cut(a.Username, ":")
	seconds, err := strconv.ParseInt(end, 10, 64)
	if err != nil || r.cfg.Now().Unix() >= seconds {
		return "", nil, false
	}
	return viewer, turn.GenerateAuthKey(a.Username, realm, r.password(a.Username)), true
}

// Register adds the relay's metrics to a registry.
func (r *Relay) Register(reg prometheus.Registerer) error {
	name := func(n, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "slipstream", Subsystem: "relay", Name: n, Help: help}
	}
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts(name("allocations", "Connections' ends on the relay.")), func() float64 { return float64(r.board.count()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts(name("bytes_total", "Bytes relayed.")), func() float64 { return float64(r.board.relayed.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts(name("dropped_total", "Packets not relayed: to nobody, too many, or to one who reads too slowly.")), func() float64 { return float64(r.board.dropped.Load()) }),
	} {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("the relay's metrics: %w", err)
		}
	}
	return nil
}

// silence is a log that nobody reads.
type silence struct{}

func (silence) NewLogger(string) logging.LeveledLogger { return silence{} }
func (silence) Trace(string)                           {}
func (silence) Tracef(string, ...any)                  {}
func (silence) Debug(string)                           {}
func (silence) Debugf(string, ...any)                  {}
func (silence) Info(string)                            {}
func (silence) Infof(string, ...any)                   {}
func (silence) Warn(string)                            {}
func (silence) Warnf(string, ...any)                   {}
func (silence) Error(string)                           {}
func (silence) Errorf(string, ...any)                  {}
