package transcode

import (
	"context"
	"errors"
	"time"

	"slipstream/origin/child"
	"slipstream/origin/timeline"
)

// An anew is why a run has ended that is followed by another one at once.
type anew string

func (a anew) Error() string { return string(a) }

// errRenew ends a run whose timestamps are about to wrap around.
const errRenew = anew("the run has lasted for a day")

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
		var again anew
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case errors.As(err, &again):
			s.cfg.Logger.Info("the encoder is started anew", "reason", err)
			s.again = s.group.samples
			continue
		}
		s.status.Failures++
		if cut := (*cutError)(nil); errors.As(err, &cut) && cut.rung.copied {
			s.misfit(cut.Error())
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
	if len(s.again) > 0 {
		first := s.again[0]
		s.again = s.again[1:]
		return first, true
	}
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
				s.group.add(m)
				return m, true
			}
		}
	}
}

// discard drops what arrives within d. It is false when the session is over.
func (s *Session) discard(ctx context.Context, d time.Duration) bool {
	s.again = nil
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
// ffmpeg, or of the run's time (an anew).
func (s *Session) encode(ctx context.Context, first sample) error {
	r, err := s.startRun(ctx, first)
	if err != nil {
		return err
	}
	defer s.account(r)
	defer r.stop()
	if _, err := r.take(first); err != nil {
		return err
	}
	progress := stall{since: first.pts, most: s.cfg.Patience}
	watch := time.NewTicker(time.Second)
	defer watch.Stop()
	var last anew               // why the run is to end …
	var boundary timeline.Ticks // … and when
	fed := first.pts            // the newest picture that ffmpeg has
	for {
		m, again := sample{}, len(s.again) > 0
		if again {
			m, s.again = s.again[0], s.again[1:]
		} else {
			select {
			case <-r.process.Done():
				return r.ended()
			case <-watch.C:
				if why := s.observe(r); why != "" && last == "" {
					last, boundary = why, s.boundaryAfter(fed)
				}
				continue
			case next, ok := <-s.queue:
				if !ok {
					return r.finish(ctx)
				}
				m = next
				s.queued.Add(int64(-m.size))
				s.group.add(m)
			}
		}
		if m.keyframe && m.pts-first.pts > maxRun && last == "" {
			last, boundary = errRenew, s.boundaryAfter(fed)
		}
		if last != "" && m.video && !again && s.passes(m, boundary) {
			return errors.Join(r.finish(ctx), last)
		}
		fits, err := r.take(m)
		if err != nil {
			return err
		}
		if !fits {
			return errors.Join(r.finish(ctx), anew(s.fault))
		}
		if !m.video {
			continue
		}
		fed = m.pts
		if progress.lasts(m.pts, s.out.count()) {
			return errors.New("ffmpeg takes pictures but has given no segment for " + s.cfg.Patience.String())
		}
	}
}

// boundaryAfter is where a run can end so that its last segment is whole: at the end of the one that the picture lies in. What waits
// in the queue beyond that is left to the next run.
func (s *Session) boundaryAfter(pts time.Duration) timeline.Ticks {
	epoch, err := s.anchor.Epoch(pts)
	if err != nil {
		return 0
	}
	return ((epoch+s.halfFrame())/segmentTicks + 1) * segmentTicks
}

// passes reports whether a picture is the first beyond a boundary.
func (s *Session) passes(m sample, boundary timeline.Ticks) bool {
	epoch, err := s.anchor.Epoch(m.pts)
	return err != nil || epoch+s.halfFrame() >= boundary
}

// halfFrame is how far a picture may lie before a frame of the grid and be put on it: ffmpeg takes the nearest.
func (s *Session) halfFrame() timeline.Ticks {
	return timeline.TicksPerSecond / timeline.Ticks(2*s.cfg.FrameRate)
}

// stall notices, on the publisher's clock, that input leads to no output.
type stall struct {
	most, since time.Duration
	count       int64
}

func (p *stall) lasts(pts time.Duration, count int64) bool {
	if count != p.count {
		p.since, p.count = pts, count
	}
	return pts-p.since > p.most
}

// choose says what a run that begins with a key frame makes, and what it would make with one rung more.
func (s *Session) choose(first sample) (made, with []Rung) {
	from := sourceOf(first.data)
	if s.from.parameters == nil {
		s.from = from
	}
	ladder := ladderFor(s.cfg.Ladder, s.from, s.cfg.sound() != nil)
	if s.cfg.PassThrough && s.fault == "" {
		if s.fault = s.from.fault(from); s.fault == "" {
			ladder = passThrough(ladder, s.from)
		} else {
			s.cfg.Logger.Warn("the publisher's picture is transcoded, not passed through", "reason", s.fault)
		}
	}
	made, s.left = without(ladder, s.left)
	s.missing = missing(ladder, made)
	with, _ = without(ladder, s.left-1)
	s.status.Rungs, s.status.Left, s.status.Transcoded = names(made), s.left, s.fault
	if s.cfg.OnRungs != nil {
		s.cfg.OnRungs(s.cfg.Channel, s.status.Rungs)
	}
	return made, with
}

// misfit notes why the publisher's picture cannot be passed on any more.
func (s *Session) misfit(fault string) {
	s.fault = fault
	s.cfg.Logger.Warn("the publisher's picture is transcoded from now on, not passed through", "reason", s.fault)
}
