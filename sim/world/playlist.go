package world

import (
	"slipstream/sim/network"
)

// playlist is how a viewer learns of segments: it polls.
type playlist struct {
	loaded   bool // at least once
	loading  bool
	head     int32
	sentMs   int64 // when the last request was sent
	turn     int32 // makes timers of the past void
	failures int   // in a row
	prompt   bool  // a neighbour has what we do not know: load as soon as allowed
	askedMs  int64 // when a neighbour was last asked for a record
}

const (
	earlyMs     = 100 // one with news is loaded again this much sooner than a segment later
	unchangedMs = 400 // one without news is loaded again after this long
	maxBackoffs = 3   // doublings of that while requests fail
	promptMs    = 300 // neighbours' news make us load no more often than this
)

// loadPlaylist sends a request.
func (v *viewer) loadPlaylist() {
	p := &v.playlist
	if v.gone || p.loading {
		return
	}
	w := v.w
	p.turn++
	p.loading, p.prompt, p.sentMs = true, false, w.nowMs
	v.stats.PlaylistRequests++
	w.cdn.Requests++
	v.up.Send(w.nowMs*1000, httpRequestBytes)
	if v.cdnFails() {
		p.failures++
		v.after(w.errorMs(), v.playlistFailed)
		return
	}
	w.edgeNow()
	atEdgeMs := w.nowMs + w.cdn.OneWayMs + w.cdn.ServerMs
	var head int32
	if p.loaded && w.cfg.Stream.BlockingReload {
		atEdgeMs = max(atEdgeMs, w.stream.publishedMs(p.head+1))
		head = w.stream.head(atEdgeMs) // who asks for news is not served from the cache
	} else {
		head = w.playlist(atEdgeMs)
	}
	bytes := w.stream.playlistBytes()
	w.cdn.Bytes += bytes
	v.stats.PlaylistBytes += bytes + httpResponseBytes
	v.at(atEdgeMs+w.cdn.OneWayMs, func() {
		nowUs := w.nowMs * 1000
		throughMs := network.MsFromUs(v.down.Receive(nowUs, nowUs, bytes+httpResponseBytes))
		v.at(throughMs, func() { v.playlistLoaded(head) })
	})
}

// playlistFailed plans another request, later each time.
func (v *viewer) playlistFailed() {
	if !v.gone {
		v.playlist.loading = false
		v.planPlaylist(v.w.nowMs + unchangedMs<<min(v.playlist.failures-1, maxBackoffs))
	}
}

// playlistLoaded reads a playlist whose newest segment is head.
func (v *viewer) playlistLoaded(head int32) {
	p := &v.playlist
	if v.gone {
		return
	}
	p.loading, p.failures = false, 0
	first, changed := !p.loaded, head > p.head || !p.loaded
	p.loaded = true
	p.head = max(p.head, head)
	if first {
		v.segmentsReady(head)
	}
	if changed {
		v.window(p.head, first)
		v.tellRecord(first)
	}
	v.schedulePlaylist(first, changed)
}

// schedulePlaylist plans the next request, as package session does: a little less
// than a segment after the last if that brought news, so that the polls creep up
// to the moment of publication, soon if it did not. The first interval is of
// random length, as if the viewers had come at random moments.
func (v *viewer) schedulePlaylist(first, changed bool) {
	p := &v.playlist
	nextMs := v.w.nowMs + unchangedMs
	switch {
	case v.w.stream.recorded > 0:
		return // that was all
	case v.w.cfg.Stream.Gossip:
		nextMs = v.lookMs()
	case v.w.cfg.Stream.BlockingReload:
		nextMs = v.w.nowMs
	case first:
		nextMs = v.w.nowMs + 1 + v.w.draw.Below(v.w.stream.segmentMs, v.number, drawPhase, 0)
	case changed:
		nextMs = v.w.nowMs + v.w.stream.segmentMs - min(earlyMs, v.w.stream.segmentMs/4)
	}
	if p.prompt {
		nextMs = min(nextMs, p.sentMs+promptMs)
	}
	v.planPlaylist(max(nextMs, v.w.nowMs+1))
}

func (v *viewer) planPlaylist(atMs int64) {
	p := &v.playlist
	p.turn++
	turn := p.turn
	v.at(atMs, func() {
		if turn == p.turn {
			v.loadPlaylist()
		}
	})
}

// playlistIsOld is called when a neighbour announces a segment that our playlist
// does not have.
func (v *viewer) playlistIsOld() {
	p := &v.playlist
	if p.prompt || v.w.stream.recorded > 0 || v.w.cfg.Stream.BlockingReload {
		return
	}
	p.prompt = true
	if !p.loading {
		v.planPlaylist(max(p.sentMs+promptMs, v.w.nowMs+1))
	}
}

// window makes the viewer know the segments up to head, and forget those that
// left the playlist. Of a recording it knows those around the playhead.
func (v *viewer) window(head int32, startup bool) {
	tail := v.w.stream.tail(head)
	if v.w.stream.recorded > 0 {
		p := &v.player
		head = min(head, p.next+int32(v.w.cfg.Stream.AheadMs/v.w.stream.segmentMs))
		tail = max(p.next-v.w.stream.window, 0)
		startup = startup && p.next == p.first
	} else {
		v.seekToLive(head)
	}
	for object := v.objects.next(); object <= head; object++ {
		v.addObject(object, v.wantMs(object), startup && (v.w.stream.recorded == 0 || object == v.player.next))
	}
	v.fetchInOrder()
	for v.objects.first < tail && len(v.objects.held) > 0 {
		v.removeObject()
	}
}
