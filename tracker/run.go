package tracker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"slipstream/tracker/epoll"
	"slipstream/tracker/geo"
	"slipstream/tracker/server"
)

// Run serves a tracker of its own until ctx ends: /tracker, /tracker/stats.json, /announce if wanted, /livez, /readyz, /metrics.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	cfg.Log = server.Discreet(cfg.Log)
	ln := cfg.Listener
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", cfg.Listen); err != nil {
			return listenError(cfg.Listen, err)
		}
	}
	defer ln.Close()
	if len(cfg.Geo) > 0 {
		db, err := geo.Open(cfg.Geo, cfg.Log)
		if err != nil {
			return err
		}
		go db.Watch(ctx)
		cfg.Locator = db
	}
	t, err := NewHandler(cfg)
	if err != nil {
		return err
	}
	defer t.Close()
	defer startThrift()()
	if cfg.Debug != "" {
		stop, err := serveDebug(ctx, cfg.Debug, cfg.DebugAnywhere, cfg.Log)
		if err != nil {
			return err
		}
		defer stop()
	}
	reg, err := t.registry()
	if err != nil {
		return err
	}
	mux := routes(t, reg)
	web := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	at := ln.Addr()
	_, tcp := ln.(*net.TCPListener)
	lean := tcp && epoll.Available && !cfg.Goroutines
	if !lean && len(cfg.Terminators) > 0 {
		ln = behindTerminators(ln, cfg.Terminators, web.ReadHeaderTimeout)
	}
	if !lean && cfg.TLS != nil {
		ln = tls.NewListener(ln, cfg.TLS)
	}
	if lean {
		loops := t.server.Epoll()
		loops.Terminators, loops.TLS = cfg.Terminators, cfg.TLS
		loops.Paths = map[string]epoll.Open{"/tracker": t.server.Open}
		if t.others != nil {
			loops.Paths["/announce"] = t.others.Open
		}
		loops.Known = func(r *http.Request) bool {
			_, pattern := mux.Handler(r)
			return pattern != ""
		}
		sockets, err := epoll.Serve(ln, loops)
		if err != nil {
			return err
		}
		defer sockets.Close()
		ln = sockets.Rest()
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ln) }()
	cfg.Log.Info("the tracker listens", "address", at.String())
	if cfg.Listening != nil {
		defer cfg.Listening(ctx, at)()
	}
	for running := true; running; {
		select {
		case err := <-served:
			return fmt.Errorf("the tracker's HTTP server stopped: %w", err)
		case <-cfg.Hangup:
			t.reread(cfg)
		case <-ctx.Done():
			running = false
		}
	}
	t.Close()
	goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := web.Shutdown(goodbye); err != nil {
		web.Close()
	}
	<-served
	return nil
}

// registry has the tracker's metrics and those of its process.
func (t *Tracker) registry() (*prometheus.Registry, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := t.Register(reg); err != nil {
		return nil, fmt.Errorf("the tracker's metrics: %w", err)
	}
	return reg, nil
}

func routes(t *Tracker, reg *prometheus.Registry) *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, handler := range t.Mounts() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("GET /metrics", newMetricsPage(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), time.Now))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.Handle("GET /readyz", t.Ready())
	return mux
}

// behindTerminators lets those of some networks tell by the PROXY protocol whom they speak for. They must; others cannot.
func behindTerminators(ln net.Listener, networks []netip.Prefix, patience time.Duration) net.Listener {
	return &proxyproto.Listener{Listener: ln, ReadHeaderTimeout: patience, ConnPolicy: func(c proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		from, _ := netip.ParseAddrPort(c.Upstream.String()) // the zero one is in no network
		if slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) }) {
			return proxyproto.REQUIRE, nil
		}
		return proxyproto.SKIP, nil
	}}
}

func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the tracker cannot listen on %s: another program uses that port; stop it, or choose another address", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("the tracker cannot listen on %s: that port needs privileges; choose one above 1023", address)
	}
	return fmt.Errorf("the tracker cannot listen on %q: %w", address, err)
}
