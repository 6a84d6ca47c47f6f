package origin

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

const (
	// maxWindowBytes and maxWindowSegments bound a playlist of a window on disk: a day of it has 1.3 MB.
	maxWindowBytes    = 4 << 20
	maxWindowSegments = 50_000
)

// isWindow reports whether a playlist names chapters instead of records.
func isWindow(text string) bool {
	return strings.Contains(text, "\n"+hls.TagChapter) && !manifest.IsMultivariant(text)
}

// window verifies a playlist of hours. It has no records itself: each chapter that it names has, and what is listed must be in the
// chapters, and nothing else may be.
func (v *verification) window(name, text string, base *url.URL) error {
	pl, err := manifest.ReadWindow(text, maxWindowBytes, maxWindowSegments)
	if err != nil {
		return fmt.Errorf("rendition %q: %w", name, err)
	}
	var verifier *manifest.Verifier
	signed := make(map[int64]manifest.Verified)
	chapters := chapterURIs(text)
	for _, uri := range chapters {
		list, claimed, err := v.chapter(&verifier, name, uri, base)
		if err != nil {
			return fmt.Errorf("the chapter %s: %w", uri, err)
		}
		name = claimed
		for _, entry := range list {
			signed[entry.Record.Sequence] = entry
		}
	}
	var listed []manifest.Verified
	for _, s := range pl.Segments {
		entry, ok := signed[s.Number]
		switch {
		case s.Gap:
			continue
		case !ok:
			return fmt.Errorf("segment %d of %q is listed, but no chapter has it", s.Number, name)
		case s.URI != entry.Segment.URI || s.MapURI != entry.Segment.MapURI || s.DurationMs != entry.Segment.DurationMs || s.PDTms != 0 && s.PDTms != entry.Segment.PDTms:
			return fmt.Errorf("segment %d of %q is listed as another one than in its chapter", s.Number, name)
		}
		listed = append(listed, entry)
	}
	if len(listed) == 0 {
		v.say("rendition", "%s: no segments", name)
		return nil
	}
	first, last := listed[0].Record, listed[len(listed)-1].Record
	v.say("rendition", "%s: %d segments in %d chapters, %d to %d, %d gaps", name, len(listed), len(chapters), first.Sequence, last.Sequence, len(pl.Segments)-len(listed))
	v.say("  chain", "unbroken within chapters, from %s on; newest record signed %.1f s ago", dateOf(first.StartMs), float64(time.Now().UnixMilli()-last.CreatedMs)/1000)
	return v.contents(name, base, listed)
}

// chapterURIs are the addresses of the chapters that a playlist names, in order.
func chapterURIs(text string) (uris []string) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, hls.TagChapter+`URI="`); ok {
			uri, _, _ := strings.Cut(value, `"`)
			uris = append(uris, uri)
		}
	}
	return uris
}

// chapter verifies a chapter and returns its segments, and the rendition that it claims to be of if none was known.
func (v *verification) chapter(verifier **manifest.Verifier, name, uri string, base *url.URL) ([]manifest.Verified, string, error) {
	at, err := base.Parse(uri)
	if err != nil {
		return nil, name, fmt.Errorf("it has no usable address: %w", err)
	}
	b, _, err := v.get(at, manifest.MaxPlaylistBytes, "it")
	if err != nil {
		return nil, name, err
	}
	pl, err := manifest.ReadPlaylist(string(b))
	if err != nil {
		return nil, name, err
	}
	if v.channel.IsZero() && len(pl.Delegations) > 0 {
		if err := v.identify(pl.Delegations[0].Channel(), "the first chapter"); err != nil {
			return nil, name, err
		}
	}
	if name == "" && len(pl.Segments) > 0 && pl.Segments[0].Record != nil {
		name = pl.Segments[0].Record.Rendition
	}
	if *verifier == nil {
		*verifier = manifest.NewVerifier(v.channel, name)
	}
	list, err := (*verifier).Playlist(pl, time.Now().UnixMilli())
	return list, name, err
}
