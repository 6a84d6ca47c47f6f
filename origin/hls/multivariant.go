package hls

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/grafov/m3u8"

	"slipstream/origin/manifest"
)

// Channel is what a multivariant playlist says about a channel.
type Channel struct {
	ID manifest.Hash
	// Tracker and Token are URLs or absolute paths; either empty means no peer-to-peer, and neither is told.
	Tracker, Token string
	Renditions     []Rendition
	// Playlist is what media playlists are called, each in its rendition's folder; "": MediaName.
	Playlist string
	AudioBps map[string]int64 // what sound may use by rendition; for TracksName
	// CDNs are where it can be had besides, in order; none: where this playlist is. Name is the channel's, for their addresses.
	CDNs []CDN
	Name string
}

// Multivariant playlists, and the media playlists that they list: the live window with records, hours without, the live window in MPEG-TS, and with
// tracks apart, whose media playlists have their own names (TrackName).
const (
	MediaName     = "index.m3u8"
	DVRName       = "dvr.m3u8"
	TransportName = "ts.m3u8"
	TracksName    = "tracks.m3u8"
)

// Rendition is one line of a multivariant playlist.
type Rendition struct {
	Name          string // also the folder of its media playlist
	Codecs        string // RFC 6381
	Width, Height int
	FrameRate     float64
	PeakBps       int64 // of any segment so far, bits/s
	AverageBps    int64
	FloorBps      int64 // what the encoder may use at least; one dark minute must not pass for the stream's peak
}

// Bandwidth is never below what the encoder was allowed, so that a still picture does not lure phones on slow links.
func (r Rendition) Bandwidth() int64 { return max(r.PeakBps, r.FloorBps, 1) }

// Multivariant renders a multivariant playlist, best rendition first.
func Multivariant(c Channel) (string, error) {
	if len(c.Renditions) == 0 {
		return "", ErrOffAir
	}
	list := m3u8.NewMasterPlaylist()
	list.SetVersion(6)
	list.SetIndependentSegments(true)
	data := lines{sessionData(manifest.DataChannel, c.ID.String())}
	if c.Tracker != "" && c.Token != "" {
		if strings.ContainsAny(c.Tracker+c.Token, "\"\r\n") {
			return "", errors.New("the tracker's or the token's URL contains a quote or a line break, which a playlist cannot hold")
		}
		data = append(data, sessionData(manifest.DataTracker, c.Tracker), sessionData(manifest.DataToken, c.Token))
	}
	list.SetCustomTag(data)
	renditions := slices.Clone(c.Renditions)
	slices.SortFunc(renditions, func(a, b Rendition) int {
		return cmp.Or(cmp.Compare(b.Bandwidth(), a.Bandwidth()), cmp.Compare(a.Name, b.Name))
	})
	groups := make(map[string]*m3u8.Alternative)
	for _, r := range renditions {
		params := m3u8.VariantParams{
			Bandwidth:        uint32(min(r.Bandwidth(), math.MaxUint32)),
			AverageBandwidth: uint32(min(max(r.AverageBps, 0), math.MaxUint32)),
			Codecs:           r.Codecs,
			Name:             r.Name,
			FrameRate:        r.FrameRate,
		}
		if r.Width > 0 && r.Height > 0 {
			params.Resolution = fmt.Sprintf("%dx%d", r.Width, r.Height)
		}
		uri := r.Name + "/" + cmp.Or(c.Playlist, MediaName)
		if c.Playlist == TracksName {
			uri = c.variant(r, &params, groups)
		}
		list.Append(uri, nil, params)
	}
	return c.steered(list.String()), nil
}

func sessionData(id, value string) string {
	return fmt.Sprintf("#EXT-X-SESSION-DATA:DATA-ID=%q,VALUE=\"%s\"", id, value)
}
