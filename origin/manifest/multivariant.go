package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// The DATA-IDs under which a multivariant playlist tells a viewer about the swarm.
const (
	DataChannel = "slipstream.channel" // the channel id
	DataTracker = "slipstream.tracker" // ws(s) URL or absolute path of the tracker; absent: no peer-to-peer
	DataToken   = "slipstream.token"   // URL or absolute path that issues join tokens; absent: no peer-to-peer
)

// MaxVariants bounds the variants of a multivariant playlist: a rendition is listed once for each CDN.
const MaxVariants = 128

// Multivariant is what a viewer needs of a multivariant playlist. It is not signed: the channel id in it is only a
// claim, to be compared with the id that the viewer was given (or, on first use, trusted and pinned).
type Multivariant struct {
	Channel  Hash   // zero if the playlist names none
	Tracker  string // "" if none
	Token    string // "" if none
	Variants []Variant
	// Content Steering (RFC 8216bis, section 4.4.6.6): where the steering manifest is, and the pathway to begin with; "" if there is none.
	Steering, Pathway string
}

// Variant is one rendition on offer.
type Variant struct {
	URI       string
	Rendition string // NAME, or the folder that holds the media playlist
	Bandwidth int64  // peak bits/s
	Width     int
	Height    int
	Codecs    string
	Pathway   string // PATHWAY-ID: the CDN that the URI leads to; "" if it has no name
}

// Pathways returns the names of the CDNs that the variants are at, the one to begin with first.
func (m Multivariant) Pathways() []string {
	var names []string
	for _, v := range m.Variants {
		switch {
		case slices.Contains(names, v.Pathway):
		case v.Pathway == m.Pathway:
			names = slices.Insert(names, 0, v.Pathway)
		default:
			names = append(names, v.Pathway)
		}
	}
	return names
}

// At returns the variants at one CDN.
func (m Multivariant) At(pathway string) []Variant {
	return slices.DeleteFunc(slices.Clone(m.Variants), func(v Variant) bool { return v.Pathway != pathway })
}

// IsMultivariant reports whether text is a multivariant playlist rather than a media playlist.
func IsMultivariant(text string) bool { return strings.Contains(text, "\n#EXT-X-STREAM-INF:") }

// ReadMultivariant reads a multivariant playlist. Errors have code MalformedPlaylist.
func ReadMultivariant(text string) (Multivariant, error) {
	var m Multivariant
	bad := func(line int, format string, args ...any) (Multivariant, error) {
		return Multivariant{}, refuse(MalformedPlaylist, fmt.Sprintf("the multivariant playlist, line %d", line), format, args...)
	}
	if len(text) > MaxPlaylistBytes {
		return bad(1, "it has %d bytes; %d are allowed", len(text), MaxPlaylistBytes)
	}
	var next *Variant
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if i == 0 && line != "#EXTM3U" {
			return bad(1, "it does not begin with #EXTM3U")
		}
		tag, value, _ := strings.Cut(line, ":")
		switch {
		case tag == "#EXT-X-SESSION-DATA":
			if err := m.sessionData(value); err != nil {
				return bad(i+1, "%v", err)
			}
		case tag == "#EXT-X-CONTENT-STEERING":
			m.Steering, _ = attribute(value, "SERVER-URI")
			m.Pathway, _ = attribute(value, "PATHWAY-ID")
		case tag == "#EXT-X-STREAM-INF":
			v, ok := readVariant(value)
			if !ok || next != nil || len(m.Variants) == MaxVariants {
				return bad(i+1, "EXT-X-STREAM-INF is not understood, or there are more than %d", MaxVariants)
			}
			next = &v
		case next != nil && line != "" && line[0] != '#':
			if len(line) > maxURI {
				return bad(i+1, "a URI has more than %d bytes", maxURI)
			}
			next.URI = line
			if next.Rendition == "" {
				next.Rendition = folderOf(line)
			}
			m.Variants = append(m.Variants, *next)
			next = nil
		}
	}
	if len(m.Variants) == 0 {
		return bad(1, "it offers no rendition")
	}
	return m, nil
}

func (m *Multivariant) sessionData(list string) error {
	id, _ := attribute(list, "DATA-ID")
	value, _ := attribute(list, "VALUE")
	switch id {
	case DataChannel:
		var err error
		m.Channel, err = ParseHash(value)
		return err
	case DataTracker:
		m.Tracker = value
	case DataToken:
		m.Token = value
	}
	return nil
}

func readVariant(list string) (Variant, bool) {
	var v Variant
	bandwidth, _ := attribute(list, "BANDWIDTH")
	var ok bool
	if v.Bandwidth, ok = parseInteger(bandwidth); !ok {
		return v, false
	}
	v.Codecs, _ = attribute(list, "CODECS")
	v.Rendition, _ = attribute(list, "NAME")
	v.Pathway, _ = attribute(list, "PATHWAY-ID")
	if resolution, found := attribute(list, "RESOLUTION"); found {
		w, h, _ := strings.Cut(resolution, "x")
		width, okW := parseInteger(w)
		height, okH := parseInteger(h)
		if !okW || !okH || width > 1<<16 || height > 1<<16 {
			return v, false
		}
		v.Width, v.Height = int(width), int(height)
	}
	return v, true
}

// folderOf returns "360p" for "…/360p/index.m3u8?…".
func folderOf(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	parts := strings.Split(path, "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[len(parts)-2]
}
