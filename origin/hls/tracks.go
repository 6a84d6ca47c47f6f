package hls

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/grafov/m3u8"

	"slipstream/origin/cmaf"
)

// Where pictures and sound have playlists of their own, renditions of one bitrate of sound share it: who changes from one to the other goes on with
// the sound, and a cache holds it once. The multiplexed playlist stays the one for our own viewers, because that is what records are about.

// TrackName is what the playlist of a rendition's track is called.
func TrackName(kind cmaf.Kind) string { return string(kind) + ".m3u8" }

// trackURI is the address of a segment's track relative to that playlist. DASH has the same addresses.
func trackURI(kind cmaf.Kind, startMs int64) string {
	return string(kind) + "/" + strconv.FormatInt(startMs, 10) + ".m4s"
}

// Track is a window as a playlist of pictures or of sound alone; segments without any are gaps. It fails with ErrOffAir as Media does, and where
// there is nothing of a kind.
func Track(v View, kind cmaf.Kind, nowMs int64) (string, error) {
	if len(v.Entries) == 0 || nowMs-v.Entries[len(v.Entries)-1].Record.CreatedMs > OffAirMs {
		return "", ErrOffAir
	}
	p := Plain{Track: kind, DiscontinuitySequence: v.DiscontinuitySequence}
	discontinuity := false
	for _, e := range v.Entries {
		discontinuity = discontinuity || e.Discontinuity
		if picture, sound := tracksOf(e.Codecs); e.Gap || kind == cmaf.Video && picture == "" || kind == cmaf.Audio && sound == "" {
			continue
		}
		if len(p.Segments) == 0 && discontinuity {
			p.DiscontinuitySequence++
		}
		p.Segments = append(p.Segments, Listed{Number: e.Number, StartMs: e.Record.StartMs, DurationMs: e.Record.DurationMs, Discontinuity: discontinuity, Init: e.Record.Init})
		discontinuity = false
	}
	if len(p.Segments) == 0 {
		return "", ErrOffAir
	}
	return p.Render(false), nil
}

// tracksOf splits codecs as package cmaf names them: pictures first.
func tracksOf(codecs string) (picture, sound string) {
	picture, sound, _ = strings.Cut(codecs, ",")
	if strings.HasPrefix(picture, "mp4a") {
		return "", picture
	}
	return picture, sound
}

// variant completes what a multivariant playlist says of a rendition whose tracks have playlists of their own, and returns the address of the
// pictures, or of the sound where there are none. The sound is that of the first rendition with its bitrate.
func (c Channel) variant(r Rendition, params *m3u8.VariantParams, groups map[string]*m3u8.Alternative) string {
	kind := cmaf.Video
	picture, sound := tracksOf(r.Codecs)
	if picture == "" {
		kind = cmaf.Audio
	}
	if sound != "" {
		group := fmt.Sprintf("%d kb/s", c.AudioBps[r.Name]/1000)
		if groups[group] == nil {
			groups[group] = &m3u8.Alternative{Type: "AUDIO", GroupId: group, Name: "sound", Default: true, Autoselect: "YES", URI: r.Name + "/" + TrackName(cmaf.Audio)}
		}
		params.Audio = group
		params.Alternatives = []*m3u8.Alternative{groups[group]}
	}
	return r.Name + "/" + TrackName(kind)
}
