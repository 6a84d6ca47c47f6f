package peer

import (
	"slipstream/origin/manifest"
	"slipstream/peer/playback"
	"slipstream/peer/session"
)

const (
	// holdBack is how many segments, or parts, behind the live edge a viewer starts, as
	// players do (RFC 8216bis 4.4.3.8: HOLD-BACK and PART-HOLD-BACK of at least three target durations).
	holdBack = 3
	// joinToleranceMs bridges rounding between the end of one segment and the
	// start of the next.
	joinToleranceMs = 50
	// lookAheadMs is how much of a recording is wanted beyond the playhead.
	lookAheadMs = 30_000
)

// viewer is an audience that plays in real time, without a screen.
type viewer struct {
	joinedMs   int64
	startAtMs  int64              // where to begin a recording, from its beginning
	play       *playback.Playhead // nil until the first playlist
	bufferedMs int64              // media is held without a hole up to here
	next       int64              // number of the segment that continues it, if known
	resumeMs   int64              // where it goes on after a gap, 0 if there is none ahead

	ladder   *playback.Ladder // nil: the rendition is given
	turns    []turn           // which rendition from which segment on, in order
	switches int64
}

// turn is a decision to play another rendition.
type turn struct {
	from      int64
	rendition string
}

// adapt makes the viewer choose among renditions by throughput.
func (v *viewer) adapt(offered []manifest.Variant) {
	var rungs []playback.Rung
	for _, o := range offered {
		i := len(rungs)
		for i > 0 && rungs[i-1].Bps > o.Bandwidth {
			i--
		}
		rungs = append(rungs[:i], append([]playback.Rung{{Name: o.Rendition, Bps: o.Bandwidth}}, rungs[i:]...)...)
	}
	v.ladder = playback.NewLadder(rungs)
	v.turns = []turn{{rendition: rungs[0].Name}}
}

// Plays implements session.Chooser.
func (v *viewer) Plays(rendition string) bool {
	if v.ladder == nil {
		return true
	}
	for _, t := range v.turns {
		if t.rendition == rendition {
			return true
		}
	}
	return false
}

// renditionOf is what the viewer wants to see of a segment.
func (v *viewer) renditionOf(number int64) string {
	name := v.turns[0].rendition
	for _, t := range v.turns[1:] {
		if number >= t.from {
			name = t.rendition
		}
	}
	return name
}

// PlaysParts implements session.PartPlayer.
func (*viewer) PlaysParts() bool { return true }

// DeadlineMs implements session.Audience: a segment is needed when the playhead
// gets to it.
func (v *viewer) DeadlineMs(nowMs int64, seg session.Segment) int64 {
	if v.play == nil || seg.StartMs+seg.DurationMs <= min(v.play.PositionMs(), v.bufferedMs) {
		return 0
	}
	if v.ladder != nil && v.renditionOf(seg.Number) != seg.Rendition {
		return 0
	}
	due := v.play.DueMs(nowMs, seg.StartMs)
	if seg.StartMs >= v.resumeMs && v.resumeMs > v.play.PositionMs() {
		due -= v.resumeMs - v.play.PositionMs() // what is missing before it will be jumped
	}
	return max(due, nowMs)
}

// Recording implements session.Viewpoint.
func (v *viewer) Recording(startMs, endMs int64) {
	if v.play == nil {
		v.bufferedMs = min(startMs+v.startAtMs, max(endMs-1, startMs))
		v.play = playback.New(v.joinedMs, v.bufferedMs)
	}
	v.play.EndAt(endMs)
}

// Span implements session.Viewpoint.
func (v *viewer) Span() (fromMs, toMs int64) {
	return v.play.PositionMs(), v.play.PositionMs() + lookAheadMs
}

// seek goes to another place of a recording.
func (v *viewer) seek(mediaMs int64) {
	v.play.SeekTo(mediaMs)
	v.bufferedMs = mediaMs
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

// start begins with a segment, or within one, which is needed from its beginning: there the first picture is that needs no other.
func (v *viewer) start(window []session.Segment) {
	first := max(len(window)-holdBack, 0)
	v.play = playback.New(v.joinedMs, window[first].StartMs)
	for first > 0 && window[first-1].Number == window[first].Number {
		first--
	}
	v.bufferedMs = window[first].StartMs
}

func (v *viewer) buffer(window []session.Segment) {
	for _, seg := range window {
		end := seg.StartMs + seg.DurationMs
		if seg.Complete && end > v.bufferedMs && seg.StartMs <= v.bufferedMs+joinToleranceMs {
			v.bufferedMs, v.next = end, seg.Number+1
			if v.ladder != nil {
				v.learn(seg, window[len(window)-1].Number)
			}
		}
	}
}

// learn takes a segment that has arrived for a measurement, and decides anew. To climb it waits for segments that nothing is
// held of yet; to fall it gives up at once what is not complete.
func (v *viewer) learn(seg session.Segment, newest int64) {
	for len(v.turns) > 1 && v.turns[1].from <= v.next {
		v.turns = v.turns[1:]
	}
	v.ladder.Sample(seg.Bytes, seg.DoneMs-seg.FirstMs)
	before := v.ladder.Rung()
	if len(v.turns) > 1 || !v.ladder.Choose(v.bufferedMs-v.play.PositionMs(), seg.DurationMs) {
		return
	}
	from := v.next
	if v.ladder.Rung().Bps > before.Bps {
		from = newest + 1
	}
	v.turns = append(v.turns, turn{from, v.ladder.Rung().Name})
	v.switches++
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
