package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"slipstream/origin/listen"
)

// Config describes what is served, and where.
type Config struct {
	HTTP    string      // address to listen on, such as ":8080"
	HTTPS   string      // likewise; "" for no HTTPS
	HTTP3   bool        // HTTP/3 over the UDP port of HTTPS's number
	TLS     *tls.Config // with the certificate, for HTTPS
	Handler http.Handler
	Lane    Lane         // answers some requests over plain HTTP/1.1 in the handler's place; nil: none
	Logger  *slog.Logger // nil: nothing is logged
}

// A Server has its addresses bound.
type Server struct {
	cfg    Config
	limits limits
	plain  net.Listener
	secure net.Listener // nil without HTTPS
	udp    *net.UDPConn // nil without HTTP/3
	guests atomic.Int64 // connections over QUIC, with those that are still being made
}

// Listen binds the addresses, so that a port in use is noticed before anything else starts.
func Listen(cfg Config) (_ *Server, err error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, limits: usual}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.plain, err = net.Listen("tcp", cfg.HTTP); err != nil {
		return nil, &listen.Error{Protocol: "HTTP", Address: cfg.HTTP, Err: err}
	}
	if cfg.HTTPS == "" {
		return s, nil
	}
	if s.secure, err = net.Listen("tcp", cfg.HTTPS); err != nil {
		return nil, &listen.Error{Protocol: "HTTPS", Address: cfg.HTTPS, Err: err}
	}
	if cfg.HTTP3 {
		tcp := s.secure.Addr().(*net.TCPAddr)
		address := &net.UDPAddr{IP: tcp.IP, Port: tcp.Port, Zone: tcp.Zone}
		if s.udp, err = net.ListenUDP("udp", address); err != nil {
			return nil, &listen.Error{Protocol: "HTTP/3", Address: address.String(), Err: err}
		}
	}
	return s, nil
}

// Addr is the bound address of HTTP.
func (s *Server) Addr() net.Addr { return s.plain.Addr() }

// SecureAddr is the bound address of HTTPS, and of HTTP/3 over UDP; nil if there is none.
func (s *Server) SecureAddr() net.Addr {
	if s.secure == nil {
		return nil
	}
	return s.secure.Addr()
}

// Close frees the addresses of a server that is not to be served after all.
func (s *Server) Close() {
	if s.plain != nil {
		s.plain.Close()
	}
	if s.secure != nil {
		s.secure.Close()
	}
	if s.udp != nil {
		s.udp.Close()
	}
}

// Serve serves until ctx ends; then answers under way may finish, and what still holds on is cut off. The error is nil if ctx has ended.
func (s *Server) Serve(ctx context.Context) error {
	defer s.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.serveTCP(ctx, "HTTP", s.plain, s.cfg.Handler) })
	if s.secure != nil {
		group.Go(func() error { return s.serveTCP(ctx, "HTTPS", s.secure, s.advertised()) })
	}
	if s.udp != nil {
		group.Go(func() error { return s.serveQUIC(ctx) })
	}
	return group.Wait()
}

// advertised is the handler for HTTPS: it tells those who come over TCP that HTTP/3 is there (RFC 7838).
func (s *Server) advertised() http.Handler {
	handler := bounded(s.cfg.Handler, s.limits.answer)
	if s.udp == nil {
		return handler
	}
	service := fmt.Sprintf(`h3=":%d"; ma=86400`, s.udp.LocalAddr().(*net.UDPAddr).Port)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", service)
		handler.ServeHTTP(w, r)
	})
}

// serveTCP serves HTTP/1.1, and over TLS HTTP/2 as well.
func (s *Server) serveTCP(ctx context.Context, protocol string, listener net.Listener, handler http.Handler) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: s.limits.header, // and for a TLS handshake
		IdleTimeout:       s.limits.idle,
		MaxHeaderBytes:    s.limits.headerBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          s.limits.streams,
			WriteByteTimeout:              s.limits.stalled,
			MaxReceiveBufferPerConnection: 256 << 10,
			MaxReceiveBufferPerStream:     256 << 10,
		},
		ErrorLog: slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
		// Handlers that hold a connection (the tracker's WebSockets) learn of the end from their request's context.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: known,
		ConnState:   resumed,
	}
	secure := protocol == "HTTPS"
	var lane Lane
	if !secure {
		lane = s.cfg.Lane
	}
	guarded := limited(listener.(*net.TCPListener), lane, &s.limits)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.shutdown)
		defer cancel()
		guarded.retire()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
		guarded.finishing.Wait() // which have a deadline
	})
	var err error
	if secure {
		srv.TLSConfig = s.cfg.TLS.Clone() // which it completes
		err = srv.ServeTLS(guarded, "", "")
	} else {
		err = srv.Serve(guarded)
	}
	if stop() { // nobody asked it to end
		srv.Close()
		return fmt.Errorf("%s stopped: %w", protocol, err)
	}
	<-stopped
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return err
}
