package hls

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/grafov/m3u8"

	"slipstream/origin/cmaf"
	"slipstream/origin/manifest"
	"slipstream/origin/timeline"
)

// TagChapter stands before the first segment of each chapter, and says where the chapter is: a media playlist of its own with all
// that it takes to believe in these segments.
const TagChapter = "#EXT-X-SLIPSTREAM-CHAPTER:"

// TagKeeps says how much is kept when there has been as much, so that players that began early know how far back their viewers may go later.
const TagKeeps = "#EXT-X-SLIPSTREAM-KEEPS:"

// Plain is a playlist without records: hours of a channel would be megabytes of them.
type Plain struct {
	DiscontinuitySequence int64     // of the first segment
	Segments              []Listed  // by number; a number that is missing is a gap
	Transport             bool      // lists segments in MPEG-TS
	Track                 cmaf.Kind // lists segments of one kind alone; "": of both
	KeepsMs               int64     // how much of the channel is listed at most; 0 is not said
	// Skips lets players ask for delta updates (RFC 8216bis, section 6.2.5.1).
	Skips bool
}

// Listed is what such a playlist says of a segment.
type Listed struct {
	Number, StartMs, DurationMs int64
	Discontinuity               bool          // something else came before it; of the first segment that is not said
	Init                        manifest.Hash // root of its init section; zero: it needs none
	Chapter                     int64         // the chapter that it is in, by the number of its first segment; 0: none
}

// TransportURI is the address of a segment in MPEG-TS relative to its media playlist.
func TransportURI(number int64) string { return strconv.FormatInt(number, 10) + ".ts" }

// ChapterURI is the address of a chapter relative to its media playlist.
func ChapterURI(first int64) string { return "dvr-" + strconv.FormatInt(first, 10) + ".m3u8" }

// Transport is a window as a playlist of segments in MPEG-TS. Who plays that has no use for records. It
// fails with ErrOffAir as Media does.
func Transport(v View, nowMs int64) (string, error) {
	if len(v.Entries) == 0 || nowMs-v.Entries[len(v.Entries)-1].Record.CreatedMs > OffAirMs {
		return "", ErrOffAir
	}
	p := Plain{Transport: true, DiscontinuitySequence: v.DiscontinuitySequence}
	if v.Entries[0].Discontinuity {
		p.DiscontinuitySequence++ // of the segment, which is not told of it
	}
	for _, e := range v.Entries {
		if !e.Gap {
			p.Segments = append(p.Segments, Listed{Number: e.Number, StartMs: e.Record.StartMs, DurationMs: e.Record.DurationMs, Discontinuity: e.Discontinuity})
		}
	}
	return p.Render(false), nil
}

// Render renders the playlist; there must be a segment. A delta update leaves out what lies farther from the end than SkipUntilMs.
func (p Plain) Render(delta bool) string {
	first, skipped := 0, int64(0)
	if delta && p.Skips {
		first = p.kept()
		skipped = p.Segments[first].Number - p.Segments[0].Number
	}
	w := plainWriter{}
	w.Grow(256 + 40*(len(p.Segments)-first))
	w.head(p, skipped)
	for i := first; i < len(p.Segments); i++ {
		if i > first {
			w.gaps(p, p.Segments[i-1], p.Segments[i])
		}
		w.segment(p, p.Segments[i], i == first, i > 0 && p.Segments[i].Discontinuity)
	}
	return w.String()
}

// kept is the first segment that a delta update has.
func (p Plain) kept() int {
	last := p.Segments[len(p.Segments)-1]
	for i := len(p.Segments) - 1; i > 0; i-- {
		if last.StartMs+last.DurationMs-p.Segments[i].StartMs >= SkipUntilMs {
			return i
		}
	}
	return 0
}

func (p Plain) uri(number, startMs int64) string {
	switch {
	case p.Transport:
		return TransportURI(number)
	case p.Track != "":
		return trackURI(p.Track, startMs)
	default:
		return SegmentURI(number)
	}
}

type plainWriter struct {
	strings.Builder
	init    manifest.Hash
	chapter int64
}

func (w *plainWriter) line(parts ...string) {
	for _, part := range parts {
		w.WriteString(part)
	}
	w.WriteByte('\n')
}

