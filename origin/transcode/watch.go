package transcode

import (
	"fmt"
	"strings"
	"time"

	"slipstream/origin/load"
)

// Status is how a session fares.
type Status struct {
	Rungs      []string // that are made
	Left       int      // rungs that were left out because the machine is too slow for them
	LagMs      int64    // how far the newest media lies behind the newest picture that came
	CPU        time.Duration
	Failures   int    // runs of ffmpeg that ended by themselves
	Slow       string // what the operator is to know of a machine that is too slow; "" if it is not
	Transcoded string // why a picture that was to be passed through is not; "" if it is
}

// account adds up what a run has used, when it has ended.
func (s *Session) account(r *run) {
	s.cpu += r.process.CPU()
	s.status.CPU = s.cpu
	s.tell()
}

func (s *Session) tell() {
	if s.cfg.OnStatus != nil {
		s.cfg.OnStatus(s.cfg.Channel, s.status)
	}
}

// seen is how the session fares at the moment.
func (s *Session) seen(r *run) load.Observation {
	o := load.Observation{
		NowMs: s.cfg.clock().Milliseconds(), Skipped: s.lost.Load(), CPUMs: (s.cpu + r.process.CPU()).Milliseconds(),
		Pixels: pixels(r.rungs), Last: lastPicture(r.rungs),
	}
	if epoch, err := s.anchor.Epoch(time.Duration(s.newest.Load())); err == nil {
		o.LagMs = max(epoch.Ms()-s.out.reached(), 0)
	}
	if s.left > 0 {
		o.Next = pixels(r.with)
	}
	return o
}

// observe looks how the run fares, and returns why another one has to take its place, or nothing.
func (s *Session) observe(r *run) (why anew) {
	o := s.seen(r)
	verdict := s.governor.Observe(o)
	figures := s.governor.Describe(o)
	switch verdict {
	case load.Slow:
		s.status.Slow = "this machine is too slow for the channel's ladder: " + figures
		advice := "allow --drop-rungs, choose a smaller ladder or a faster machine"
		if s.cfg.DropRungs {
			advice = "even one rung is too much for it"
		}
		s.cfg.Logger.Warn(s.status.Slow, "advice", advice)
	case load.Drop:
		s.left++
		rest, _ := without(r.rungs, 1)
		s.missing = append(s.missing, missing(r.rungs, rest)...)
		s.status.Slow = fmt.Sprintf("this machine is too slow for the channel's ladder: %s; left out from now on: %s", figures, strings.Join(s.missing, ", "))
		s.cfg.Logger.Warn(s.status.Slow)
		why = "this machine is too slow for the ladder"
	case load.Restore:
		s.left--
		s.cfg.Logger.Info("a rung of the ladder comes back", "figures", figures)
		why = "this machine may be fast enough for another rung"
	}
	if s.left == 0 && !s.governor.Told() {
		s.status.Slow = ""
	}
	s.status.LagMs, s.status.CPU = o.LagMs, time.Duration(o.CPUMs)*time.Millisecond
	s.tell()
	return why
}
