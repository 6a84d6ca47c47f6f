package dash

import (
	"math"
	"slices"

	"github.com/Eyevinn/dash-mpd/mpd"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
	"slipstream/origin/timeline"
)

// period is a time in which no rendition has a hole, a discontinuity or another init section.
type period struct {
	startMs int64
	runs    []run // of the renditions that have segments in it, best first
}

// run is a row of a rendition's segments that follow each other and share an init section.
type run struct {
	Rendition
	init    manifest.Hash
	codecs  string
	sinceMs int64       // start of its first segment, also if that has left the window
	entries []hls.Entry // at least one, no gap
}

// periods cuts the windows of all renditions wherever a run of one of them begins. Normally all do at once, when the encoder
// starts anew.
func periods(renditions []Rendition) []period {
	var all []run
	cuts := []int64{math.MaxInt64}
	for _, r := range renditions {
		runs := runsOf(r)
		for _, run := range runs[min(1, len(runs)):] {
			cuts = append(cuts, run.entries[0].Number)
		}
		all = append(all, runs...)
	}
	slices.Sort(cuts)
	var out []period
	from := int64(0)
	for _, to := range slices.Compact(cuts) {
		var p period
		for _, run := range all {
			if run.entries = run.between(from, to); len(run.entries) > 0 {
				p.runs = append(p.runs, run)
				p.startMs = max(p.startMs, run.sinceMs)
			}
		}
		if len(p.runs) > 0 {
			out = append(out, p)
		}
		from = to
	}
	return out
}

// runsOf splits a window into its runs.
func runsOf(r Rendition) (out []run) {
	for _, entry := range r.View.Entries {
		if entry.Gap || entry.Record.DurationMs < 1 { // no S element is that short
			continue
		}
		if n := len(out); n == 0 || !out[n-1].goesOnWith(entry) {
			sinceMs := entry.Record.StartMs
			if n == 0 {
				sinceMs = r.View.SinceMs
			}
			out = append(out, run{Rendition: r, init: entry.Init.Root, codecs: entry.Codecs, sinceMs: sinceMs})
		}
		last := &out[len(out)-1]
		last.entries = append(last.entries, entry)
	}
	if last := len(out) - 1; last >= 0 && r.View.Open != nil && len(r.View.Open.Parts) > 0 {
		if next := growing(*r.View.Open); out[last].goesOnWith(next) {
			out[last].entries = append(out[last].entries, next)
		}
	}
	return out
}

// growing is the segment that is being made, which is listed when its first part is out. It is said to last as long as the grid has it; should it
// end before, a later MPD says so. One that begins a Period is not listed before it is whole.
func growing(open hls.Entry) hls.Entry {
	open.Record.StartMs = open.Parts[0].Record.StartMs
	open.Record.DurationMs = (open.Number+1)*timeline.SegmentMs - open.Record.StartMs
	return open
}

func (r run) goesOnWith(next hls.Entry) bool {
	last := r.entries[len(r.entries)-1].Record
	return !next.Discontinuity && next.Init.Root == r.init && next.Record.StartMs == last.StartMs+last.DurationMs
}

// between returns the entries with numbers from from to before to.
func (r run) between(from, to int64) []hls.Entry {
	at := func(number int64) int {
		i, _ := slices.BinarySearchFunc(r.entries, number, func(e hls.Entry, n int64) int { return int(min(max(e.Number-n, -1), 1)) })
		return i
	}
	return r.entries[at(from):at(to)]
}

// timeline writes the segments' times: where the first begins, and how long each lasts.
func (r run) timeline() []*mpd.S {
	out := []*mpd.S{{T: mpd.Ptr(uint64(r.entries[0].Record.StartMs)), D: uint64(r.entries[0].Record.DurationMs)}}
	for _, entry := range r.entries[1:] {
		if last, lasts := out[len(out)-1], uint64(entry.Record.DurationMs); last.D == lasts {
			last.R++
		} else {
			out = append(out, &mpd.S{D: lasts})
		}
	}
	return out
}
