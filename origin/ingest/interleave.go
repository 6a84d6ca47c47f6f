package ingest

import (
	"time"

	"slipstream/origin/cmaf"
)

const (
	// mostApart is how far picture and sound may be apart in arriving: the longest segments that encoders make.
	mostApart = 12 * time.Second
	// mostApartBytes bounds what waits for the other one.
	mostApartBytes = 32 << 20
	// jumpBack is how far a track's time goes back when its encoder has begun anew.
	jumpBack = time.Second
)

// An interleaver brings picture and sound that come by requests of their own, a segment at a time, into the order of their decoding
// times. The encoder could not wait for sound that comes seconds after its picture.
//
// Whether there is sound at all may be known only when its init section comes, a moment after the first pictures.
type interleaver struct {
	picture, sound queue
	bytes          int
}

type queue struct {
	expected bool // there is such a track
	absent   bool // nothing was heard of one, until others would wait no more
	samples  []cmaf.AccessUnit
	newest   time.Duration
}

func (i *interleaver) of(kind cmaf.Kind) *queue {
	if kind == cmaf.Video {
		return &i.picture
	}
	return &i.sound
}

// expect says that there is a track of a kind, for which the other one waits.
func (i *interleaver) expect(kind cmaf.Kind) { i.of(kind).expected = true }

// put takes a sample and returns those whose turn it is.
func (i *interleaver) put(s cmaf.AccessUnit) (ready []cmaf.AccessUnit) {
	q := i.of(s.Kind)
	if q.expected && s.DTS < q.newest-jumpBack {
		ready = i.flush()
		i.picture.newest, i.sound.newest = s.DTS, s.DTS
	}
	q.expected, q.newest = true, max(q.newest, s.DTS)
	q.samples = append(q.samples, s)
	i.bytes += len(s.Data)
	for {
		next := i.earliest()
		if next == nil {
			return ready
		}
		other := &i.picture
		if next == other {
			other = &i.sound
		}
		if len(other.samples) == 0 && next.newest-next.samples[0].DTS < other.patience() && i.bytes < mostApartBytes {
			return ready
		}
		other.absent = !other.expected
		ready = append(ready, i.pop(next))
	}
}

// patience is how long the other track waits for this one.
func (q *queue) patience() time.Duration {
	switch {
	case q.expected:
		return mostApart
	case q.absent:
		return 0
	default:
		return soundWait
	}
}

// flush returns all that waits.
func (i *interleaver) flush() (all []cmaf.AccessUnit) {
	for next := i.earliest(); next != nil; next = i.earliest() {
		all = append(all, i.pop(next))
	}
	return all
}

// earliest is the queue whose first sample comes first; nil if both are empty.
func (i *interleaver) earliest() *queue {
	p, s := i.picture.samples, i.sound.samples
	switch {
	case len(p) == 0 && len(s) == 0:
		return nil
	case len(s) == 0 || len(p) > 0 && p[0].DTS <= s[0].DTS:
		return &i.picture
	default:
		return &i.sound
	}
}

func (i *interleaver) pop(q *queue) cmaf.AccessUnit {
	s := q.samples[0]
	q.samples[0] = cmaf.AccessUnit{}
	q.samples = q.samples[1:]
	i.bytes -= len(s.Data)
	return s
}
