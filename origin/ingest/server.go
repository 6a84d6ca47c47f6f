package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"slipstream/origin/child"
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
	slots    chan struct{} // one for each connection

	mu         sync.Mutex
	publishers map[string]*publisher
}

// A publisher holds a channel.
type publisher struct {
	remote string
	ending bool          // its last segments are on their way
	gone   chan struct{} // closed when the channel is free
}

// Listen binds the address, so that a port in use is noticed before anything else starts.
func Listen(cfg Config) (*Server, error) {
	if cfg.Authorize == nil || cfg.Start == nil {
		return nil, errors.New("ingest needs Authorize and Start")
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
	listener, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("RTMP cannot listen on %s: %w", cfg.Address, err)
	}
	return &Server{
		cfg: cfg, listener: listener,
		slots:      make(chan struct{}, cfg.MaxConnections),
		publishers: make(map[string]*publisher),
	}, nil
}

// Run listens and serves until the context ends.
func Run(ctx context.Context, cfg Config) error {
	s, err := Listen(cfg)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Addr is the bound address.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close frees the address of a server that is not to be served after all.
func (s *Server) Close() error { return s.listener.Close() }

// Serve takes publishers until the context ends. When it returns all connections and
// sessions are closed. The error is nil if the context has ended.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	for {
		conn, err := s.listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("RTMP stopped listening: %w", err)
		case err != nil: // such as too many open files: it passes
			s.cfg.Logger.Warn("a publisher could not be accepted", "error", err)
			child.Sleep(ctx, 100*time.Millisecond)
			continue
		}
		select {
		case s.slots <- struct{}{}:
		default:
			s.cfg.Logger.Debug("a connection was closed because there are too many", "remote", conn.RemoteAddr().String(), "most", s.cfg.MaxConnections)
			conn.Close()
			continue
		}
		connections.Go(func() {
			defer func() { <-s.slots }()
			s.serve(ctx, conn)
		})
	}
}

// serve runs one connection to its end, and keeps what goes wrong in it to itself.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	logger := s.cfg.Logger.With("remote", conn.RemoteAddr().String())
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer func() {
		if p := recover(); p != nil { // a defect of a library must not take all channels off the air
			logger.Error("a publisher's bytes made the RTMP reader panic", "panic", p)
		}
	}()
	err := s.converse(ctx, conn, logger)
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
func (s *Server) converse(ctx context.Context, conn net.Conn, logger *slog.Logger) error {
	if err := conn.SetDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return err
	}
	c, err := greet(conn)
	if err != nil {
		return err
	}
	err = s.publish(ctx, c, conn, logger)
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
	if tcp, ok := conn.(*net.TCPConn); ok && tcp.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, 16<<20))
	}
}

func (s *Server) publish(ctx context.Context, c *rtmp, conn net.Conn, logger *slog.Logger) error {
	wish, err := c.negotiate()
	if err != nil {
		return err
	}
	channel, err := s.cfg.Authorize(wish.app, wish.key)
	if err != nil {
		return refuse("%v", err)
	}
	logger = logger.With("channel", channel)
	p, err := s.claim(ctx, channel, conn.RemoteAddr().String())
	if err != nil {
		return err
	}
	defer s.release(channel, p)
	if err := c.admit(); err != nil {
		return err
	}
	logger.Info("a publisher has connected")
	f := &feed{channel: channel, logger: logger, start: func(p Publication) (Session, error) {
		return s.cfg.Start(ctx, p)
	}}
	defer func() { // also if the RTMP reader panics
		s.ending(p)
		if err := f.end("the publisher has gone"); err != nil {
			logger.Error("a session did not end well", "error", err)
		}
	}()
	return s.pump(ctx, c, conn, f)
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

// claim takes a channel for one publisher. If the publisher before is just leaving, it
// waits for its last segments: encoders that reconnect are quick.
func (s *Server) claim(ctx context.Context, channel, remote string) (*publisher, error) {
	for {
		s.mu.Lock()
		other := s.publishers[channel]
		if other == nil {
			p := &publisher{remote: remote, gone: make(chan struct{})}
			s.publishers[channel] = p
			s.mu.Unlock()
			return p, nil
		}
		ending := other.ending
		s.mu.Unlock()
		if !ending {
			// Only the operator is told who that is.
			return nil, fmt.Errorf("%w: %s", refuse("the channel %s already has a publisher", quoted(channel)), other.remote)
		}
		select {
		case <-other.gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Server) ending(p *publisher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.ending = true
}

func (s *Server) release(channel string, p *publisher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.publishers, channel)
	close(p.gone)
}
