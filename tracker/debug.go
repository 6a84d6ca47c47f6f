package tracker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"
)

// serveDebug serves profiles of the running program at an address of their own, until ctx ends. They show memory, and
// taking one costs a core, so that address is of this machine alone unless anywhere is allowed.
func serveDebug(ctx context.Context, address string, anywhere bool, log *slog.Logger) (stop func(), err error) {
	if !anywhere && !isLoopback(address) {
		return nil, fmt.Errorf("profiles at %q could be read by other machines: take an address such as 127.0.0.1:6060, or allow it by --debug-anywhere", address)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, listenError(address, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	ctx, cancel := context.WithCancel(ctx)
	web := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		web.Serve(ln) // ends by Close
	}()
	log.Info("profiles are served", "address", ln.Addr().String())
	return func() {
		cancel() // a profile that is being taken ends early
		web.Close()
		<-served
	}, nil
}

// isLoopback tells whether only this machine can connect to an address. A name that is looked up could be anybody's.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
