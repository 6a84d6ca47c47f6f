// Package tracker introduces the viewers of a channel to each other, carries their signalling, and deals out who fetches
// what from the CDN. NewHandler makes it a part of another server (slipstream up, slipstream origin); Run is a server of
// its own (slipstream tracker).
//
// The parts, each of which can be read alone: announce is the protocol, swarm the decisions, server the WebSockets.
package tracker

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/server"
	"slipstream/tracker/swarm"
)

// Config says what to serve. Only Secret is required; package server explains the fields that it shares with it.
type Config struct {
	Secret     []byte         // of the tokens, the same as the origin's; ReadSecret reads it
	Channels   []string       // channel ids that are served; empty = every channel with a token
	Origins    []string       // web origins whose pages may connect, as patterns; empty = any
	Swarm      swarm.Config   // policy
	Limits     server.Limits  // of what clients can use up
	Locator    server.Locator // where addresses are; nil = only their networks tell
	ReportMs   int64          // interval of reports [5000]
	ClientAddr func(*http.Request) netip.Addr
	Log        *slog.Logger // nil = slog.Default

	// For Run only.
	Listen   string       // address to listen on, such as ":8081"
	Listener net.Listener // to be used instead of Listen
}

// Tracker is a running tracker without a listener.
type Tracker struct{ server *server.Server }

// NewHandler starts a tracker whose handlers the caller mounts. Close stops it.
func NewHandler(cfg Config) (*Tracker, error) {
	s, err := server.New(server.Config{
		Secret: cfg.Secret, Channels: cfg.Channels, Origins: cfg.Origins, Swarm: cfg.Swarm, Limits: cfg.Limits,
		ReportMs: cfg.ReportMs, Locator: cfg.Locator, ClientAddr: cfg.ClientAddr, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Tracker{s}, nil
}

// WebSocket is the handler for /tracker.
func (t *Tracker) WebSocket() http.Handler { return t.server }

// Stats is the handler for /tracker/stats.json.
func (t *Tracker) Stats() http.Handler { return t.server.Stats() }

// Register adds the tracker's metrics to a registry.
func (t *Tracker) Register(reg prometheus.Registerer) error { return t.server.Register(reg) }

// Close says goodbye to everybody and stops. Call it before the HTTP server's Shutdown, which does not know about
// WebSockets.
func (t *Tracker) Close() { t.server.Close() }
