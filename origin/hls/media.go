package hls

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/grafov/m3u8"

	"slipstream/origin/manifest"
	"slipstream/origin/timeline"
)

// OffAirMs is the age of the newest segment's record beyond which a channel counts as off the air. It stays below
// manifest.MaxAgeMs by what caches and clocks may add.
const OffAirMs = manifest.MaxAgeMs - 2*manifest.MaxSkewMs

// ErrOffAir says that there is nothing to play at the moment.
var ErrOffAir = errors.New("the channel is off the air: no publisher has sent anything lately")

// View is what the store knows of one rendition's window.
type View struct {
	Rendition   string
	Delegations []manifest.Delegation // of the keys that signed the entries, at most manifest.MaxDelegations
	// DiscontinuitySequence counts the discontinuities before the first entry since the channel began.
	DiscontinuitySequence int64
	Entries               []Entry // by number, without holes; neither the first nor the last is a gap
	// SinceMs is the start of the first in the row of segments, without a hole or a discontinuity, that the first entry belongs to. It
	// may have left the window.
	SinceMs int64
	// The rest is for playlists with parts (low latency).
	PartTargetMs int64    // no part lasts longer; 0: there are none
	HoldBack     float64  // how many part targets players are to stay behind the newest part; 0: DefaultHoldBack
	Open         *Entry   // the one after the last, if parts of it are out; it has no Record
	Reports      []Report // where the other renditions are
}

// Entry is one segment number in the window.
type Entry struct {
	Number        int64
	Gap           bool // nothing was published under this number; Record and Init are empty
	Discontinuity bool
	Record        manifest.Record
	Init          manifest.Record
	Codecs        string // RFC 6381, of what is in the init section
	Parts         []Part // those to be listed
}

// SegmentURI is a segment's address relative to its media playlist; its leaf list has ".leaves" appended.
func SegmentURI(number int64) string { return strconv.FormatInt(number, 10) + ".m4s" }

// InitURI is the address of an init section relative to the media playlists that need it.
func InitURI(root manifest.Hash) string { return "init-" + hex.EncodeToString(root[:8]) + ".mp4" }

// Media renders a media playlist. It fails with ErrOffAir if there is nothing, or nothing recent, to list.
func Media(v View, nowMs int64) (string, error) { return render(v, nowMs, false) }

// render leaves out what a delta update may.
func render(v View, nowMs int64, delta bool) (string, error) {
	if len(v.Entries) == 0 || nowMs-v.Entries[len(v.Entries)-1].Record.CreatedMs > OffAirMs {
		return "", ErrOffAir
	}
	list, err := m3u8.NewMediaPlaylist(0, uint(len(v.Entries)))
	if err != nil {
		return "", fmt.Errorf("the playlist of %q cannot be made: %w", v.Rendition, err)
	}
	list.SetVersion(6) // EXT-X-MAP in a playlist that is not I-frame-only (RFC 8216bis section 8)
	list.SeqNo = uint64(v.Entries[0].Number)
	list.DiscontinuitySeq = uint64(v.DiscontinuitySequence)
	spans := spansOf(v.Entries)
	skipped := 0
	if delta {
		skipped = skippable(spans)
	}
	head := append(header(v.Delegations), control(v)...)
	if skipped > 0 {
		list.SetVersion(9)
		head = append(head, fmt.Sprintf("#EXT-X-SKIP:SKIPPED-SEGMENTS=%d", skipped))
	}
	list.SetCustomTag(head)
	var init manifest.Hash
	longestMs := int64(0)
	for i, entry := range v.Entries {
		longestMs = max(longestMs, entry.Record.DurationMs)
		if i < skipped {
			continue
		}
		seg := segment(entry, spans[i])
		if !entry.Gap && entry.Init.Root != init {
			init = entry.Init.Root
			seg.Map = &m3u8.Map{URI: InitURI(init)}
			tags := seg.Custom[""].(lines)
			seg.Custom[""] = append(lines{manifest.TagInit + encode(entry.Init.Encode())}, tags...)
		}
		if err := list.AppendSegment(seg); err != nil {
			return "", fmt.Errorf("%s of %q cannot be listed: %w", seg.URI, v.Rendition, err)
		}
	}
	// Rounded to the nearest second, no segment is longer (RFC 8216bis section 4.4.3.1). The library would round up.
	list.TargetDuration = float64(max(timeline.SegmentMs, (longestMs+500)/1000*1000) / 1000)
	return list.String() + edge(v, init), nil
}

// span is the time that an entry covers.
type span struct{ startMs, durationMs int64 }

// spansOf returns the time of each entry. A gap's entries share what lies between its neighbours, so that durations and
// dates tell the same time; an entry must not, rounded, last longer than the target duration.
func spansOf(entries []Entry) []span {
	spans := make([]span, len(entries))
	for i := 0; i < len(entries); i++ {
		if rec := entries[i].Record; !entries[i].Gap {
			spans[i] = span{rec.StartMs, rec.DurationMs}
			continue
		}
		end := i
		for entries[end].Gap { // the last entry is none
			end++
		}
		beginMs := spans[i-1].startMs + spans[i-1].durationMs // nor is the first
		totalMs, count := entries[end].Record.StartMs-beginMs, int64(end-i)
		for k := range count {
			startMs := beginMs + totalMs*k/count
			nextMs := beginMs + totalMs*(k+1)/count
			spans[i+int(k)] = span{startMs, min(max(nextMs-startMs, 0), timeline.SegmentMs+499)}
		}
		i = end - 1
	}
	return spans
}

func segment(entry Entry, at span) *m3u8.MediaSegment {
	tags := lines{"#EXT-X-GAP"}
	if !entry.Gap {
		tags = append(parts(entry), manifest.TagRecord+encode(entry.Record.Encode()))
	}
	return &m3u8.MediaSegment{
		URI:             SegmentURI(entry.Number),
		Duration:        float64(at.durationMs) / 1000,
		Discontinuity:   entry.Discontinuity,
		ProgramDateTime: time.UnixMilli(at.startMs).UTC(),
		Custom:          map[string]m3u8.CustomTag{"": tags},
	}
}

func header(delegations []manifest.Delegation) lines {
	tags := lines{"#EXT-X-INDEPENDENT-SEGMENTS"}
	for _, d := range delegations {
		tags = append(tags, manifest.TagDelegation+encode(d.Encode()))
	}
	return tags
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// lines are tags that the library does not know. It keeps custom tags in a map and writes them in random order; a
// single custom tag that is several lines long keeps their order and the playlist the same for the same view.
type lines []string

// TagName implements m3u8.CustomTag.
func (l lines) TagName() string { return "" }

// Encode implements m3u8.CustomTag; the library adds the last line's end.
func (l lines) Encode() *bytes.Buffer { return bytes.NewBufferString(l.String()) }

// String implements m3u8.CustomTag.
func (l lines) String() string {
	var b bytes.Buffer
	for i, line := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return b.String()
}
