package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/time/rate"
)

const (
	// A client has a control stream, two of QPACK, and may try others that we do not know (RFC 9114, section 6.2).
	unidirectionalStreams = 8
	// unreadBytes is what a client may send to a handler that does not read, on a stream and in all.
	unreadBytes = 64 << 10
	// mostUnreadBytes is the same for one that reads, which needs it for its rate.
	mostUnreadBytes = 2 << 20
	// drainTime is how long a connection stays when its last answer has been written, which then is on its way: HTTP/3 does
	// not tell when it has arrived. HTTP/2 of net/http takes the same.
	drainTime = time.Second
)

// serveQUIC serves HTTP/3. The loops over connections and streams are ours instead of http3.Server's, which would let a client
// take for ever to send its header.
func (s *Server) serveQUIC(ctx context.Context) error {
	unverified := rate.NewLimiter(rate.Limit(s.limits.unverified), 10*s.limits.unverified)
	transport := &quic.Transport{
		Conn:                s.udp,
		ConnContext:         s.admit,
		VerifySourceAddress: func(net.Addr) bool { return !unverified.Allow() },
	}
	defer transport.Close()
	listener, err := transport.ListenEarly(http3.ConfigureTLSConfig(s.cfg.TLS), &quic.Config{
		HandshakeIdleTimeout:           s.limits.handshake,
		MaxIdleTimeout:                 s.limits.lost,
		MaxIncomingStreams:             int64(s.limits.streams),
		MaxIncomingUniStreams:          unidirectionalStreams,
		InitialStreamReceiveWindow:     unreadBytes,
		InitialConnectionReceiveWindow: unreadBytes,
		MaxStreamReceiveWindow:         mostUnreadBytes,
		MaxConnectionReceiveWindow:     mostUnreadBytes,
	})
	if err != nil {
		return fmt.Errorf("HTTP/3 cannot start: %w", err)
	}
	web := &http3.Server{
		Handler:        s.received(ctx),
		MaxHeaderBytes: s.limits.headerBytes,
		IdleTimeout:    s.limits.idle,
		Logger:         slog.New(problems{s.cfg.Logger.Handler()}),
	}
	ctx, cancel := context.WithCancel(ctx)
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	for {
		conn, err := listener.Accept(ctx)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
			}
			return nil
		case err != nil:
			return fmt.Errorf("HTTP/3 stopped: %w", err)
		}
		connections.Go(func() { s.serveConn(ctx, web, conn) })
	}
}

var errFull = errors.New("there are too many connections")

// admit counts a connection from its first packet to its end.
func (s *Server) admit(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if s.guests.Add(1) > int64(s.limits.connections) {
		s.guests.Add(-1)
		return nil, errFull
	}
	context.AfterFunc(ctx, func() { s.guests.Add(-1) })
	return ctx, nil
}

// received is the handler for requests whose header has been read: the rest may take as long as the handler says, or the server runs.
func (s *Server) received(ctx context.Context) http.Handler {
	handler := bounded(s.cfg.Handler, s.limits.answer)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a stream that has ended needs none
		asked, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		handler.ServeHTTP(w, r.WithContext(asked))
	})
}

// serveConn runs one connection to its end.
func (s *Server) serveConn(ctx context.Context, web *http3.Server, conn *quic.Conn) {
	raw, err := web.NewRawServerConn(conn)
	if err != nil {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeInternalError), "")
		return
	}
	var control, requests sync.WaitGroup
	control.Go(func() {
		for {
			stream, err := conn.AcceptUniStream(conn.Context())
			if err != nil {
				return
			}
			control.Go(func() { raw.HandleUnidirectionalStream(stream) })
		}
	})
	for {
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			break
		}
		_ = stream.SetReadDeadline(time.Now().Add(s.limits.header)) // received takes it away
		requests.Go(func() { raw.HandleRequestStream(stream) })
	}
	s.drain(conn, &requests)
	_ = raw.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	requests.Wait()
	control.Wait()
}

// drain lets the requests of a connection finish, if it still stands, and turns new ones away; they may be sent again elsewhere.
func (s *Server) drain(conn *quic.Conn, requests *sync.WaitGroup) {
	grace, cancel := context.WithTimeout(conn.Context(), s.limits.shutdown)
	defer cancel()
	go func() {
		requests.Wait()
		time.AfterFunc(drainTime, cancel)
	}()
	for {
		stream, err := conn.AcceptStream(grace)
		if err != nil {
			return
		}
		stream.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestRejected))
		stream.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestRejected))
	}
}

// problems passes on what went wrong: http3 would log each request.
type problems struct{ slog.Handler }

// Enabled implements slog.Handler.
func (p problems) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo && p.Handler.Enabled(ctx, level)
}
