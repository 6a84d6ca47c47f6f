// Package tracker introduces the viewers of a channel to each other, carries their signalling, and deals out who fetches
// what from the CDN. NewHandler makes it a part of another server (slipstream up); Run is a server of its own
// (slipstream tracker).
//
// The parts, each of which can be read alone: announce is the protocol, token who may join, swarm the decisions, server the
// visits and rooms, epoll the WebSockets of many on Linux, geo where addresses are, cluster what makes several
// trackers one, relay an embedded STUN and TURN server, webtorrent the announce protocol of WebTorrent, top what an operator
// sees in a terminal. commands.go and serve.go are the command line.
package tracker

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/cluster"
	"slipstream/tracker/relay"
	"slipstream/tracker/server"
	"slipstream/tracker/swarm"
	"slipstream/tracker/token"
	webtorrent "slipstream/tracker/webtorrent/server"
)

// Config says what to serve. Only Secret or Keys is required; package server explains the fields that it shares with it.
type Config struct {
	Secret     []byte        // of the tokens, the same as the origin's; ReadSecret reads it
	Keys       []token.Terms // of others who mint tokens
	Sharing    map[string]token.Sharing
	Caps       map[string]int64
	ICE        relay.Config   // of the embedded STUN and TURN server; without a Listen there is none
	Channels   []string       // channel ids that are served; empty = every channel with a token
	Origins    []string       // web origins whose pages may connect, as patterns; empty = any
	Swarm      swarm.Config   // policy
	Limits     server.Limits  // of what clients can use up
	Locator    server.Locator // where addresses are; nil = only their networks tell
	ReportMs   int64          // interval of reports [5000]
	ClientAddr func(*http.Request) netip.Addr
	Log        *slog.Logger // nil = slog.Default
	WebTorrent *WebTorrent  // what of WebTorrent's announce protocol is served; nil = it is not spoken

	// Cluster makes it one of several; without a name it is alone. Secret and Log are this Config's.
	Cluster cluster.Config

	Cells int // goroutines that share the rooms [one for each core]

	// For Run only.
	Geo        []string     // databases for package geo, instead of Locator
	Listen     string       // address to listen on, such as ":8081"
	Listener   net.Listener // to be used instead of Listen
	TLS        *tls.Config  // nil = plaintext, for a terminator before this
	Goroutines bool         // goroutines serve, as where there is no epoll

	// Terminators are the networks of those whose connections begin with the PROXY protocol (version 1 or 2).
	Terminators []netip.Prefix

	// Listening is called when TLS is served at an address, and what it returns at the end; nil = nobody needs to know.
	Listening func(ctx context.Context, at net.Addr) (stop func())

	// Hangup, on each value, has Reread say which policy shall be in force from now on.
	Hangup <-chan os.Signal
	Reread func() (server.Policy, error)

	Debug         string // address for profiles (pprof); "" = none
	DebugAnywhere bool   // it need not be a loopback address
}

// Tracker is a running tracker without a listener.
type Tracker struct {
	server *server.Server
	node   *cluster.Node      // nil: it is alone
	ice    *relay.Relay       // nil: none
	others *webtorrent.Server // WebTorrent's clients; nil: they are not served

	closing sync.Once
}

// drainWithin is how long a tracker that stops waits at most for others to take its rooms over.
const drainWithin = 8 * time.Second

// NewHandler starts a tracker whose handlers the caller mounts. Close stops it.
func NewHandler(cfg Config) (*Tracker, error) {
	settings := server.Config{
		Secret: cfg.Secret, Keys: cfg.Keys, Sharing: cfg.Sharing, Caps: cfg.Caps, Channels: cfg.Channels, Origins: cfg.Origins, Swarm: cfg.Swarm, Limits: cfg.Limits,
		ReportMs: cfg.ReportMs, Locator: cfg.Locator, ClientAddr: cfg.ClientAddr, Cells: cfg.Cells, Log: cfg.Log,
	}
	t := &Tracker{}
	var err error
	if cfg.ICE.Listen != "" {
		if t.ice, err = relay.Start(cfg.ICE); err != nil {
			return nil, err
		}
		settings.ICE = t.ice
	}
	settings.Facts = cluster.NewFacts()
	if cfg.Cluster.Name != "" {
		cfg.Cluster.Secret, cfg.Cluster.Log = cfg.Secret, cfg.Log
		if t.node, err = cluster.Open(cfg.Cluster); err != nil {
			t.closeRelay()
			return nil, err
		}
		settings.Relay, settings.Facts = t.node, t.node.Facts
	}
	if t.server, err = server.New(settings); err != nil {
		if t.node != nil {
			t.node.Abandon()
		}
		t.closeRelay()
		return nil, err
	}
	if t.others, err = cfg.WebTorrent.serve(t.server, cfg); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// WebSocket is the handler for /tracker.
func (t *Tracker) WebSocket() http.Handler { return t.server }

// Stats is the handler for /tracker/stats.json.
func (t *Tracker) Stats() http.Handler { return t.server.Stats() }

// Register adds the tracker's metrics to a registry.
func (t *Tracker) Register(reg prometheus.Registerer) error {
	if t.others != nil {
		if err := t.others.Register(reg); err != nil {
			return err
		}
	}
	if t.node != nil {
		if err := t.node.Register(reg); err != nil {
			return err
		}
	}
	if t.ice != nil {
		if err := t.ice.Register(reg); err != nil {
			return err
		}
	}
	return t.server.Register(reg)
}

// Close says goodbye to everybody and stops. In a cluster, its rooms go to the others first. Call it before the HTTP
// server's Shutdown, which does not know about WebSockets.
func (t *Tracker) Close() {
	t.closing.Do(func() {
		if t.node != nil {
			ctx, cancel := context.WithTimeout(context.Background(), drainWithin)
			defer cancel()
			t.node.Drain(ctx)
		}
		if t.others != nil {
			t.others.Close()
		}
		t.server.Close()
		if t.node != nil {
			t.node.Close()
		}
		t.closeRelay()
	})
}

func (t *Tracker) closeRelay() {
	if t.ice != nil {
		t.ice.Close()
	}
}
