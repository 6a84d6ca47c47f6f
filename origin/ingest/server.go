package ingest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	srt "github.com/datarhei/gosrt"
	"golang.org/x/sync/errgroup"

	"slipstream/origin/child"
	"slipstream/origin/listen"
)

const (
	greetingTimeout    = 10 * time.Second
	defaultIdleTimeout = 10 * time.Second
	defaultConnections = 64
	// lingerTimeout is how long a refused publisher's bytes are still read, so that the
	// refusal reaches it: closing a connection with unread bytes would throw it away.
	lingerTimeout = time.Second
)

// A Server listens for publishers.
type Server struct {
	cfg      Config
	listener net.Listener
	secure   net.Listener  // nil without Config.RTMPS
	srt      srt.Listener  // nil without Config.SRT
	whip     *whip         // nil without Config.WHIP
	points   *points       // of CMAF
	slots    chan struct{} // one for each connection
	claims   claims
}

// Listen binds the addresses, so that a port in use is noticed before anything else starts.
func Listen(cfg Config) (*Server, error) {
	if cfg.Authorize == nil || cfg.Start == nil && cfg.Package == nil {
		return nil, errors.New("ingest needs Authorize, and Start or Package")
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = defaultIdleTimeout
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = defaultConnections
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, slots: make(chan struct{}, cfg.MaxConnections), claims: newClaims()}
	s.points = newPoints(s)
	if cfg.Package != nil {
		return s, nil // other protocols bring what has to be transcoded
	}
	var err error
	if s.listener, err = net.Listen("tcp", cfg.Address); err != nil {
		return nil, &listen.Error{Protocol: "RTMP", Address: cfg.Address, Err: err}
	}
	if cfg.RTMPS != "" {
		if s.secure, err = tls.Listen("tcp", cfg.RTMPS, cfg.TLS); err != nil {
			s.Close()
			return nil, &listen.Error{Protocol: "RTMPS", Address: cfg.RTMPS, Err: err}
		}
	}
	if cfg.SRT != "" {
		if s.srt, err = listenSRT(cfg); err != nil {
			s.Close()
			return nil, err
		}
	}
	if cfg.WHIP != "" {
		if s.whip, err = listenWHIP(s); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Run listens and serves until the context ends.
func Run(ctx context.Context, cfg Config) error {
	s, err := Listen(cfg)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Addr is the bound address for RTMP, nil if there is none.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// SecureAddr is the bound address for RTMPS, nil if there is none.
func (s *Server) SecureAddr() net.Addr {
	if s.secure == nil {
		return nil
	}
	return s.secure.Addr()
}

// SRTAddr is the bound address for SRT, nil if there is none.
func (s *Server) SRTAddr() net.Addr {
	if s.srt == nil {
		return nil
	}
	return s.srt.Addr()
}

// Close frees the addresses of a server that is not to be served after all.
func (s *Server) Close() error {
	if s.srt != nil {
		s.srt.Close()
	}
	if s.secure != nil {
		s.secure.Close()
	}
	if s.whip != nil {
		s.whip.close()
	}
	s.points.close()
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

// Serve takes publishers until the context ends. When it returns all connections and
// sessions are closed. The error is nil if the context has ended.
func (s *Server) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	group.Go(func() error { // requests come by HTTP, from whom that serves
		<-ctx.Done()
		if s.whip != nil {
			s.whip.close()
		}
		s.points.close()
		return nil
	})
	if s.listener != nil {
		group.Go(func() error { return s.serveRTMP(ctx, "RTMP", s.listener) })
	}
	if s.secure != nil {
		group.Go(func() error { return s.serveRTMP(ctx, "RTMPS", s.secure) })
	}
	if s.srt != nil {
		group.Go(func() error { return s.serveSRT(ctx) })
	}
	return group.Wait()
}

func (s *Server) serveRTMP(ctx context.Context, protocol string, listener net.Listener) error {
	connected, cancel := context.WithCancel(ctx)
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	for {
		conn, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("%s stopped listening: %w", protocol, err)
		case err != nil: // such as too many open files: it passes
			s.cfg.Logger.Warn("a publisher could not be accepted", "error", err)
			child.Sleep(ctx, 100*time.Millisecond)
			continue
		}
		if !s.seat(conn.RemoteAddr()) {
			conn.Close()
			continue
		}
		connections.Go(func() {
			defer func() { <-s.slots }()
			s.serve(connected, protocol, conn)
		})
	}
}

// seat reports whether there is room for one more connection, and takes it.
func (s *Server) seat(remote net.Addr) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
		s.cfg.Logger.Debug("a connection was closed because there are too many", "remote", remote.String(), "most", s.cfg.MaxConnections)
		return false
	}
}

