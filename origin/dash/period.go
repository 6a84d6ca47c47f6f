package dash

import (
	"math"
	"slices"

	"github.com/Eyevinn/dash-mpd/mpd"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

// period is a time in which no rendition changes its init section.
type period struct {
	startMs int64
	runs    []run // of the renditions that have segments in it, best first
}

// run is what a rendition has under one init section.
type run struct {
	Rendition
	init    manifest.Hash
	codecs  string
	sinceMs int64       // start of the first segment that needed this init section, also if it has left the window
	entries []hls.Entry // without gaps, at least one
}

// periods cuts the windows of all renditions wherever one of them changes its init section. Normally all do at once, when
// the encoder starts anew.
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

// runsOf splits a window by init section.
func runsOf(r Rendition) (out []run) {
	sinceMs := r.View.InitSinceMs
	for _, entry := range r.View.Entries {
		if entry.Gap || entry.Record.DurationMs < 1 { // no S element is that short
			continue
		}
		if len(out) == 0 || out[len(out)-1].init != entry.Init.Root {
			if len(out) > 0 {
				sinceMs = entry.Record.StartMs
			}
			out = append(out, run{Rendition: r, init: entry.Init.Root, codecs: entry.Codecs, sinceMs: sinceMs})
		}
		last := &out[len(out)-1]
		last.entries = append(last.entries, entry)
	}
	return out
}

// between returns the entries with numbers from from to before to.
func (r run) between(from, to int64) []hls.Entry {
	at := func(number int64) int {
		i, _ := slices.BinarySearchFunc(r.entries, number, func(e hls.Entry, n int64) int { return int(min(max(e.Number-n, -1), 1)) })
		return i
	}
	return r.entries[at(from):at(to)]
}

// timeline writes the segments' times: t only where a segment does not begin where the one before it ended.
func (r run) timeline() (out []*mpd.S) {
	nextMs := int64(-1)
	for _, entry := range r.entries {
		startMs, lasts := entry.Record.StartMs, uint64(entry.Record.DurationMs)
		if n := len(out); startMs == nextMs && out[n-1].D == lasts {
			out[n-1].R++
		} else {
			s := &mpd.S{D: lasts}
			if startMs != nextMs {
				s.T = mpd.Ptr(uint64(startMs))
			}
			out = append(out, s)
		}
		nextMs = startMs + entry.Record.DurationMs
	}
	return out
}
