// Package health is the verdict that makes a channel's manifests answer "not found", so that whoever stands in front of
// two regions asks the other one: a CDN with an origin group, nginx with proxy_next_upstream http_404. Segments that were
// published go on to be served, for the players that know of them.
//
// The verdict is about what a player would be handed, not about its cause: it is the same for a dead publisher, a
// transcoder that hangs, and a disk that is full. It is a pure function of the newest segments; so is the way back:
// a region is fit again when what a player would begin with is whole again, and not a segment earlier.
package health

import "fmt"

// Recent is how many of the newest segments must be there for a window to be whole: what a player that begins three
// segments behind the newest one may ask for, and its buffer of ten seconds before that.
const Recent = 8

// StaleMs is the age of its newest segment at which a region gives way: the next one is a second late, and a player three
// segments behind the newest has three seconds left.
const StaleMs = 3000

// Policy says what makes a channel unfit. The zero value: only that there is nothing at all.
type Policy struct {
	StaleMs    int64 // its newest segment is older than this; 0: its age does not matter
	Incomplete bool  // one of the Recent newest segments is missing, or there are fewer
	Slate      bool  // one of them shows slate instead of what a publisher sends
}

// Rendition is what is known of one.
type Rendition struct {
	Name      string
	Head      int64 // newest segment number, -1 if there is none
	CreatedMs int64 // when it was published, epoch ms
	Missing   int   // of the Recent newest numbers, those without a segment
	Slate     int   // of them, those with slate
}

// Reasons says in sentences why a channel of these renditions is unfit, or nothing.
func (p Policy) Reasons(renditions []Rendition, nowMs int64) []string {
	var out []string
	for _, r := range renditions {
		ageMs := nowMs - r.CreatedMs
		switch {
		case r.Head < 0:
			out = append(out, fmt.Sprintf("rendition %q has no segment yet", r.Name))
		case p.StaleMs > 0 && ageMs > p.StaleMs:
			out = append(out, fmt.Sprintf("the newest segment of %q is %d s old", r.Name, ageMs/1000))
		case p.Incomplete && r.Missing > 0:
			out = append(out, fmt.Sprintf("%d of the newest %d segments of %q are missing", r.Missing, Recent, r.Name))
		case p.Slate && r.Slate > 0:
			out = append(out, fmt.Sprintf("%d of the newest %d segments of %q show slate", r.Slate, Recent, r.Name))
		}
	}
	return out
}
