package transcode

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Rung is one rendition of the ladder: H.264 and AAC at a fixed size and fixed rates, or AAC alone.
type Rung struct {
	Name          string // of the rendition, as in URLs and records: [a-z0-9_-]{1,32}
	Width, Height int    // even; a source of another shape is scaled to fit and padded with black. 0 and no VideoKbps: sound alone
	VideoKbps     int    // mean and, over a second, greatest rate
	AudioKbps     int

	copied bool // the publisher's picture as it comes, which has a size and no rate that anybody chose
}

// SourceRung is the name of the rendition with the publisher's picture as it comes.
const SourceRung = "source"

// SoundOnly reports whether a rung has no picture.
func (r Rung) SoundOnly() bool { return r.Width == 0 && r.Height == 0 && r.VideoKbps == 0 }

// encoded reports whether the rung has a picture that is made here.
func (r Rung) encoded() bool { return !r.copied && !r.SoundOnly() }

// DefaultLadder is for a machine that does nothing else: at 30 pictures a second it takes some four cores.
func DefaultLadder() []Rung {
	return []Rung{
		{Name: "1080p", Width: 1920, Height: 1080, VideoKbps: 5000, AudioKbps: 128},
		{Name: "720p", Width: 1280, Height: 720, VideoKbps: 2800, AudioKbps: 128},
		{Name: "480p", Width: 854, Height: 480, VideoKbps: 1400, AudioKbps: 128},
		{Name: "360p", Width: 640, Height: 360, VideoKbps: 800, AudioKbps: 128},
	}
}

// DemonstrationLadder is cheap enough for two cores beside the viewers.
func DemonstrationLadder() []Rung {
	return []Rung{
		{Name: "360p", Width: 640, Height: 360, VideoKbps: 800, AudioKbps: 96},
		{Name: "180p", Width: 320, Height: 180, VideoKbps: 250, AudioKbps: 96},
	}
}

// ParseRung reads a rung as people write it: "360p:640x360:800:96", or "audio:64" for sound alone.
func ParseRung(text string) (Rung, error) {
	name, rates, _ := strings.Cut(text, ":")
	r := Rung{Name: name}
	sound, err := strconv.Atoi(rates)
	if r.AudioKbps = sound; err != nil {
		_, err = fmt.Sscanf(rates, "%dx%d:%d:%d", &r.Width, &r.Height, &r.VideoKbps, &r.AudioKbps)
	}
	if err != nil {
		return Rung{}, fmt.Errorf("the rung %.64q is not like 360p:640x360:800:96 (name, size, kb/s of video and of sound) or audio:64 (name, kb/s of sound)", text)
	}
	return r, nil
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
		case r.Name == SourceRung:
			return fmt.Errorf("no rung can be called %q: that is the publisher's picture as it comes", r.Name)
		case names[r.Name]:
			return fmt.Errorf("two rungs are called %q", r.Name)
		case r.AudioKbps < 8 || r.AudioKbps > 512:
			return fmt.Errorf("the rung %q has %d kb/s of sound: it needs 8 to 512", r.Name, r.AudioKbps)
		}
		names[r.Name] = true
		switch {
		case r.SoundOnly():
		case r.Width < 32 || r.Width > 7680 || r.Height < 32 || r.Height > 4320 || r.Width%2 != 0 || r.Height%2 != 0:
			return fmt.Errorf("the rung %q has %d×%d pixels: both must be even, from 32×32 to 7680×4320", r.Name, r.Width, r.Height)
		case r.VideoKbps < 20 || r.VideoKbps > 100_000:
			return fmt.Errorf("the rung %q has %d kb/s of video: it needs 20 to 100000", r.Name, r.VideoKbps)
		}
	}
	if !slices.ContainsFunc(ladder, Rung.encoded) {
		return fmt.Errorf("the ladder has sound alone: one rung with a picture is needed, however small")
	}
	return nil
}

// ladderFor leaves out of a ladder what a source cannot fill: rungs that would only be its picture scaled up (of those
// the smallest stays where there is no other), and sound where there is none.
func ladderFor(ladder []Rung, from source, sound bool) []Rung {
	var out []Rung
	smallest := slices.MinFunc(slices.DeleteFunc(slices.Clone(ladder), Rung.SoundOnly), func(a, b Rung) int { return a.Width*a.Height - b.Width*b.Height })
	pictures := 0
	for _, r := range ladder {
		if r.SoundOnly() && !sound || r.encoded() && !from.fills(r) {
			continue
		}
		if r.encoded() {
			pictures++
		}
		out = append(out, r)
	}
	if pictures == 0 {
		out = append([]Rung{smallest}, out...)
	}
	return out
}

// passThrough puts the source's own picture in the place of the rungs that are as large as it.
func passThrough(ladder []Rung, from source) []Rung {
	top := Rung{Name: SourceRung, Width: from.width, Height: from.height, copied: true}
	for _, r := range ladder {
		top.AudioKbps = max(top.AudioKbps, r.AudioKbps)
	}
	smaller := slices.DeleteFunc(slices.Clone(ladder), func(r Rung) bool { return r.encoded() && (r.Width >= from.width || r.Height >= from.height) })
	return append([]Rung{top}, smaller...)
}

// without leaves out n of the rungs that are encoded, the largest first, but not the last picture, and returns how many it left out.
func without(ladder []Rung, n int) (rest []Rung, left int) {
	rest = slices.Clone(ladder)
	for left < n && !lastPicture(rest) {
		largest := slices.MaxFunc(rest, func(a, b Rung) int { return cmp.Compare(a.load(), b.load()) })
		rest = slices.DeleteFunc(rest, func(r Rung) bool { return r.Name == largest.Name })
		left++
	}
	return rest, left
}

// missing are the names of the rungs that are not among the others.
func missing(ladder, others []Rung) []string {
	return slices.DeleteFunc(names(ladder), func(name string) bool { return slices.Contains(names(others), name) })
}

// lastPicture reports whether nothing can be left out any more: there is one picture only, or all that is encoded is sound.
func lastPicture(ladder []Rung) bool {
	pictures := 0
	for _, r := range ladder {
		if !r.SoundOnly() {
			pictures++
		}
	}
	return pictures <= 1 || pixels(ladder) == 0
}

// load is what a rung costs, in pixels; nothing if it is not encoded.
func (r Rung) load() int64 {
	if !r.encoded() {
		return 0
	}
	return int64(r.Width) * int64(r.Height)
}

// pixels are those of all rungs that are encoded.
func pixels(ladder []Rung) (n int64) {
	for _, r := range ladder {
		n += r.load()
	}
	return n
}

// names are those of the rungs.
func names(ladder []Rung) []string {
	var out []string
	for _, r := range ladder {
		out = append(out, r.Name)
	}
	return out
}
