package world

import "slipstream/peer/sched"

// Stats is what one viewer did and had done to it. Media bytes are those of
// verified leaves, each counted once.
type Stats struct {
	StartupMs int64 // from joining to the first frame; 0: never started
	LatencyMs int64 // behind the live edge at the end
	Stalls    int64
	StallMs   int64
	Seeks     int64 // the next segment had left the playlist

	HTTPBytes        int64 // media from the CDN
	P2PBytes         int64 // media from neighbours
	UploadedBytes    int64 // media given to the transport for neighbours
	DuplicateBytes   int64 // media that was held already when it came
	UnexpectedBytes  int64 // media that was not held, but had not been asked for any more
	ListBytes        int64 // leaf lists, both ways
	PlaylistBytes    int64
	ControlBytes     int64 // data-channel messages sent that are not leaves, with their packets
	ControlMessages  int64
	PlaylistRequests int64 // to the CDN
	ListRequests     int64
	MediaRequests    int64
	OtherRequests    int64 // tokens
	VerifiedLeaves   int64
	BadBytes         int64    // media stored though the owner did not sign it: none, if all is well
	RejectedLeaves   int64    // came from a neighbour and were not what the owner signed
	Requests         int64    // leaves asked of neighbours
	Refusals         int64    // leaves refused to neighbours
	Drops            [8]int64 // neighbours dropped, by sched.DropReason

	StartupBytes int64 // of HTTPBytes: of segments in the first playlist
	DutyBytes    int64 // of HTTPBytes: fetched because it was our duty
	RescueBytes  int64 // of HTTPBytes: the rest
	UplinkBytes  int64 // everything that went through the uplink, with its packets
	PresentMs    int64 // from joining to leaving or the end
}

// segmentStats is what happened to one segment, over all.
type segmentStats struct {
	viewers int64    // that got at least one leaf of it
	uplink  int64    // theirs, summed, bytes/s
	http    int64    // bytes to viewers from the CDN
	p2p     int64    // bytes to viewers from neighbours
	cdn     []int32  // how often each leaf was fetched, by viewers and seeders
	cause   [3]int64 // of http: startup, duty, rescue
	slackMs int64    // from its publication to when it was needed, summed over viewers that learnt of it later than at their start
	slacks  int64
	firstMs []int64 // if watched: when each viewer got its first leaf
	places  []placeStats
}

const (
	causeStartup = iota
	causeDuty
	causeRescue
)

// spread counts leaves by the time from their publication to a viewer's holding
// them, in steps.
type spread [spreadSteps]int64

const (
	spreadStepMs = 10
	spreadSteps  = 2000
)

// audit checks what must hold in every run, and keeps the books by segment.
type audit struct {
	failures    []string
	connections int64
	segments    []segmentStats
	spread      spread
}

const maxFailures = 20

func (w *world) segmentStats(object int32) *segmentStats {
	for int(object) >= len(w.audit.segments) {
		w.audit.segments = append(w.audit.segments, segmentStats{cdn: make([]int32, w.stream.leaves)})
	}
	return &w.audit.segments[object]
}

// count books a leaf that was just stored.
func (v *viewer) count(object, leaf, from int32) {
	bytes := v.w.stream.leafBytes(leaf)
	s := v.w.segmentStats(object)
	h := v.objects.at(object)
	v.stats.VerifiedLeaves++
	if from == sched.CDN {
		v.stats.HTTPBytes += bytes
		v.countCause(s, h, leaf, object, bytes)
	} else {
		v.stats.P2PBytes += bytes
	}
	if !v.counts() {
		return
	}
	if from == sched.CDN {
		s.http += bytes
	} else {
		s.p2p += bytes
	}
	if len(v.w.cfg.Places) > 0 {
		v.countLocal(s, bytes, h.missing == v.w.stream.leaves-1, from)
	}
	if leaf == 0 && v.w.cfg.Watch {
		s.firstMs = append(s.firstMs, v.w.nowMs)
	}
	if !h.startup && v.w.stream.recorded == 0 {
		late := v.w.nowMs - v.w.stream.publishedMs(object)
		v.w.audit.spread[min(max(late, 0)/spreadStepMs, spreadSteps-1)]++
	}
	if h.missing == v.w.stream.leaves-1 {
		s.viewers++
		s.uplink += v.uplink
	}
}

// countCause books why a leaf came from the CDN.
func (v *viewer) countCause(s *segmentStats, h *held, leaf, object int32, bytes int64) {
	cause := causeRescue
	stripe := sched.Stripe(leaf/sched.PieceLeaves(v.w.stream.leaves), sched.Pieces(v.w.stream.leaves), v.w.stream.sequence(object))
	switch {
	case h.startup:
		cause = causeStartup
		v.stats.StartupBytes += bytes
	case v.member.duties>>stripe&1 != 0:
		cause = causeDuty
		v.stats.DutyBytes += bytes
	default:
		v.stats.RescueBytes += bytes
	}
	if v.counts() {
		s.cause[cause] += bytes
	}
}
