package origin

import (
	"sync"
	"time"

	"slipstream/origin/server"
	"slipstream/origin/transcode"
)

// encoder is how a channel's transcoder fares, over all its sessions.
type encoder struct {
	mu       sync.Mutex
	now      transcode.Status // of the session, zero if there is none
	cpu      time.Duration    // of the sessions before
	failures int
}

func (e *encoder) observe(_ string, status transcode.Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = status
}

func (e *encoder) ended() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cpu += e.now.CPU
	e.failures += e.now.Failures
	e.now = transcode.Status{}
}

func (e *encoder) status() server.Encoder {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := server.Encoder{
		Rungs: e.now.Rungs, LeftOut: e.now.Left, LagMs: e.now.LagMs, CPUMs: (e.cpu + e.now.CPU).Milliseconds(),
		Failures: int64(e.failures + e.now.Failures), Notes: []string{},
	}
	if out.Rungs == nil {
		out.Rungs = []string{}
	}
	for _, note := range []string{e.now.Slow, e.now.Transcoded} {
		if note != "" {
			out.Notes = append(out.Notes, note)
		}
	}
	return out
}
