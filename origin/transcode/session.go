package transcode

import (
	"context"
	"errors"
	"time"

	"slipstream/origin/child"
)

// errRenew ends a run whose timestamps are about to wrap around.
var errRenew = errors.New("the run has lasted for a day")

// live is the session's goroutine: one run of ffmpeg after the other.
func (s *Session) live(ctx context.Context) {
	defer close(s.done)
	backoff := child.Backoff{Least: 250 * time.Millisecond, Most: 10 * time.Second}
	for {
		first, ok := s.nextKeyframe(ctx)
		if !ok {
			return
		}
		began := time.Now()
		err := s.encode(ctx, first)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case errors.Is(err, errRenew):
			s.cfg.Logger.Info("the encoder is started anew", "reason", err)
			continue
		}
		wait := backoff.Next(time.Since(began))
		s.cfg.Logger.Error("the transcoder failed and is started again", "error", err, "pause", wait)
		if !s.discard(ctx, wait) {
			return
		}
	}
}

// nextKeyframe drops samples up to a key frame. It is false when there will be none.
func (s *Session) nextKeyframe(ctx context.Context) (sample, bool) {
	for {
		select {
		case <-ctx.Done():
			return sample{}, false
		case m, ok := <-s.queue:
			if !ok {
				return sample{}, false
			}
			s.queued.Add(int64(-m.size))
			if m.keyframe {
				return m, true
			}
		}
	}
}

// discard drops what arrives within d. It is false when the session is over.
func (s *Session) discard(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case m, ok := <-s.queue:
			if !ok {
				return false
			}
			s.queued.Add(int64(-m.size))
		}
	}
}

// encode is one run of ffmpeg, from a key frame to the end of the publication (nil), of
// ffmpeg, or of the run's time.
func (s *Session) encode(ctx context.Context, first sample) error {
	r, err := s.startRun(ctx, first.pts)
	if err != nil {
		return err
	}
	defer r.stop()
	if err := r.feed(first); err != nil {
		return err
	}
	progress := stall{since: first.pts, most: s.cfg.Patience}
	for {
		select {
		case <-r.process.Done():
			return r.ended()
		case m, ok := <-s.queue:
			if !ok {
				return r.finish(ctx)
			}
			s.queued.Add(int64(-m.size))
			if m.keyframe && m.pts-first.pts > maxRun {
				if err := r.finish(ctx); err != nil {
					return err
				}
				return errRenew
			}
			if err := r.feed(m); err != nil {
				return err
			}
			if m.video && progress.lasts(m.pts, s.out.count()) {
				return errors.New("ffmpeg takes pictures but has given no segment for " + s.cfg.Patience.String())
			}
		}
	}
}

// stall notices, on the publisher's clock, that input leads to no output.
type stall struct {
	most, since time.Duration
	count       int
}

func (p *stall) lasts(pts time.Duration, count int) bool {
	if count != p.count {
		p.since, p.count = pts, count
	}
	return pts-p.since > p.most
}
