package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/epoll"
	"slipstream/tracker/webtorrent"
)

// Config says what to serve. The zero value serves everybody.
type Config struct {
	// Gate decides on a connection before its WebSocket opens, by web origin and address. A status other than 0 refuses it
	// with a sentence; otherwise release is called when the connection has ended. nil admits all.
	Gate func(*http.Request) (release func(), status int, sentence string)
	// ClientAddr tells a client's address; nil means the connection's remote address.
	ClientAddr func(*http.Request) netip.Addr
	// Limits bound what clients can use up.
	Limits Limits
	// Interval is how often clients are told to announce themselves again [2 min].
	Interval time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log receives what an operator may want to read; nil means slog.Default.
	Log *slog.Logger
}

// Limits bound what clients can use up. Zero values mean the defaults in brackets.
type Limits struct {
	webtorrent.Limits // of swarms. Those of one 64th of all info hashes get a 64th of the places
	Visit             webtorrent.VisitLimits
	Connections       int // at a time [10,000]

	// Of connections that no epoll loop serves; its configuration has the others'.
	Pending      int           // bytes that wait for one slow reader before it is closed [256 KiB]
	OpenTimeout  time.Duration // for a client's first message [10 s]
	PingInterval time.Duration // [25 s]
	WriteTimeout time.Duration // for one message, and for the answer to a ping [10 s]
}

func (l *Limits) setDefaults() {
	l.Visit.SetDefaults()
	if l.Connections <= 0 {
		l.Connections = 10_000
	}
	if l.Pending <= 0 {
		l.Pending = 256 << 10
	}
	for _, d := range []struct {
		n *time.Duration
		v time.Duration
	}{{&l.OpenTimeout, 10 * time.Second}, {&l.PingInterval, 25 * time.Second}, {&l.WriteTimeout, 10 * time.Second}} {
		if *d.n <= 0 {
			*d.n = d.v
		}
	}
	if l.Swarms <= 0 {
		l.Swarms = 100_000
	}
	l.Swarms = (l.Swarms + shards - 1) / shards
}

// shards is into how many parts the swarms are split, each with a lock of its own, which is held for the drawing of a few
// random numbers. Everything that takes time, the network and JSON, is outside of it.
const shards = 64

type shard struct {
	mu     sync.Mutex
	swarms *webtorrent.Swarms[*conn]
	_      [64]byte // a cache line, so that owners of different locks do not meet
}

// Server is a running tracker without a listener. Open serves WebSockets in epoll loops, ServeHTTP any others.
type Server struct {
	cfg       Config
	limits    Limits
	intervalS int
	trackerID string // names this process, for those who read a client's logs
	log       *slog.Logger
	metrics   *metrics
	began     time.Time
	shards    [shards]shard

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup // streams and the expiry

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	stats  statsCache
}

// New starts a tracker; Close stops it.
func New(cfg Config) (*Server, error) {
	if cfg.Interval <= 0 {
		cfg.Interval = 2 * time.Minute
	}
	if cfg.Interval < time.Second {
		return nil, fmt.Errorf("clients would announce themselves every %v; the least is a second", cfg.Interval)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.ClientAddr == nil {
		cfg.ClientAddr = remoteAddr
	}
	if cfg.Gate == nil {
		cfg.Gate = func(*http.Request) (func(), int, string) { return func() {}, 0, "" }
	}
	if cfg.Limits.ExpiryMs <= 0 {
		cfg.Limits.ExpiryMs = 3 * cfg.Interval.Milliseconds()
	}
	cfg.Limits.setDefaults()
	var seed [12]byte
	rand.Read(seed[:])
	s := &Server{
		cfg: cfg, limits: cfg.Limits, intervalS: int(cfg.Interval / time.Second), trackerID: hex.EncodeToString(seed[8:]),
		log: cfg.Log, metrics: newMetrics(), began: cfg.Now(), conns: map[*conn]struct{}{},
	}
	for i := range s.shards {
		s.shards[i].swarms = webtorrent.New[*conn](s.limits.Limits, binary.LittleEndian.Uint64(seed[:])+uint64(i))
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.wg.Go(s.expire)
	return s, nil
}

// Register adds the tracker's metrics to a registry.
func (s *Server) Register(reg prometheus.Registerer) error { return s.metrics.register(reg, s) }

// nowMs counts from the start, and so does not go back with the wall clock.
func (s *Server) nowMs() int64 { return s.cfg.Now().Sub(s.began).Milliseconds() + 1 }

func (s *Server) shardOf(hash *webtorrent.Hash) *shard { return &s.shards[hash[0]%shards] }

// expire forgets peers that stay connected and have stopped announcing themselves.
func (s *Server) expire() {
	every := time.Duration(s.limits.ExpiryMs) * time.Millisecond / 8
	ticker := time.NewTicker(max(every, 10*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
		for i := range s.shards {
			sh := &s.shards[i]
			sh.mu.Lock()
			sh.swarms.Expire(s.nowMs())
			sh.mu.Unlock()
		}
	}
}

// arrive is all that is checked before a WebSocket opens. Who gets a place gives it back by left.
func (s *Server) arrive(r *http.Request, c *conn) *epoll.Refusal {
	release, status, sentence := s.cfg.Gate(r)
	if status != 0 {
		return &epoll.Refusal{Status: status, Sentence: sentence}
	}
	c.server, c.release, c.v6 = s, release, s.cfg.ClientAddr(r).Unmap().Is6()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.limits.Connections {
		release()
		s.metrics.full.Inc()
		return &epoll.Refusal{
			Status: http.StatusServiceUnavailable, RetryAfter: 30, Sentence: "The tracker has no place left, or is shutting down; try again in a moment.",
		}
	}
	s.conns[c] = struct{}{}
	if _, ok := c.line.(*stream); ok {
		s.wg.Add(1)
	}
	return nil
}

// left is called by who reads a connection, when it has ended.
func (s *Server) left(c *conn) {
	for _, m := range c.visit.Memberships() {
		sh := s.shardOf(&m.InfoHash)
		sh.mu.Lock()
		sh.swarms.Leave(c, m.InfoHash, m.PeerID)
		sh.mu.Unlock()
	}
	c.release()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

func (s *Server) closedSlow() {
	s.metrics.slow.Inc()
	s.log.Info("a WebTorrent client reads too slowly and was closed")
}

// Close says goodbye to everybody and stops. It returns when all have gone, or after two seconds; whoever is left in an
// epoll loop then goes with the loop.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.line.End(epoll.GoingAway, "the tracker is shutting down")
	}
	s.mu.Unlock()
	goodbye := time.AfterFunc(2*time.Second, s.stop)
	defer goodbye.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for s.open() > 0 && s.ctx.Err() == nil {
		<-poll.C
	}
	s.stop()
	s.wg.Wait()
}

// open counts the connections.
func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// remoteAddr is the address that the connection comes from.
func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr().Unmap()
}
