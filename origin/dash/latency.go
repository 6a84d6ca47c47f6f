package dash

import (
	"slices"

	"github.com/Eyevinn/dash-mpd/mpd"

	"slipstream/origin/timeline"
)

// partTargetMs is how long the parts of the renditions last at most; 0: there are none.
func partTargetMs(renditions []Rendition) (longestMs int64) {
	for _, r := range renditions {
		longestMs = max(longestMs, r.View.PartTargetMs)
	}
	return longestMs
}

// inParts reports whether segments of the period can be had while they are made.
func (p period) inParts() bool {
	return slices.ContainsFunc(p.runs, func(r run) bool { return r.View.PartTargetMs > 0 })
}

// service says how far behind live players should stay, and how fast they may play to get there. A player learns of a segment when its first
// part is out and it then asks for the MPD, a part later at most; it may be another part late.
func service(partMs int64) *mpd.ServiceDescriptionType {
	ms := func(n int64) *uint32 { return mpd.Ptr(uint32(n)) }
	return &mpd.ServiceDescriptionType{
		Latencies:     []*mpd.LatencyType{{Target: ms(timeline.SegmentMs + partMs), Min: ms(timeline.SegmentMs), Max: ms(3 * timeline.SegmentMs)}},
		PlaybackRates: []*mpd.PlaybackRateType{{Min: 0.96, Max: 1.04}},
	}
}

// reference says when what was captured: times of the media are those of the clock.
func (p period) reference() []*mpd.ProducerReferenceTimeType {
	return []*mpd.ProducerReferenceTimeType{{
		Type: "encoder", WallClockTime: string(mpd.ConvertToDateTimeMS(p.startMs)), PresentationTime: uint64(p.startMs), UTCTiming: clock(),
	}}
}

// clock is where the time can be read. It is read when it is needed: a time written into the document would be as old as a cache's copy of it.
func clock() *mpd.DescriptorType { return &mpd.DescriptorType{SchemeIdUri: utcTiming, Value: TimePath} }