// serve runs one connection to its end, and keeps what goes wrong in it to itself.
func (s *Server) serve(ctx context.Context, protocol string, conn net.Conn) {
	logger := s.cfg.Logger.With("remote", conn.RemoteAddr().String())
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	s.conclude(ctx, logger, func() error { return s.converse(ctx, protocol, conn, logger) })
}

// conclude runs a connection and logs how it came to its end.
func (s *Server) conclude(ctx context.Context, logger *slog.Logger, connection func() error) {
	defer func() {
		if p := recover(); p != nil { // a defect of a library must not take all channels off the air
			logger.Error("a publisher's bytes made their reader panic", "panic", p)
		}
	}()
	err := connection()
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errEnded):
		logger.Info("the publisher has ended the stream")
	case errors.Is(err, io.EOF):
		logger.Info("the publisher has hung up")
	case errors.Is(err, os.ErrDeadlineExceeded):
		logger.Warn("the publisher was silent for too long", "error", err)
	default:
		logger.Warn("the publisher was sent away", "error", err)
	}
}

// converse is the whole of a connection. It always returns an error, which says how the
// connection came to its end.
func (s *Server) converse(ctx context.Context, protocol string, conn net.Conn, logger *slog.Logger) error {
	if err := conn.SetDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return err
	}
	if secure, ok := conn.(*tls.Conn); ok {
		if err := secure.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("the TLS handshake failed: %w", err)
		}
	}
	c, err := greet(conn)
	if err != nil {
		return err
	}
	err = s.publish(ctx, protocol, c, conn, logger)
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		sendAway(c, conn, refused.sentence)
	}
	return err
}

// sendAway tells the client why, and waits a moment for it to read that.
func sendAway(c *rtmp, conn net.Conn, sentence string) {
	_ = conn.SetDeadline(time.Now().Add(lingerTimeout))
	if c.status("error", "NetStream.Publish.BadName", sentence) != nil {
		return
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil { // TCP and TLS
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, 16<<20))
	}
}

func (s *Server) publish(ctx context.Context, protocol string, c *rtmp, conn net.Conn, logger *slog.Logger) error {
	wish, err := c.negotiate()
	if err != nil {
		return err
	}
	channel, err := s.cfg.Authorize(wish.app, wish.key, conn.RemoteAddr().String())
	if err != nil {
		return refuse("%v", err)
	}
	logger = logger.With("channel", channel)
	claim, err := s.claims.take(ctx, channel, conn.RemoteAddr().String())
	if err != nil {
		return err
	}
	defer claim.release()
	if err := c.admit(); err != nil {
		return err
	}
	f := s.feed(ctx, protocol, channel, logger)
	defer f.hangUp(claim) // also if the RTMP reader panics
	return s.pump(ctx, c, conn, f)
}

// feed is what a publisher's pictures and sound go to.
func (s *Server) feed(ctx context.Context, protocol, channel string, logger *slog.Logger) *feed {
	logger.Info("a publisher has connected", "protocol", protocol)
	return &feed{channel: channel, protocol: protocol, logger: logger, start: func(p Publication) (Session, error) {
		return s.cfg.Start(ctx, p)
	}}
}

// pump moves messages from the connection to the feed.
func (s *Server) pump(ctx context.Context, c *rtmp, conn net.Conn, f *feed) error {
	for {
		if err := conn.SetDeadline(time.Now().Add(s.cfg.IdleTimeout)); err != nil {
			return err
		}
		m, err := c.next()
		if err != nil {
			return err
		}
		holdBack, err := f.take(m, time.Now())
		if err != nil {
			return err
		}
		if holdBack > 0 && !child.Sleep(ctx, holdBack) {
			return ctx.Err()
		}
	}
}
