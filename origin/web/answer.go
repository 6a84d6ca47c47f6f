package web

import (
	"net/http"
	"time"
)

// answer bounds the time that a client of HTTP/2 or HTTP/3 may take to accept an answer, from its first byte on. Such a client can stop a
// stream without stopping its connection, and where there is no socket buffer even the shortest answer waits for it. A handler that has more
// to say, or to say for longer, sets a write deadline of its own.
type answer struct {
	http.ResponseWriter
	within time.Duration
	bound  bool
}

// bounded is the handler with bounded answers. HTTP/1.1 keeps its own writer, which can be hijacked.
func bounded(handler http.Handler, within time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			handler.ServeHTTP(w, r)
			return
		}
		a := &answer{ResponseWriter: w, within: within}
		defer a.begin() // what was kept back, and what has no body, is written now
		handler.ServeHTTP(a, r)
	})
}

func (a *answer) begin() {
	if !a.bound {
		_ = a.SetWriteDeadline(time.Now().Add(a.within)) // fails if the client is gone
	}
}

// SetWriteDeadline implements what http.ResponseController looks for.
func (a *answer) SetWriteDeadline(deadline time.Time) error {
	a.bound = true
	return http.NewResponseController(a.ResponseWriter).SetWriteDeadline(deadline)
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(p)
}

// FlushError implements what http.ResponseController looks for.
func (a *answer) FlushError() error {
	a.begin()
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() }

// Unwrap leads http.ResponseController to the rest.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
