package ingest

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
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
