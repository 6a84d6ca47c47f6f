package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

// A point is a publishing point in use: one publication, by as many requests as it has tracks and segments.
type point struct {
	points                     *points
	channel, publisher, remote string
	logger                     *slog.Logger
	ctx                        context.Context
	cancel                     context.CancelCauseFunc
	begun                      chan struct{} // closed when the channel has been claimed, or failed to be
	gone                       chan struct{} // closed when the channel is free again

	// Guarded by points.mu:
	active int // requests under way
	ended  bool
	timer  *time.Timer // while there are none

	// Set before begun is closed:
	failed    error
	claim     *claim
	packaging Packaging   // nil: it is to be transcoded,
	feeder    *cmafFeeder // by this

	mu     sync.Mutex // guards the rest
	tracks map[string]*track
	more   chan struct{} // closed, and replaced, when an init section has come
	kept   keptInits     // of tracks that come in segments
}

// begin claims the channel.
func (o *point) begin(ctx context.Context) (err error) {
	defer close(o.begun)
	defer func() {
		if err != nil {
			o.failed = err
			o.abandon()
		}
	}()
	server := o.points.server
	if o.claim, err = server.claims.take(ctx, o.channel, o.remote); err != nil {
		if refused := (*refusal)(nil); errors.As(err, &refused) {
			return &answerError{http.StatusConflict, err}
		}
		return answer(http.StatusServiceUnavailable, "the publisher before has not quite gone: %w", err)
	}
	if server.cfg.Package != nil {
		if o.packaging, err = server.cfg.Package(o.channel); err != nil {
			o.claim.release()
			return answer(http.StatusServiceUnavailable, "the channel cannot be published at the moment: %v", err)
		}
		o.logger.Info("an encoder has connected", "protocol", "CMAF")
	} else {
		o.feeder = newCMAFFeeder(o)
	}
	o.points.mu.Lock()
	defer o.points.mu.Unlock()
	if o.points.closed {
		o.claim.release()
		if o.packaging != nil {
			_ = o.packaging.Close() // nothing was taken
		}
		return answer(http.StatusServiceUnavailable, "this origin is stopping")
	}
	o.points.running.Go(o.run)
	return nil
}

// abandon gives the place back of a publication that could not begin.
func (o *point) abandon() {
	o.points.mu.Lock()
	defer o.points.mu.Unlock()
	o.ended = true
	o.cancel(o.failed)
	delete(o.points.open, o.channel)
	close(o.gone)
}

// run is a publication from its first request to its end.
func (o *point) run() {
	server := o.points.server
	server.conclude(o.points.ctx, o.logger, func() error {
		if o.feeder != nil {
			return o.feeder.run()
		}
		<-o.ctx.Done()
		return context.Cause(o.ctx)
	})
	o.claim.end()
	o.points.mu.Lock()
	o.ended = true
	o.points.mu.Unlock()
	o.cancel(errEnded)
	if o.packaging != nil {
		if err := o.packaging.Close(); err != nil {
			o.logger.Error("a publication did not end well", "error", err)
		}
	}
	o.claim.release()
	o.points.mu.Lock()
	delete(o.points.open, o.channel)
	o.points.mu.Unlock()
	close(o.gone)
}

// leave ends a request. Without one the publication ends too: at once if its track has come to its end, else after a while.
func (o *point) leave(trackEnded bool) {
	o.points.mu.Lock()
	defer o.points.mu.Unlock()
	if o.active--; o.active > 0 || o.ended {
		return
	}
	if trackEnded && o.packaging == nil {
		o.ended = true
		o.cancel(errEnded)
		return
	}
	if o.timer != nil {
		o.timer.Stop()
	}
	most := segmentPatience * o.points.server.cfg.IdleTimeout
	if o.packaging != nil {
		most = encoderPatience
	}
	o.timer = time.AfterFunc(most, func() {
		o.points.mu.Lock()
		defer o.points.mu.Unlock()
		if o.active == 0 && !o.ended {
			o.ended = true
			o.cancel(fmt.Errorf("nothing has come for %v: %w", most, os.ErrDeadlineExceeded))
		}
	})
}
