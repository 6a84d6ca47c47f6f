package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	srt "github.com/datarhei/gosrt"

	"slipstream/origin/listen"
)

// listenSRT binds the address. Publishers and this side agree on the greater of their latencies: the time that a lost packet
// has to be sent again, by default 120 ms.
func listenSRT(cfg Config) (srt.Listener, error) {
	listener, err := srt.Listen("srt", cfg.SRT, srt.DefaultConfig())
	if err != nil {
		return nil, &listen.Error{Protocol: "SRT", Address: cfg.SRT, Err: err}
	}
	return listener, nil
}

func (s *Server) serveSRT(ctx context.Context) error {
	connected, cancel := context.WithCancel(ctx)
	var connections sync.WaitGroup
	defer connections.Wait()
	defer cancel()
	for {
		request, err := s.srt.Accept2()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("SRT stopped listening: %w", err)
		case !s.seat(request.RemoteAddr()):
			request.Reject(srt.REJX_OVERLOAD)
			continue
		}
		connections.Go(func() {
			defer func() { <-s.slots }()
			logger := s.cfg.Logger.With("remote", request.RemoteAddr().String())
			s.conclude(connected, logger, func() error { return s.receive(connected, request, logger) })
		})
	}
}

// receive is the whole of an SRT connection. SRT has no words for a refusal but a number (SRT Access Control, "Rejection codes").
func (s *Server) receive(ctx context.Context, request srt.ConnRequest, logger *slog.Logger) error {
	app, key := readStreamID(request.StreamId())
	channel, err := s.cfg.Authorize(app, key, request.RemoteAddr().String())
	if err != nil {
		request.Reject(srt.REJX_UNAUTHORIZED)
		return err
	}
	logger = logger.With("channel", channel)
	claim, err := s.claims.take(ctx, channel, request.RemoteAddr().String())
	if err != nil {
		request.Reject(srt.REJX_CONFLICT)
		return err
	}
	defer claim.release()
	conn, err := request.Accept()
	if err != nil {
		return fmt.Errorf("the SRT handshake failed: %w", err)
	}
	f := s.feed(ctx, "SRT", channel, logger)
	defer f.hangUp(claim)
	w := watch(conn, s.cfg.IdleTimeout)
	defer w.stop()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	return w.why((&transport{feed: f, ctx: ctx, progress: w.progress}).read(w))
}

// readStreamID takes application and key from a stream id, either plain or in the form of SRT Access Control.
func readStreamID(id string) (app, key string) {
	if fields, ok := strings.CutPrefix(id, "#!::"); ok {
		id = ""
		for field := range strings.SplitSeq(fields, ",") {
			if name, value, _ := strings.Cut(field, "="); name == "r" {
				id = value
			}
		}
	}
	return splitPath(id, "")
}

// mostSilent is how many bytes may come without a picture: the greatest picture and a second of fast sound.
const mostSilent = 16 << 20

// A watched connection is closed when no picture has come for a while, in time or in bytes. gosrt has no deadlines.
type watched struct {
	conn  io.ReadCloser
	most  time.Duration
	timer *time.Timer
	left  int64
	late  atomic.Bool
}

func watch(conn io.ReadCloser, most time.Duration) *watched {
	w := &watched{conn: conn, most: most, left: mostSilent}
	w.timer = time.AfterFunc(most, func() {
		w.late.Store(true)
		conn.Close()
	})
	return w
}

func (w *watched) progress() {
	w.left = mostSilent
	w.timer.Reset(w.most)
}

func (w *watched) stop() {
	w.timer.Stop()
	w.conn.Close()
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, fmt.Errorf("the publisher sent %d bytes without a picture", mostSilent)
	}
	n, err := w.conn.Read(p)
	w.left -= int64(n)
	return n, err
}

// why makes the end of a connection that we closed say so.
func (w *watched) why(err error) error {
	if w.late.Load() {
		return fmt.Errorf("no picture has come for %v: %w", w.most, os.ErrDeadlineExceeded)
	}
	if errors.Is(err, srt.ErrClientClosed) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
