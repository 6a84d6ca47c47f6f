package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipstream/origin/ingest/rtc"
	"slipstream/origin/listen"
)

const (
	// whipApp is the application that Authorize is asked for: WHIP has a channel and a key.
	whipApp = "live"
	// whipBody is how long a request's body may take.
	whipBody = 10 * time.Second
	// maxFragment is how many bytes further candidates may have.
	maxFragment = 16 << 10
	sdpType     = "application/sdp"
	sdpFragment = "application/trickle-ice-sdpfrag"
)

// whip is WHIP (RFC 9725) at work.
type whip struct {
	server *Server
	engine *rtc.Engine
	ctx    context.Context // of all sessions
	close  func()          // ends all sessions, and returns when they have ended

	mu       sync.Mutex
	sessions map[string]*whipSession
	closed   bool
	running  sync.WaitGroup // one for each session; none begins once closed
}

// A whipSession is one publisher's. Its id, which only that publisher is told, is also the tag of its ICE session: there is one.
type whipSession struct {
	id      string
	channel string // or BackupOf one
	conn    *rtc.Connection
	claim   *claim
	logger  *slog.Logger
	ctx     context.Context // of its reception
	end     context.CancelCauseFunc
}

func listenWHIP(s *Server) (*whip, error) {
	engine, err := rtc.Listen(rtc.Config{Address: s.cfg.WHIP, Public: s.cfg.WHIPHost, Logger: s.cfg.Logger})
	if err != nil {
		return nil, &listen.Error{Protocol: "WHIP", Address: s.cfg.WHIP, Err: err}
	}
	w := &whip{server: s, engine: engine, sessions: make(map[string]*whipSession)}
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithCancel(context.Background())
	w.close = sync.OnceFunc(func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		cancel()
		w.running.Wait()
		engine.Close()
	})
	return w, nil
}

// WHIPAddr is the bound UDP address for the media of WHIP, nil if there is none.
func (s *Server) WHIPAddr() net.Addr {
	if s.whip == nil {
		return nil
	}
	return s.whip.engine.Addr()
}

// WHIP handles what is below /whip/, nil without Config.WHIP:
//
//	POST   /whip/<channel>             an offer; answers 201, the answer, and where the session is
//	PATCH  /whip/<channel>/<session>   further candidates
//	DELETE /whip/<channel>/<session>   the end
//
// each with the channel's stream key as a bearer token. Requests made by pages of any origin are allowed.
func (s *Server) WHIP() http.Handler {
	if s.whip == nil {
		return nil
	}
	mux := http.NewServeMux()
	handle := func(method, path string, handler func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := handler(w, r); err != nil {
				s.whip.refuse(w, r, err)
			}
		})
	}
	const endpoint, session = "/whip/{channel}", "/whip/{channel}/{session}"
	handle("POST", endpoint, s.whip.begin)
	handle("PATCH", session, s.whip.trickle)
	handle("DELETE", session, s.whip.delete)
	preflight := func(methods string) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, _ *http.Request) error {
			h := w.Header()
			h.Set("Access-Control-Allow-Methods", methods)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
			h.Set("Access-Control-Max-Age", "86400")
			h.Set("Accept-Post", sdpType)
			h.Set("Accept-Patch", sdpFragment)
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	handle("OPTIONS", endpoint, preflight("POST, OPTIONS"))
	handle("OPTIONS", session, preflight("PATCH, DELETE, OPTIONS"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "Location, ETag, Retry-After")
		mux.ServeHTTP(w, r)
	})
}

// An answerError is a refusal with its HTTP status.
type answerError struct {
	status int
	err    error
}

func (e *answerError) Error() string { return e.err.Error() }
func (e *answerError) Unwrap() error { return e.err }

func answer(status int, format string, args ...any) error {
	return &answerError{status, fmt.Errorf(format, args...)}
}

