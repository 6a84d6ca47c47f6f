package hls

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/grafov/m3u8"

	"slipstream/origin/manifest"
	"slipstream/origin/timeline"
)

// SkipUntilMs is the age, counted from the end of a playlist, beyond which a delta update leaves segments out: six target
// durations, the least that is allowed (RFC 8216bis, section 4.4.3.8).
const SkipUntilMs = 6 * timeline.SegmentMs

const (
	// DefaultHoldBack is how many part targets players stay behind the newest part.
	DefaultHoldBack = 3
	// MinHoldBack is the least that is allowed; three is what is recommended (RFC 8216bis, section 4.4.3.8).
	MinHoldBack = 2
	// MaxHoldBack is more than anybody wants who wants parts.
	MaxHoldBack = 12
)

// CheckHoldBack says whether players may be told to stay so many part targets behind.
func CheckHoldBack(targets float64) error {
	if !(targets >= MinHoldBack && targets <= MaxHoldBack) { // nor not a number
		return fmt.Errorf("a part hold-back of %v part targets is not possible: choose %d to %d", targets, MinHoldBack, MaxHoldBack)
	}
	return nil
}

func (v View) holdBackMs() int64 {
	return int64(math.Ceil(cmp.Or(v.HoldBack, DefaultHoldBack) * float64(v.PartTargetMs)))
}

// Part is a part of a segment.
type Part struct {
	Record      manifest.Record
	Independent bool
}

// Report says where another rendition is, so that a player that changes to it need not ask first.
type Report struct {
	Rendition string
	Number    int64
	Part      int // newest part of it; -1 if it was published whole
}

// PartURI is the address of a part relative to its media playlist; its leaf list has ".leaves" appended.
func PartURI(number int64, index int) string {
	return strconv.FormatInt(number, 10) + "." + strconv.Itoa(index) + ".m4s"
}

// MediaDelta renders a delta update, which leaves out what the player knows if its last playlist is not older than
// SkipUntilMs (RFC 8216bis, section 6.2.5.1). Where nothing can be left out it is the whole playlist.
func MediaDelta(v View, nowMs int64) (string, error) { return render(v, nowMs, true) }

// skippable is how many entries lie farther from the end than SkipUntilMs.
func skippable(spans []span) int {
	keptMs, skipped := int64(0), len(spans)
	for skipped > 0 && keptMs < SkipUntilMs {
		skipped--
		keptMs += spans[skipped].durationMs
	}
	return skipped
}

// control tells players what they may ask for (RFC 8216bis, sections 4.4.3.7 and 4.4.3.8).
func control(v View) lines {
	if v.PartTargetMs == 0 {
		return nil
	}
	return lines{
		fmt.Sprintf("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=%s,PART-HOLD-BACK=%s", seconds(SkipUntilMs), seconds(v.holdBackMs())),
		"#EXT-X-PART-INF:PART-TARGET=" + seconds(v.PartTargetMs),
	}
}

// parts lists the parts of a segment, each after its record.
func parts(entry Entry) (tags lines) {
	for i, p := range entry.Parts {
		tag := fmt.Sprintf("#EXT-X-PART:DURATION=%s,URI=%q", seconds(p.Record.DurationMs), PartURI(entry.Number, i))
		if p.Independent {
			tag += ",INDEPENDENT=YES"
		}
		tags = append(tags, manifest.TagPart+encode(p.Record.Encode()), tag)
	}
	return tags
}

// edge is what comes after the last segment: the parts of the next one, which part is about to come, and where the other
// renditions are. The library knows nothing of it.
func edge(v View, init manifest.Hash) string {
	if v.PartTargetMs == 0 {
		return ""
	}
	var tags lines
	next := PartURI(v.Entries[len(v.Entries)-1].Number+1, 0)
	if open := v.Open; open != nil && len(open.Parts) > 0 {
		next = PartURI(open.Number, len(open.Parts))
		if open.Discontinuity {
			tags = append(tags, "#EXT-X-DISCONTINUITY")
		}
		if open.Init.Root != init {
			tags = append(tags, fmt.Sprintf("#EXT-X-MAP:URI=%q", InitURI(open.Init.Root)), manifest.TagInit+encode(open.Init.Encode()))
		}
		tags = append(tags, "#EXT-X-PROGRAM-DATE-TIME:"+time.UnixMilli(open.Parts[0].Record.StartMs).UTC().Format(m3u8.DATETIME))
		tags = append(tags, parts(*open)...)
	}
	tags = append(tags, fmt.Sprintf("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=%q", next))
	for _, r := range v.Reports {
		tag := fmt.Sprintf("#EXT-X-RENDITION-REPORT:URI=\"../%s/index.m3u8\",LAST-MSN=%d", r.Rendition, r.Number)
		if r.Part >= 0 {
			tag += fmt.Sprintf(",LAST-PART=%d", r.Part)
		}
		tags = append(tags, tag)
	}
	return tags.String() + "\n"
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64) }
