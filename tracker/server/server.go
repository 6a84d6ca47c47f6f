package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/announce"
	"slipstream/tracker/epoll"
	"slipstream/tracker/swarm"
	"slipstream/tracker/token"
)

// MinSecret is the least length of the token secret in bytes.
const MinSecret = token.MinSecret

// Config says what to serve. Only a secret or a key is required.
type Config struct {
	// Secret signs the origin's tokens (HS256). At least MinSecret bytes.
	Secret []byte
	// Keys are those of others who mint tokens.
	Keys []token.Terms
	// Sharing is how viewers of channels may meet, by channel id, "*" for all; tokens may be stricter.
	Sharing map[string]token.Sharing
	// Caps bounds what each viewer of a channel uploads, in bits per second, by channel id, "*" for all. Seeders are not bound.
	Caps map[string]int64
	// ICE is the STUN and TURN server that clients are told of; nil means none.
	ICE ICE
	// Channels lists the channel ids that are served; empty means every channel for which there is a token.
	Channels []string
	// Origins lists the web origins whose pages may connect, as patterns for path.Match: "https://*.example.com", or
	// "example.com" for any scheme. Empty means any. The tracker's own host, and clients without a web origin, may
	// always: the token is what admits.
	Origins []string
	// Swarm is the policy of introductions and duties.
	Swarm swarm.Config
	// ReportMs is the interval of reports that clients are told [5000].
	ReportMs int64
	// Limits bound what clients can use up.
	Limits Limits
	// ClientAddr tells a client's address; nil means the connection's remote address. Set it behind a reverse proxy,
	// where all connections come from one address.
	ClientAddr func(*http.Request) netip.Addr
	// Locator tells where an address is; nil means that only its network tells.
	Locator Locator
	// Cells is how many goroutines share the rooms; 0 means one for each core.
	Cells int
	// Relay makes this tracker a node of a cluster; nil means that it is alone.
	Relay Relay
	// Facts is what the cluster keeps; nil means nothing.
	Facts Facts
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log receives what an operator may want to read; nil means slog.Default.
	Log *slog.Logger
}

// Locator knows which ISP an address belongs to and in which region it is: keys that are equal for what is near, 0 if
// unknown. An ISP's, if it is below 2^32, is the number of an autonomous system. It is called for each join and must be fast.
type Locator interface {
	Locate(netip.Addr) (isp, region uint64)
}

// ICE is a STUN and TURN server.
type ICE interface {
	// STUN is what any client may use, TURN what one visit may use and until when.
	STUN() announce.ICEServer
	TURN() (announce.ICEServer, time.Time)
	// Address is that of all relayed candidates.
	Address() netip.Addr
}

// Limits bound what clients can use up. Zero values mean the defaults in brackets.
type Limits struct {
	Connections       int // at a time [10,000]
	Strangers         int // connections that have shown no token yet [1,000]
	Rooms             int // [10,000]
	RoomViewers       int // of one channel, seeders included [10,000]
	PrefixConnections int // at a time from one address prefix, /24 or /48, loopback excepted [1,000]
	PrefixRate        int // new connections per second from one prefix [20]
	PrefixBurst       int // new connections at once from one prefix [200]
	Prefixes          int // remembered prefixes [50,000]
	MessageRate       int // messages per second on one connection; four times as many from a seeder [20]
	MessageBurst      int // messages at once on one connection; four times as many from a seeder [400]
	Pending           int // bytes that wait for one slow reader before it is closed [256 KiB]

	Lease        time.Duration // in which a visit with a certificate of its own must be renewed [1 h]
	JoinTimeout  time.Duration // from connection to join [10 s]
	PingInterval time.Duration // [25 s]
	WriteTimeout time.Duration // for one message, and for the answer to a ping [10 s]
}