// refuse tells a client what is wrong, and the operator too.
func (w *whip) refuse(to http.ResponseWriter, r *http.Request, err error) {
	status, sentence := http.StatusInternalServerError, "something went wrong here; it was logged"
	if known := (*answerError)(nil); errors.As(err, &known) {
		status, sentence = known.status, err.Error()
	}
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		sentence = refused.sentence // without what only the operator is told
	}
	h := to.Header()
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="stream key"`)
	case http.StatusUnsupportedMediaType:
		h.Set("Accept-Post", sdpType)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(5))
	}
	h.Set("Cache-Control", "no-store")
	w.server.cfg.Logger.Warn("the publisher was sent away", "remote", r.RemoteAddr, "protocol", "WHIP", "status", status, "error", err)
	http.Error(to, sentence, status)
}

// authorize reads the bearer token (RFC 6750), which must be a stream key of the path's channel. It returns the place that it is for.
func (w *whip) authorize(r *http.Request) (place string, err error) {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if key = strings.TrimSpace(key); !strings.EqualFold(scheme, "Bearer") || key == "" {
		return "", answer(http.StatusUnauthorized, "the stream key is missing: send it as a bearer token")
	}
	place, err = w.server.cfg.Authorize(whipApp, key, r.RemoteAddr)
	channel, _ := SplitPlace(place)
	switch {
	case err != nil:
		return "", &answerError{http.StatusUnauthorized, err}
	case channel != r.PathValue("channel"):
		return "", answer(http.StatusForbidden, "this stream key is not that of the channel %s", quoted(r.PathValue("channel")))
	}
	return place, nil
}

// readBody reads a body of one type.
func readBody(w http.ResponseWriter, r *http.Request, mediaType string, most int64) ([]byte, error) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != mediaType {
		return nil, answer(http.StatusUnsupportedMediaType, "this address takes %s", mediaType)
	}
	// Where it is not possible the server's own limits hold.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(whipBody))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, answer(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", most)
	case err != nil:
		return nil, answer(http.StatusBadRequest, "the body could not be read: %w", err)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}

// begin answers an offer.
func (w *whip) begin(to http.ResponseWriter, r *http.Request) error {
	place, err := w.authorize(r)
	if err != nil {
		return err
	}
	body, err := readBody(to, r, sdpType, rtc.MaxOffer)
	if err != nil {
		return err
	}
	offer, err := rtc.ReadOffer(body)
	if err != nil {
		return unusable(err)
	}
	select {
	case w.server.slots <- struct{}{}:
	default:
		return answer(http.StatusServiceUnavailable, "there are too many publishers here at the moment")
	}
	session, text, err := w.open(r.Context(), place, r.RemoteAddr, offer)
	if err != nil {
		<-w.server.slots
		return err
	}
	h := to.Header()
	h.Set("Location", "/whip/"+r.PathValue("channel")+"/"+session.id)
	h.Set("ETag", session.tag())
	h.Set("Content-Type", sdpType)
	h.Set("Cache-Control", "no-store")
	to.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(to, text) // a client that has gone sends no picture, and that ends the session
	return nil
}

// unusable is the answer to what the publisher proposes.
func unusable(err error) error {
	if errors.Is(err, rtc.ErrMalformed) {
		return &answerError{http.StatusBadRequest, err}
	}
	return &answerError{http.StatusUnprocessableEntity, err}
}

// open begins a session and starts its goroutine, which has the connection's slot then.
func (w *whip) open(ctx context.Context, channel, remote string, offer rtc.Offer) (_ *whipSession, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, greetingTimeout)
	defer cancel()
	claim, err := w.server.claims.take(ctx, channel, remote)
	if err != nil {
		if refused := (*refusal)(nil); errors.As(err, &refused) {
			return nil, "", &answerError{http.StatusConflict, err}
		}
		return nil, "", answer(http.StatusServiceUnavailable, "the publisher before has not quite gone: %w", err)
	}
	defer func() {
		if err != nil {
			claim.release()
		}
	}()
	conn, text, err := w.engine.Answer(ctx, offer)
	if err != nil {
		return nil, "", unusable(err)
	}
	s := &whipSession{
		id: rand.Text(), channel: channel, conn: conn, claim: claim,
		logger: w.server.cfg.Logger.With("remote", remote, "channel", channel),
	}
	s.ctx, s.end = context.WithCancelCause(w.ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		conn.Close()
		return nil, "", answer(http.StatusServiceUnavailable, "this origin is stopping")
	}
	w.sessions[s.id] = s
	w.running.Go(func() { w.run(s) })
	return s, text, nil
}

// run is a session from the answer to its end.
func (w *whip) run(s *whipSession) {
	defer func() {
		w.mu.Lock()
		delete(w.sessions, s.id)
		w.mu.Unlock()
		s.end(nil)
		s.claim.release()
		<-w.server.slots
	}()
	w.server.conclude(w.ctx, s.logger, func() error { return w.receive(s) })
}

func (w *whip) receive(s *whipSession) error {
	f := w.server.feed(w.ctx, "WHIP", s.channel, s.logger)
	defer f.hangUp(s.claim)
	defer s.conn.Close()
	most := w.server.cfg.IdleTimeout
	late := time.AfterFunc(most, func() {
		s.end(fmt.Errorf("no picture has come for %v: %w", most, os.ErrDeadlineExceeded))
	})
	defer late.Stop()
	return s.conn.Receive(s.ctx, rtpFeed{f, func() { late.Reset(most) }})
}

// find is the session that a request is about.
func (w *whip) find(r *http.Request) (*whipSession, error) {
	channel, err := w.authorize(r)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sessions[r.PathValue("session")]
	if s == nil || s.channel != channel {
		return nil, answer(http.StatusNotFound, "there is no such session: it has ended, or never was")
	}
	return s, nil
}

func (s *whipSession) tag() string { return `"` + s.id[:8] + `"` }

// trickle takes further candidates. ICE cannot be started anew.
func (w *whip) trickle(to http.ResponseWriter, r *http.Request) error {
	s, err := w.find(r)
	if err != nil {
		return err
	}
	body, err := readBody(to, r, sdpFragment, maxFragment)
	if err != nil {
		return err
	}
	switch match := r.Header.Get("If-Match"); match {
	case "":
		return answer(http.StatusPreconditionRequired, "which ICE session is meant must be said: send If-Match")
	case "*":
		return answer(http.StatusUnprocessableEntity, "ICE cannot be started anew here: end this session and begin another")
	case s.tag():
	default:
		return answer(http.StatusPreconditionFailed, "this is not the ICE session %s", quoted(match))
	}
	fragment, err := rtc.ReadFragment(body)
	if err == nil {
		err = s.conn.Trickle(fragment)
	}
	if err != nil {
		return unusable(err)
	}
	to.WriteHeader(http.StatusNoContent)
	return nil
}

// delete ends a session. The channel is free for the next publisher as soon as the last segments are out.
func (w *whip) delete(to http.ResponseWriter, r *http.Request) error {
	s, err := w.find(r)
	if err != nil {
		return err
	}
	s.claim.end()
	s.end(errEnded)
	to.WriteHeader(http.StatusOK)
	return nil
}
