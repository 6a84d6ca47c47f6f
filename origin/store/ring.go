package store

import (
	"sync"

	"slipstream/origin/cmaf"
	"slipstream/origin/dvr"
	"slipstream/origin/manifest"
)

// ring is one rendition: the segments that may be fetched, oldest first.
type ring struct {
	name       string
	publishing sync.Mutex    // held through Publish; guards signed and previous
	signed     int64         // newest number ever signed, -1 if none
	previous   manifest.Hash // of the newest record published, or found on disk
	archive    *dvr.Archive  // nil: there is none
	counted    int64         // discontinuities up to the newest segment of earlier runs

	// The rest is guarded by Store.mu.
	segments        []*segment
	open            *opened       // nil between segments, and where there are no parts
	partTargetMs    int64         // no part was longer; 0 before the first one
	changed         chan struct{} // closed, and replaced, when something is published
	presence        presence
	listed          int64 // numbers before this one are in no playlist
	inits           map[manifest.Hash]*initSection
	bytes           int64 // of segments and their leaf lists
	discontinuities int64 // up to the newest segment
	media           Media
	published       Totals
}

// segment is one published segment. It never changes but for that count, and its parts, which go when nobody lists them any more.
type segment struct {
	record          manifest.Record
	delegation      manifest.Delegation
	discontinuity   bool  // between the segment before it and this one
	discontinuities int64 // up to and including this segment since the channel began, as far as is known (CountOn)
	slate           bool
	sinceMs         int64 // start of the first in a row without a hole or a discontinuity
	data, leaves    []byte
	parts           []part
}

type initSection struct {
	record     manifest.Record
	delegation manifest.Delegation
	data       []byte
	codecs     string
}

// Totals count what was published in this run.
type Totals struct {
	Segments   int64 `json:"segments"`
	Bytes      int64 `json:"bytes"`
	DurationMs int64 `json:"durationMs"`
}

// Media describes what a rendition holds; it is what the newest segment said.
type Media struct {
	Codecs        string
	Width, Height int
	FrameRate     float64
	PeakBps       int64 // greatest of any segment in this run, bits/s
	AverageBps    int64 // of this run
}

func (r *ring) last() *segment {
	if len(r.segments) == 0 {
		return nil
	}
	return r.segments[len(r.segments)-1]
}

// append adds a segment and drops what has become too old or too much. The newest segment always stays.
func (r *ring) append(item *segment, init *initSection, seg cmaf.Segment, window, maxBytes int64) {
	r.previous = item.record.Hash()
	r.discontinuities = item.discontinuities
	r.adoptParts(item)
	item.sinceMs = seg.StartMs
	if last := r.last(); last != nil && !item.discontinuity && last.record.StartMs+last.record.DurationMs == seg.StartMs {
		item.sinceMs = last.sinceMs
	}
	r.segments = append(r.segments, item)
	r.inits[init.record.Root] = init
	r.bytes += item.size()
	drop := 0
	for drop < len(r.segments)-1 && (r.bytes > maxBytes || r.segments[drop].record.Sequence <= item.record.Sequence-2*window) {
		r.bytes -= r.segments[drop].size()
		r.segments[drop] = nil
		drop++
	}
	r.segments = r.segments[drop:]
	if drop > 0 {
		r.dropInits()
	}
	r.measure(item, seg)
	r.settle()
	r.announce()
}

// announce wakes who waits for something new.
func (r *ring) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// breaks reports whether a discontinuity lies between the newest segment and what comes now, and how many there were up to that. Where the
// encoder counts, all who package for it agree, whatever each of them has missed.
func (r *ring) breaks(seg cmaf.Segment, init manifest.Hash) (here bool, count int64) {
	last := r.last()
	if seg.Counted {
		return last != nil && last.record.Sequence >= r.listed && last.discontinuities != seg.Discontinuities, seg.Discontinuities
	}
	if last != nil && last.record.Sequence >= r.listed && (seg.Discontinuity || seg.Number != last.record.Sequence+1 || init != last.record.Init) {
		return true, r.discontinuities + 1
	}
	return false, r.discontinuities
}

func (r *ring) measure(item *segment, seg cmaf.Segment) {
	r.published.Segments++
	r.published.Bytes += item.record.Size
	r.published.DurationMs += item.record.DurationMs
	r.media.Codecs, r.media.Width, r.media.Height, r.media.FrameRate = seg.Codecs, seg.Width, seg.Height, seg.FrameRate
	r.media.AverageBps = r.published.Bytes * 8000 / r.published.DurationMs
	// RFC 8216bis section 4.4.6.2 leaves out segments shorter than half a target duration.
	if item.record.DurationMs >= 1000 {
		r.media.PeakBps = max(r.media.PeakBps, item.record.Size*8000/item.record.DurationMs)
	}
}

// dropInits forgets init sections that no segment needs any more.
func (r *ring) dropInits() {
	needed := make(map[manifest.Hash]bool)
	for _, s := range r.segments {
		needed[s.record.Init] = true
	}
	if r.open != nil {
		needed[r.open.init] = true
	}
	for root := range r.inits {
		if !needed[root] {
			delete(r.inits, root)
		}
	}
}

func (s *segment) size() int64 { return int64(len(s.data) + len(s.leaves)) }
