package world

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Result is what a run showed.
type Result struct {
	Config   Config
	Viewers  []Viewer // by number, seeders last
	Measured Measured // segments published after warming up
	Whole    Measured // all segments

	Connections   int64
	PlaylistBytes int64
	Failures      []string // what must never happen and did
}

// Viewer is one of them.
type Viewer struct {
	Stats
	Number            int
	Seeder            bool
	Class             int // −1: a seeder
	UplinkBytesPerSec int64
	JoinMs            int64 // after the start of the run; −1: did not come before its end
}

// Measured is the bookkeeping of a range of segments.
type Measured struct {
	Segments     int64
	ViewerBytes  int64   // media that reached viewers
	HTTPBytes    int64   // of it, from the CDN
	P2PBytes     int64   // of it, from neighbours and seeders
	StartupBytes int64   // of HTTPBytes
	DutyBytes    int64   // of HTTPBytes
	RescueBytes  int64   // of HTTPBytes
	CDNBytes     int64   // media that left the CDN, for seeders too
	StreamBytes  int64   // of the segments that reached anybody, once
	ViewersMean  float64 // N of the bound: viewers that a segment reached
	UplinkMean   float64 // ū of the bound, bytes/s, seeders' shared out
}

// CDNCopies is how often a leaf left the CDN.
func (m Measured) CDNCopies() float64 {
	if m.StreamBytes == 0 {
		return 0
	}
	return float64(m.CDNBytes) / float64(m.StreamBytes)
}

func (a *audit) fail(format string, args ...any) {
	if len(a.failures) < maxFailures {
		a.failures = append(a.failures, fmt.Sprintf(format, args...))
	}
}

// unknown is called when the core wants something done with a segment that the
// viewer does not know. One that left the playlist in this very millisecond is no
// fault: the core had not heard of it when it decided.
func (a *audit) unknown(v *viewer, object int32, what string) {
	if object >= v.objects.next() || object < v.objects.first-1 {
		a.fail("viewer %d %s segment %d, which it does not know", v.number, what, object)
	}
}

func (w *world) result() *Result {
	r := &Result{Config: w.cfg, Connections: w.audit.connections}
	for _, v := range w.viewers {
		joinMs := v.joinMs - startMs
		if !v.here {
			joinMs = -1
		}
		r.Viewers = append(r.Viewers, Viewer{
			Stats: v.stats, Number: int(v.number), Seeder: v.seeder, Class: v.class,
			UplinkBytesPerSec: v.uplink, JoinMs: joinMs,
		})
		r.PlaylistBytes += v.stats.PlaylistBytes
		w.checkBooks(v)
	}
	r.Failures = w.audit.failures
	for i := range w.audit.segments {
		published := w.stream.publishedMs(int32(i))
		r.Whole.add(w, &w.audit.segments[i])
		// The last segments are still on their way at the end: their first leaves
		// come from the CDN, the rest would have come from neighbours.
		late := w.endMs - int64(w.cfg.Stream.HoldBackSegments)*w.stream.segmentMs
		if published >= startMs+w.cfg.MeasureAfterMs && published <= late {
			r.Measured.add(w, &w.audit.segments[i])
		}
	}
	r.Whole.close(w)
	r.Measured.close(w)
	return r
}

func (m *Measured) add(w *world, s *segmentStats) {
	if s.viewers == 0 {
		return
	}
	m.Segments++
	m.HTTPBytes += s.http
	m.P2PBytes += s.p2p
	m.ViewerBytes += s.http + s.p2p
	m.StartupBytes += s.cause[causeStartup]
	m.DutyBytes += s.cause[causeDuty]
	m.RescueBytes += s.cause[causeRescue]
	m.StreamBytes += w.stream.size
	for leaf, n := range s.cdn {
		m.CDNBytes += int64(n) * w.stream.leafBytes(int32(leaf))
	}
	m.ViewersMean += float64(s.viewers)
	m.UplinkMean += float64(s.uplink)
}

func (m *Measured) close(w *world) {
	if m.Segments == 0 {
		return
	}
	m.UplinkMean /= m.ViewersMean
	m.ViewersMean /= float64(m.Segments)
	for _, v := range w.viewers {
		if v.seeder {
			m.UplinkMean += float64(v.uplink) / m.ViewersMean
		}
	}
}

// checkBooks holds a viewer's totals against each other.
func (w *world) checkBooks(v *viewer) {
	s := &v.stats
	if s.HTTPBytes != s.StartupBytes+s.DutyBytes+s.RescueBytes {
		w.audit.fail("viewer %d: %d bytes came from the CDN, %d have a cause", v.number, s.HTTPBytes, s.StartupBytes+s.DutyBytes+s.RescueBytes)
	}
	if media := s.HTTPBytes + s.P2PBytes; media > s.VerifiedLeaves*leafSize {
		w.audit.fail("viewer %d: %d bytes of media in %d leaves", v.number, media, s.VerifiedLeaves)
	}
	if v.here && !v.gone {
		for i := range v.objects.held {
			if h := &v.objects.held[i]; countBits(h.bits)+h.missing != w.stream.leaves {
				w.audit.fail("viewer %d: segment %d holds %d leaves and lacks %d", v.number, v.objects.first+int32(i), countBits(h.bits), h.missing)
			}
		}
	}
}

// Hash is a fingerprint of everything that the run showed: two runs with the
// same hash went the same way.
func (r *Result) Hash() string {
	shown := *r
	shown.Config = Config{}
	b, err := json.Marshal(&shown)
	if err != nil {
		panic("world: a result cannot be encoded: " + err.Error()) // it holds only numbers and strings
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
