package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"slipstream/origin/ingest/rtc"
)

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