func (l *Limits) setDefaults() {
	for _, d := range []struct {
		n *int
		v int
	}{
		{&l.Connections, 10_000}, {&l.Strangers, 1_000}, {&l.Rooms, 10_000}, {&l.RoomViewers, 10_000}, {&l.PrefixConnections, 1_000},
		{&l.PrefixRate, 20}, {&l.PrefixBurst, 200}, {&l.Prefixes, 50_000}, {&l.MessageRate, 20}, {&l.MessageBurst, 400},
		{&l.Pending, 256 << 10},
	} {
		if *d.n <= 0 {
			*d.n = d.v
		}
	}
	for _, d := range []struct {
		n *time.Duration
		v time.Duration
	}{{&l.Lease, time.Hour}, {&l.JoinTimeout, 10 * time.Second}, {&l.PingInterval, 25 * time.Second}, {&l.WriteTimeout, 10 * time.Second}} {
		if *d.n <= 0 {
			*d.n = d.v
		}
	}
}

// Server is a running tracker without a listener. It is the http.Handler of the WebSocket.
type Server struct {
	cfg       Config
	log       *slog.Logger
	node      NodeID
	rooms     Rooms // of the cluster, or this node's
	post      Post  // likewise
	local     *rooms
	lines     *lines
	metrics   *metrics
	rules     atomic.Pointer[rules]
	admission *admission
	addresses *addresses
	stats     statsCache
	pace      pace

	ctx  context.Context // ends when everything must stop
	stop context.CancelFunc
	wg   sync.WaitGroup // connections and cells

	mu     sync.Mutex
	closed bool
	conns  int
}

// New starts a tracker; Close stops it.
func New(cfg Config) (*Server, error) {
	for _, c := range cfg.Channels {
		if !token.IsChannel(c) {
			return nil, fmt.Errorf("%q is not a channel id: those have 43 characters of A–Z a–z 0–9 - _", c)
		}
	}
	rules, err := Policy{cfg.Secret, cfg.Keys, cfg.Sharing, cfg.Caps, cfg.Origins, cfg.Limits}.rules()
	if err != nil {
		return nil, err
	}
	if cfg.ReportMs == 0 {
		cfg.ReportMs = 5000
	}
	if cfg.ReportMs < announce.MinReportMs || cfg.ReportMs > announce.MaxReportMs {
		return nil, fmt.Errorf("the interval of reports is %d ms, it must be from %d to %d", cfg.ReportMs, announce.MinReportMs, announce.MaxReportMs)
	}
	cfg.Limits.setDefaults()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	cfg.Log = Discreet(cfg.Log)
	if cfg.Locator == nil {
		cfg.Locator = byNetwork{}
	}
	if cfg.ClientAddr == nil {
		cfg.ClientAddr = remoteAddr
	}
	s := &Server{cfg: cfg, log: cfg.Log, metrics: newMetrics(), addresses: newAddresses(cfg.Limits), lines: newLines(cfg.Facts)}
	s.rules.Store(rules)
	s.admission = newAdmission(s)
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.local = newRooms(s)
	s.rooms, s.post = s.local, s.lines
	if cfg.Relay != nil {
		s.node = cfg.Relay.Node()
		s.rooms, s.post = cfg.Relay.Start(s.local, s.lines)
	}
	for _, c := range s.local.cells {
		s.wg.Go(c.run)
	}
	return s, nil
}

// Register adds the tracker's metrics to a registry.
func (s *Server) Register(reg prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{newGauges(s), newISPGauge(s)} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return s.metrics.register(reg)
}

// ServeHTTP serves one WebSocket until it ends.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := newConn(s)
	if no := s.arrive(r, &c.guest, c); no != nil {
		if no.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(no.RetryAfter))
		}
		http.Error(w, no.Sentence, no.Status)
		return
	}
	defer s.exit(&c.guest)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{announce.Subprotocol}, InsecureSkipVerify: true, // originAllowed did that
	})
	if err != nil {
		s.metrics.reject(s.metrics.refused, "handshake")
		return
	}
	c.serve(ws)
}

