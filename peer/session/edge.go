package session

import (
	"encoding/binary"

	"slipstream/peer/wire"
)

// When a playlist is polled. The rules are those of PROTOCOL.md, section 6.
const (
	pollAgainMs    = 200 // after a poll in vain, doubled each time up to a segment
	pollSearchMs   = 400 // between polls until the origin's phase is known
	pollFailedMs   = 400 // after a poll that failed, doubled each time
	pollBackoffs   = 3   // doublings at most
	refreshFloorMs = 300 // an early poll comes no sooner than this after the last one
	lagDownMs      = 25  // what a poll that succeeds at the first try takes off the lag
	lagUpMs        = 75  // what one in vain adds
	blockMs        = 150 // a request that waits for what is new is made so long before that is expected
	promptMs       = 60  // a poll no later than this after its time was as early as it could be: ticks are coarse
	unheardLimit   = 2   // heads found by ourselves, of which no neighbour spoke, until we count on nobody
)

// edge follows the live edge of one rendition and says when the CDN has to be asked for it. It is pure: times are
// arguments, in epoch ms.
type edge struct {
	stepMs    int64 // duration of a segment, or of a part where there are parts
	endMs     int64 // media time at which the newest of them ends, 0 before the first
	lagMs     int64 // how long after its end a segment is known at the soonest
	settled   bool  // the newest segment has changed before our eyes, so lagMs means something
	learnedMs int64 // when the newest became known
	found     bool  // by a poll of ours
	heard     bool  // a neighbour announced it, too, and in time
	unheard   int   // segments in a row before it that were found and not heard of
	ended     bool  // there will be no other
	blocks    bool  // the server holds requests for what is about to come until it is there
	targetMs  int64 // the playlist's target duration

	polledMs int64
	misses   int   // polls in vain since the newest
	failures int   // polls in a row that gave nothing that could be believed
	hurryMs  int64 // a neighbour knows of something that only the playlist can tell: poll then; 0 if not
	hurried  bool  // that has happened since the newest
}

// expectedMs is when the next segment should be there.
func (e *edge) expectedMs() int64 { return e.endMs + e.stepMs + e.lagMs }

// waits tells whether the next poll is to be held by the server until there is something new. Where such a request was in vain
// what there is is asked for, until something moves.
func (e *edge) waits() bool { return e.blocks && e.endMs > 0 && e.misses == 0 && e.failures == 0 }

// doubts tells whether to ask another CDN: the one that was asked told nothing new although it was long time for it.
func (e *edge) doubts(nowMs int64) bool {
	return e.failures == 0 && e.misses&1 != 0 && nowMs > e.learnedMs+e.stepMs*3/2
}

// dueMs is when to poll next. Who is first (rank 0) asks as soon as there may be something; the others leave time for it
// to reach them, the more the higher they rank among so many.
func (e *edge) dueMs(rank, among int) int64 {
	due := e.expectedMs()
	switch {
	case e.ended:
		return 1 << 52
	case e.failures > 0:
		return e.polledMs + pollFailedMs<<min(e.failures-1, pollBackoffs)
	case e.endMs == 0:
		return e.polledMs
	case !e.settled && e.waits():
		due = e.polledMs
	case !e.settled:
		due = e.polledMs + min(pollSearchMs<<min(e.misses/2, pollBackoffs), e.stepMs)
	case e.misses > 0:
		due = e.polledMs + min(pollAgainMs<<min(e.misses-1, 2*pollBackoffs), max(e.stepMs, e.targetMs))
	case rank > 0 && e.unheard < unheardLimit:
		due += e.stepMs/5 + e.stepMs*3/10*int64(rank-1)/int64(among)
	case e.blocks:
		due -= blockMs
	}
	if e.hurryMs > 0 {
		due = min(due, max(e.hurryMs, e.polledMs+refreshFloorMs))
	}
	return due
}

// polled books the beginning of a poll.
func (e *edge) polled(nowMs int64) { e.polledMs, e.hurryMs = nowMs, 0 }

// learned books that a new segment is known, which ends at endMs: from our poll, or else from a neighbour.
func (e *edge) learned(nowMs, endMs, stepMs int64, byPoll bool) {
	lag := nowMs - endMs
	switch {
	case e.endMs == 0:
		e.lagMs = lag
	case !e.settled:
		e.settled = true
		e.lagMs = min(e.lagMs, lag)
	case lag > e.lagMs+e.stepMs: // the origin or a clock has changed its mind
		e.lagMs = lag
	case lag > e.lagMs && e.blocks: // answers that waited tell when, others have to find out
		e.lagMs += (lag - e.lagMs) / 8
	case byPoll && !e.blocks && e.misses == 0 && e.polledMs <= e.expectedMs()+promptMs:
		e.lagMs = min(e.lagMs, lag) - lagDownMs
	default:
		e.lagMs = min(e.lagMs, lag)
	}
	if e.found && !e.heard && e.settled {
		e.unheard++
	}
	if !byPoll {
		e.unheard = 0
	}
	e.endMs, e.stepMs, e.learnedMs = endMs, stepMs, nowMs
	e.found, e.heard = byPoll, !byPoll
	e.closed()
}

// closed books that a segment whose parts were known is known as a whole, or that something else has moved.
func (e *edge) closed() { e.misses, e.hurried, e.hurryMs = 0, false, 0 }

// missed books a poll that brought nothing new. One before its time says nothing about the origin.
func (e *edge) missed() {
	if e.settled && !e.blocks && e.polledMs < e.expectedMs() {
		return
	}
	if e.misses++; e.misses == 1 && e.settled {
		e.lagMs += lagUpMs
	}
}

// announced books that a neighbour knows the newest segment: so we would have heard of it.
func (e *edge) announced(nowMs int64) {
	if nowMs-e.learnedMs <= e.stepMs/2 {
		e.heard, e.unheard = true, 0
	}
}

// hurry asks for a poll at a time, once for each segment.
func (e *edge) hurry(atMs int64) {
	if !e.hurried {
		e.hurried, e.hurryMs = true, atMs
	}
}

// lot orders viewers evenly, and anew for each segment, by the FNV-1a hash of its number and their instance.
func lot(instance wire.Instance, sequence int64) uint32 {
	drawn := [16]byte(append(binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(sequence)), instance[:]...))
	hash := uint32(0x811c9dc5)
	for _, b := range drawn {
		hash = (hash ^ uint32(b)) * 0x01000193
	}
	return hash
}
