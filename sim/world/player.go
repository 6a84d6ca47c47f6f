package world

import "slipstream/peer/sched"

// player is the playhead. Until it started and while it stalls, it waits for
// segment next; otherwise it is inside of segment next−1.
type player struct {
	ready   bool // the first playlist is there
	started bool
	waiting bool
	first   int32 // segment
	next    int32 // segment that the playhead reaches next
	// clockMs is the wall time at which the playhead is (or would have been,
	// for those who joined later) at the start of segment 0: it tells when each
	// segment is needed, and every stall moves it.
	clockMs   int64
	waitingMs int64 // since when
	plannedMs int64
	turn      int32 // makes timers of the past void
}

// segmentsReady is called with the first playlist: playback is to begin a
// hold-back behind its end (RFC 8216bis 4.4.3.8), as soon as that segment is there.
func (v *viewer) segmentsReady(head int32) {
	first := max(head-int32(v.w.cfg.Stream.HoldBackSegments)+1, v.w.stream.tail(head))
	if v.w.stream.recorded > 0 {
		at := v.w.draw.Spread(v.number, drawPosition) * float64(v.w.cfg.Stream.PositionsOverMs)
		first = min(int32(int64(at)/v.w.stream.segmentMs), head)
	}
	v.objects.first = first
	v.player = player{
		ready: true, waiting: true, first: first, next: first,
		clockMs: v.w.nowMs - int64(first)*v.w.stream.segmentMs, waitingMs: v.w.nowMs,
	}
}

// neededMs is when the playhead reaches a segment. While it waits, that is as if
// it went on right now.
func (v *viewer) neededMs(segment int32) int64 {
	p, length := &v.player, v.w.stream.segmentMs
	if p.waiting {
		return v.w.nowMs + int64(segment-p.next)*length
	}
	return p.clockMs + int64(segment)*length
}

// wantMs is the deadline that the core is given.
func (v *viewer) wantMs(segment int32) int64 {
	switch {
	case v.seeder:
		return v.w.nowMs + 2*v.w.stream.segmentMs // about when viewers need it
	case !v.w.cfg.PeerToPeer:
		return 0 // see fetchInOrder
	}
	return v.neededMs(segment)
}

// completed is called when the last leaf of a segment is stored.
func (v *viewer) completed(segment int32) {
	p := &v.player
	if v.seeder || !p.waiting || segment != p.next {
		return
	}
	waited := v.w.nowMs - p.waitingMs
	p.waiting = false
	if !p.started {
		p.started = true
		v.stats.StartupMs = v.w.nowMs - v.joinMs
	} else {
		v.countStall(waited)
	}
	// The playhead is at the start of this segment now.
	p.clockMs = v.w.nowMs - int64(p.next)*v.w.stream.segmentMs
	v.play()
}

// fetchInOrder is what a plain player does: one segment after the other, each
// from the CDN as soon as the one before it is there.
func (v *viewer) fetchInOrder() {
	if v.w.cfg.PeerToPeer || v.seeder {
		return
	}
	for object := max(v.player.next, v.objects.first); object < v.objects.next(); object++ {
		h := v.objects.at(object)
		if h.missing == 0 {
			continue
		}
		if h.wantMs == 0 {
			h.wantMs = v.w.nowMs
			v.tell(sched.Event{Kind: sched.ObjectWant, Object: object, Value: h.wantMs})
		}
		return
	}
}

// play goes on to the next segment's start.
func (v *viewer) play() {
	p := &v.player
	p.next++
	p.turn++
	turn := p.turn
	v.at(v.neededMs(p.next), func() { v.reach(turn) })
	if v.w.stream.recorded > 0 {
		v.window(v.w.stream.recorded-1, false)
	}
}

// reach is when the playhead comes to the start of a segment.
func (v *viewer) reach(turn int32) {
	p := &v.player
	if v.gone || turn != p.turn {
		return
	}
	if v.w.stream.recorded > 0 && p.next == v.w.stream.recorded {
		v.end(false)
		return
	}
	if h := v.objects.at(p.next); h != nil && h.missing == 0 {
		v.play()
		return
	}
	p.waiting, p.waitingMs = true, v.w.nowMs
}

const (
	planMs      = 250 // deadlines are looked at this often
	planSlackMs = 100 // and told again if they moved by more
)

// plan tells the core of deadlines that moved, as package session does.
func (v *viewer) plan() {
	p := &v.player
	if !v.w.cfg.PeerToPeer || v.seeder || !p.ready || v.w.nowMs < p.plannedMs+planMs {
		return
	}
	p.plannedMs = v.w.nowMs
	for i := range v.objects.held {
		h, object := &v.objects.held[i], v.objects.first+int32(i)
		if h.missing == 0 || object < p.next {
			continue
		}
		wantMs := v.wantMs(object)
		if moved := wantMs - h.wantMs; moved > planSlackMs || moved < -planSlackMs {
			h.wantMs = wantMs
			v.tell(sched.Event{Kind: sched.ObjectWant, Object: object, Value: wantMs})
		}
	}
}

// seekToLive is what a player does whose next segment left the playlist.
func (v *viewer) seekToLive(head int32) {
	p := &v.player
	if v.seeder || p.next >= v.w.stream.tail(head) {
		return
	}
	if p.waiting && p.started {
		v.countStall(v.w.nowMs - p.waitingMs)
	}
	p.turn++
	p.next = head - int32(v.w.cfg.Stream.HoldBackSegments) + 1
	p.clockMs = v.w.nowMs - int64(p.next)*v.w.stream.segmentMs
	p.waiting, p.waitingMs = true, v.w.nowMs
	v.stats.Seeks++
	if h := v.objects.at(p.next); h != nil && h.missing == 0 {
		v.completed(p.next)
	}
}

// settle closes the books of a viewer that leaves or sees the end.
func (v *viewer) settle() {
	p := &v.player
	if !v.present() {
		return
	}
	v.stats.PresentMs = v.w.nowMs - v.joinMs
	v.stats.UplinkBytes = v.up.Carried()
	if v.seeder {
		return
	}
	if p.waiting && p.started {
		v.countStall(v.w.nowMs - p.waitingMs)
		p.clockMs += v.w.nowMs - p.waitingMs
		p.waiting = false
	}
	if p.started && v.w.stream.recorded == 0 {
		v.stats.LatencyMs = p.clockMs - v.w.stream.mediaMs(0)
	}
}

func (v *viewer) countStall(ms int64) {
	if ms > 0 {
		v.stats.Stalls++
		v.stats.StallMs += ms
	}
}
