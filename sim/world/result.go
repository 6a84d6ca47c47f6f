package world

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Result is what a run showed.
type Result struct {
	Config   Config
	Viewers  []Viewer // by number, seeders last
	Measured Measured // segments published after warming up
	Whole    Measured // all segments

	Connections   int64
	PlaylistBytes int64
	// LargestComponent is the share of a cluster's viewers who are connected with each other at the end, in the worst cluster.
	LargestComponent float64 `json:"-"`
	Spread           []int64 // of all leaves, see SpreadMs
	Watched          []Watched
	Graph            [][]int32 // of each viewer at the end, its neighbours, by their places in Viewers; only of one cluster
	Failures         []string  // what must never happen and did
}

// Watched is how the first leaf of a measured segment spread.
type Watched struct {
	HeldMs []int64 // when each viewer got it, in order
	Copies int64   // that left the CDN
}

// SpreadMs is the time from a leaf's publication within which that share of the
// deliveries to viewers was made. Segments in a viewer's first playlist do not count.
func (r *Result) SpreadMs(share float64) int64 {
	total, sum := int64(0), int64(0)
	for _, n := range r.Spread {
		total += n
	}
	for step, n := range r.Spread {
		if sum += n; sum > 0 && float64(sum) >= share*float64(total) {
			return int64(step+1) * spreadStepMs
		}
	}
	return 0
}

// Viewer is one of them.
type Viewer struct {
	Stats
	Number            int64 // seeders' are above all others
	Seeder            bool
	Hostile           bool
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
	SlackMs      float64 // mean time from a segment's publication to when a viewer needed it
	Local        Local   `json:",omitzero"`

	places []placeStats
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

// Part is what one cluster showed.
type Part struct {
	viewers     []Viewer
	segments    []segmentStats
	spread      spread
	connections int64
	component   float64
	graph       [][]int32
	failures    []string
}

func (w *world) part() *Part {
	p := &Part{segments: w.audit.segments, spread: w.audit.spread, connections: w.audit.connections, component: w.largestComponent()}
	for _, v := range w.viewers {
		joinMs := v.joinMs - startMs
		if !v.here {
			joinMs = -1
		}
		p.viewers = append(p.viewers, Viewer{
			Stats: v.stats, Number: v.number, Seeder: v.seeder, Hostile: v.hostile != honest, Class: v.class,
			UplinkBytesPerSec: v.uplink, JoinMs: joinMs,
		})
		w.checkBooks(v)
	}
	if w.cfg.Watch {
		p.graph = w.graph()
	}
	p.failures = w.audit.failures
	return p
}

// graph is who is connected to whom.
func (w *world) graph() [][]int32 {
	g := make([][]int32, len(w.viewers))
	for i, v := range w.viewers {
		for n := range v.ends {
			if v.ends[n].open {
				g[i] = append(g[i], v.ends[n].peer)
			}
		}
	}
	return g
}

// Merge makes a result of the clusters' parts, in their order.
func Merge(cfg Config, parts []*Part) *Result {
	r := &Result{Config: cfg, Spread: make([]int64, spreadSteps), LargestComponent: 1}
	var segments []segmentStats
	for _, p := range parts {
		r.Viewers = append(r.Viewers, p.viewers...)
		r.Connections += p.connections
		r.LargestComponent = min(r.LargestComponent, p.component)
		r.Failures = append(r.Failures, p.failures...)
		for step, n := range p.spread {
			r.Spread[step] += n
		}
		for i := range p.segments {
			if i == len(segments) {
				segments = append(segments, segmentStats{cdn: make([]int32, len(p.segments[i].cdn))})
			}
			segments[i].add(&p.segments[i])
		}
	}
	slices.SortFunc(r.Viewers, func(a, b Viewer) int { return cmp.Compare(a.Number, b.Number) })
	for i := range r.Viewers {
		r.PlaylistBytes += r.Viewers[i].PlaylistBytes
	}
	stream := newStream(cfg)
	for i := range segments {
		published := stream.publishedMs(int32(i))
		r.Whole.add(&stream, &segments[i])
		// The last segments are still on their way at the end: their first leaves
		// come from the CDN, the rest would have come from neighbours.
		late := startMs + cfg.DurationMs - int64(cfg.Stream.HoldBackSegments)*stream.segmentMs
		if stream.recorded > 0 || published >= startMs+cfg.MeasureAfterMs && published <= late {
			r.Measured.add(&stream, &segments[i])
			if cfg.Watch {
				r.Watched = append(r.Watched, Watched{HeldMs: segments[i].firstMs, Copies: int64(segments[i].cdn[0])})
			}
		}
	}
	if len(parts) == 1 {
		r.Graph = parts[0].graph
	}
	r.Whole.close(r.Viewers)
	r.Measured.close(r.Viewers)
	return r
}

// add joins what happened to a segment in another cluster.
func (s *segmentStats) add(t *segmentStats) {
	s.viewers += t.viewers
	s.uplink += t.uplink
	s.http += t.http
	s.p2p += t.p2p
	s.slackMs += t.slackMs
	s.slacks += t.slacks
	s.firstMs = append(s.firstMs, t.firstMs...)
	s.places = addPlaces(s.places, t.places)
	for leaf, n := range t.cdn {
		s.cdn[leaf] += n
	}
	for cause, n := range t.cause {
		s.cause[cause] += n
	}
}

func (m *Measured) add(stream *stream, s *segmentStats) {
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
	m.StreamBytes += stream.size
	for leaf, n := range s.cdn {
		m.CDNBytes += int64(n) * stream.leafBytes(int32(leaf))
	}
	m.ViewersMean += float64(s.viewers)
	m.UplinkMean += float64(s.uplink)
	m.addPlaces(stream, s)
	if s.slacks > 0 {
		m.SlackMs += float64(s.slackMs) / float64(s.slacks)
	}
}

// addPlaces adds a segment of which one copy had to come into each place.
func (m *Measured) addPlaces(stream *stream, s *segmentStats) {
	m.places = addPlaces(m.places, s.places)
	for i := range s.places {
		m.places[i].entering += min(s.places[i].media, stream.size)
	}
}

func (m *Measured) close(viewers []Viewer) {
	m.Local = local(m.places)
	if m.Segments == 0 {
		return
	}
	m.UplinkMean /= m.ViewersMean
	m.ViewersMean /= float64(m.Segments)
	m.SlackMs /= float64(m.Segments)
	for i := range viewers {
		if v := &viewers[i]; v.Seeder {
			m.UplinkMean += float64(v.UplinkBytesPerSec) / m.ViewersMean
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