func (w *plainWriter) head(p Plain, skipped int64) {
	version := 6 // EXT-X-MAP in a playlist that is not I-frame-only (RFC 8216bis, section 8)
	switch {
	case skipped > 0:
		version = 9
	case p.Transport:
		version = 3
	}
	longestMs := int64(timeline.SegmentMs)
	for _, s := range p.Segments {
		longestMs = max(longestMs, s.DurationMs)
	}
	fmt.Fprintf(w, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-TARGETDURATION:%d\n", version, (longestMs+500)/1000)
	fmt.Fprintf(w, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n#EXT-X-INDEPENDENT-SEGMENTS\n", p.Segments[0].Number, p.DiscontinuitySequence)
	if p.KeepsMs > 0 {
		w.line(TagKeeps, "SECONDS=", strconv.FormatInt(p.KeepsMs/1000, 10))
	}
	if p.Skips {
		w.line("#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=", seconds(SkipUntilMs))
	}
	if skipped > 0 {
		w.line("#EXT-X-SKIP:SKIPPED-SEGMENTS=", strconv.FormatInt(skipped, 10))
	}
}

// segment lists a segment. Dates are told where time does not simply go on.
func (w *plainWriter) segment(p Plain, s Listed, first, discontinuity bool) {
	if discontinuity {
		w.line("#EXT-X-DISCONTINUITY")
	}
	if s.Chapter != 0 && s.Chapter != w.chapter {
		w.chapter = s.Chapter
		w.line(TagChapter, `URI="`, ChapterURI(s.Chapter), `"`)
	}
	if !s.Init.IsZero() && s.Init != w.init {
		w.init = s.Init
		folder := ""
		if p.Track != "" {
			folder = string(p.Track) + "/"
		}
		w.line(`#EXT-X-MAP:URI="`, folder, InitURI(s.Init), `"`)
	}
	if first || discontinuity {
		w.line("#EXT-X-PROGRAM-DATE-TIME:", date(s.StartMs))
	}
	w.line("#EXTINF:", extinf(s.DurationMs), ",")
	w.line(p.uri(s.Number, s.StartMs))
}

// gaps lists the numbers between two segments, which share what lies between them.
func (w *plainWriter) gaps(p Plain, from, to Listed) {
	endMs, count := from.StartMs+from.DurationMs, to.Number-from.Number-1
	for k := range count {
		number := from.Number + 1 + k
		w.line("#EXT-X-GAP")
		w.line("#EXTINF:", extinf(gapMs(endMs, to.StartMs, k, count)), ",")
		w.line(p.uri(number, number*timeline.SegmentMs))
	}
}

// gapMs is the duration of the k-th of count entries that share the time from beginMs to endMs. Rounded, none may last longer than the target
// duration.
func gapMs(beginMs, endMs, k, count int64) int64 {
	totalMs := endMs - beginMs
	return min(max(totalMs*(k+1)/count-totalMs*k/count, 0), timeline.SegmentMs+499)
}

// Chapter opens a playlist of segments that follow each other without a break and have one init section: a chapter of a channel's
// history. ChapterSegment goes on with it.
func Chapter(first, discontinuities int64, delegations []manifest.Delegation, init manifest.Record) string {
	w := plainWriter{}
	w.head(Plain{Segments: []Listed{{Number: first}}, DiscontinuitySequence: discontinuities}, 0)
	for _, d := range delegations {
		w.line(manifest.TagDelegation, encode(d.Encode()))
	}
	w.line(manifest.TagInit, encode(init.Encode()))
	w.line(`#EXT-X-MAP:URI="`, InitURI(init.Root), `"`)
	return w.String()
}

// ChapterSegment is the next segment of a chapter.
func ChapterSegment(rec manifest.Record) string {
	w := plainWriter{}
	w.line("#EXT-X-PROGRAM-DATE-TIME:", date(rec.StartMs))
	w.line(manifest.TagRecord, encode(rec.Encode()))
	w.line("#EXTINF:", extinf(rec.DurationMs), ",")
	w.line(SegmentURI(rec.Sequence))
	return w.String()
}

// EndOfChapter ends a chapter that nothing will be added to.
const EndOfChapter = "#EXT-X-ENDLIST\n"

func date(ms int64) string { return time.UnixMilli(ms).UTC().Format(m3u8.DATETIME) }

// extinf writes a duration with three decimals, which is what all ours have.
func extinf(ms int64) string {
	return fmt.Sprintf("%d.%03d", ms/1000, ms%1000)
}
