package transcode

import (
	"fmt"
	"regexp"
)

// A Rung is one rendition of the ladder: H.264 and AAC at fixed sizes and rates.
type Rung struct {
	Name          string // of the rendition, as in URLs and records: [a-z0-9_-]{1,32}
	Width, Height int    // even; a source of another shape is scaled to fit and padded with black
	VideoKbps     int    // mean and, over a second, greatest rate
	AudioKbps     int
}

// DefaultLadder is the demonstration's: cheap enough for two cores beside the viewers.
func DefaultLadder() []Rung {
	return []Rung{
		{Name: "360p", Width: 640, Height: 360, VideoKbps: 800, AudioKbps: 96},
		{Name: "180p", Width: 320, Height: 180, VideoKbps: 250, AudioKbps: 96},
	}
}

const maxRungs = 8

var rungName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// CheckLadder says in a sentence what is wrong with a ladder.
func CheckLadder(ladder []Rung) error {
	if len(ladder) < 1 || len(ladder) > maxRungs {
		return fmt.Errorf("the ladder has %d rungs: it needs 1 to %d", len(ladder), maxRungs)
	}
	names := make(map[string]bool)
	for _, r := range ladder {
		switch {
		case !rungName.MatchString(r.Name):
			return fmt.Errorf("the rung name %q is not 1 to 32 of a-z, 0-9, _ and -", r.Name)
		case names[r.Name]:
			return fmt.Errorf("two rungs are called %q", r.Name)
		case r.Width < 32 || r.Width > 7680 || r.Height < 32 || r.Height > 4320 || r.Width%2 != 0 || r.Height%2 != 0:
			return fmt.Errorf("the rung %q has %d×%d pixels: both must be even, from 32×32 to 7680×4320", r.Name, r.Width, r.Height)
		case r.VideoKbps < 20 || r.VideoKbps > 100_000:
			return fmt.Errorf("the rung %q has %d kb/s of video: it needs 20 to 100000", r.Name, r.VideoKbps)
		case r.AudioKbps < 8 || r.AudioKbps > 512:
			return fmt.Errorf("the rung %q has %d kb/s of sound: it needs 8 to 512", r.Name, r.AudioKbps)
		}
		names[r.Name] = true
	}
	return nil
}