// arrive is all that is checked before a WebSocket opens. Who gets a place gives it back by exit.
func (s *Server) arrive(r *http.Request, g *guest, l line) *epoll.Refusal {
	now := s.cfg.Now()
	g.visit = visit{srv: s, addr: s.cfg.ClientAddr(r).As16()}
	addr, origin := g.address(), r.Header.Get("Origin")
	if !s.addresses.admit(addr, now) {
		return s.refuse("address", epoll.Refusal{
			Status: http.StatusTooManyRequests, RetryAfter: 10, Sentence: "Too many connections from this network; try again in a moment.",
		})
	}
	if s.cfg.Facts != nil && s.cfg.Facts.Banned(addr) {
		s.addresses.release(addr)
		return s.refuse("banned", epoll.Refusal{
			Status: http.StatusForbidden, Sentence: "Neighbours proved that somebody at this address sends what he should not; playback goes on without them.",
		})
	}
	if !s.originAllowed(r) {
		s.addresses.release(addr)
		return s.refuse("origin", epoll.Refusal{Status: http.StatusForbidden, Sentence: "This tracker does not serve pages of this web origin."})
	}
	if refusal := g.knock(r.Header.Values("Sec-WebSocket-Protocol"), origin); refusal != nil {
		if refusal.Code == announce.CodeTokenInvalid {
			s.addresses.blame(addr, now)
		}
		s.addresses.release(addr)
		return s.refuse(refusal.Code, epoll.Refusal{Status: http.StatusUnauthorized, Sentence: refusal.Message})
	}
	if !s.enter(g, l) {
		g.over()
		s.addresses.release(addr)
		return s.refuse("connections", epoll.Refusal{
			Status: http.StatusServiceUnavailable, RetryAfter: 30, Sentence: "The tracker has no place left, or is shutting down; try again in a moment.",
		})
	}
	g.webOrigin = unique.Make(origin)
	return nil
}

func (s *Server) refuse(reason string, no epoll.Refusal) *epoll.Refusal {
	s.metrics.reject(s.metrics.refused, reason)
	return &no
}

// enter counts a connection in, so that Close can wait for it; false if there is no place.
func (s *Server) enter(g *guest, l line) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.conns >= s.rules.Load().Limits.Connections {
		return false
	}
	s.conns++
	s.wg.Add(1)
	g.id = s.lines.next()
	s.lines.add(l)
	return true
}

// exit ends what arrive began.
func (s *Server) exit(g *guest) {
	g.leave()
	s.lines.remove(g.id)
	s.addresses.release(g.address())
	s.mu.Lock()
	s.conns--
	s.mu.Unlock()
	s.wg.Done()
}

// closedSlow notes that somebody could not take his messages.
func (s *Server) closedSlow(g *guest) {
	s.metrics.slow.Inc()
	s.log.Info("a client reads too slowly and was closed", "address", prefixOf(g.address()))
}

// Close tells everybody to come back later, waits a moment for their goodbyes, and stops. No goroutine survives it. It
// takes milliseconds, or with clients that do not answer at most about five seconds.
func (s *Server) Close() {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if !again {
		goodbye, end := s.encode(announce.Error{
			Code: announce.CodeShuttingDown, Message: "The tracker is shutting down; join again in a few seconds.",
		})
		s.lines.each(func(l line) { l.send(goodbye, end) })
		patience := time.AfterFunc(2*time.Second, s.stop)
		defer patience.Stop()
		s.awaitConns()
	}
	s.stop()
	s.lines.each(line.cut)
	s.wg.Wait()
}

// awaitConns returns when no connection is left or the time for goodbyes is over.
func (s *Server) awaitConns() {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		s.mu.Lock()
		left := s.conns
		s.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-s.ctx.Done():
			return
		case <-poll.C:
		}
	}
}
