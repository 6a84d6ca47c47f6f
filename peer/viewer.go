package peer

import (
	"slipstream/peer/playback"
	"slipstream/peer/session"
)

const (
	// holdBack is how many segments behind the live edge a viewer starts, as
	// players do (RFC 8216bis 4.4.3.8: HOLD-BACK of at least three target durations).
	holdBack = 3
	// joinToleranceMs bridges rounding between the end of one segment and the
	// start of the next.
	joinToleranceMs = 50
)

// viewer is an audience that plays in real time, without a screen.
type viewer struct {
	joinedMs   int64
	play       *playback.Playhead // nil until the first playlist
	bufferedMs int64              // media is held without a hole up to here
	resumeMs   int64              // where it goes on after a gap, 0 if there is none ahead
}

// DeadlineMs implements session.Audience: a segment is needed when the playhead
// gets to it.
func (v *viewer) DeadlineMs(nowMs int64, seg session.Segment) int64 {
	if v.play == nil || seg.StartMs+seg.DurationMs <= v.play.PositionMs() {
		return 0
	}
	due := v.play.DueMs(nowMs, seg.StartMs)
	if seg.StartMs >= v.resumeMs && v.resumeMs > v.play.PositionMs() {
		due -= v.resumeMs - v.play.PositionMs() // what is missing before it will be jumped
	}
	return max(due, nowMs)
}

// Advance implements session.Audience.
func (v *viewer) Advance(nowMs int64, _ string, window []session.Segment) {
	if len(window) == 0 {
		return
	}
	if v.play == nil {
		v.start(window)
	}
	v.buffer(window)
	v.play.Advance(nowMs, v.bufferedMs)
	v.jump(window)
}

func (v *viewer) start(window []session.Segment) {
	first := window[max(len(window)-holdBack, 0)]
	v.bufferedMs = first.StartMs
	v.play = playback.New(v.joinedMs, first.StartMs)
}

func (v *viewer) buffer(window []session.Segment) {
	for _, seg := range window {
		end := seg.StartMs + seg.DurationMs
		if seg.Complete && end > v.bufferedMs && seg.StartMs <= v.bufferedMs+joinToleranceMs {
			v.bufferedMs = end
		}
	}
}

// jump moves the playhead over what the origin does not have: once everything
// before a gap was shown, the first segment after it is next, as soon as the
// usual hold-back lies behind it: less would be a start too close to the edge. The
// same goes for what left the window while the viewer was away.
func (v *viewer) jump(window []session.Segment) {
	if v.play.PositionMs() < v.bufferedMs || len(window) < holdBack {
		return
	}
	gap := window[0].StartMs > v.bufferedMs+joinToleranceMs
	v.resumeMs = 0
	for _, seg := range window[:len(window)-holdBack+1] {
		switch {
		case seg.StartMs+seg.DurationMs <= v.bufferedMs+joinToleranceMs:
			continue
		case seg.Gap:
			gap = true
			continue
		case seg.StartMs > v.bufferedMs+joinToleranceMs && (gap || seg.Discontinuity):
			v.resumeMs = seg.StartMs
			if seg.Complete {
				v.bufferedMs = seg.StartMs
				v.play.JumpTo(seg.StartMs)
				v.buffer(window)
			}
		}
		return
	}
}

// Report implements session.Audience.
func (v *viewer) Report() session.Experience {
	if v.play == nil {
		return session.Experience{}
	}
	return session.Experience{Stalls: v.play.Stalls(), StallMs: v.play.StallMs(), LatencyMs: v.play.LatencyMeanMs()}
}
