package peer

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"slipstream/peer/playback"
	"slipstream/peer/session"
	"slipstream/peer/wire"
)

// Summary is what an audience experienced and what it cost. Times are in
// milliseconds, sizes in bytes.
type Summary struct {
	Viewers       int   `json:"viewers"`
	Playing       int   `json:"playing"`      // have shown a picture
	StartupMsP50  int64 `json:"startupMsP50"` // from joining to the first picture
	StartupMsP99  int64 `json:"startupMsP99"`
	Stalls        int64 `json:"stalls"`
	StallMs       int64 `json:"stallMs"`
	LatencyMsP50  int64 `json:"latencyMsP50"` // of the viewers' means, behind the wall clock
	LatencyMsMax  int64 `json:"latencyMsMax"`
	Switches      int64 `json:"switches"`  // of rendition
	HTTPBytes     int64 `json:"httpBytes"` // media from the CDN
	P2PBytes      int64 `json:"p2pBytes"`  // media from neighbours
	UploadedBytes int64 `json:"uploadedBytes"`
	PlaylistBytes int64 `json:"playlistBytes"`
	HTTPRequests  int64 `json:"httpRequests"` // of the four kinds that follow

	PlaylistRequests int64 `json:"playlistRequests"`
	MediaRequests    int64 `json:"mediaRequests"`
	ListRequests     int64 `json:"listRequests"`
	OtherRequests    int64 `json:"otherRequests"`

	Offload        float64 `json:"offload"`   // p2pBytes / all media bytes
	CDNCopies      float64 `json:"cdnCopies"` // mean number of viewers that fetched a leaf from the CDN
	VerifiedLeaves int64   `json:"verifiedLeaves"`
	RejectedLeaves int64   `json:"rejectedLeaves"`

	Messages map[string]int64 `json:"messages"` // said to neighbours, by type
	Bundles  int64            `json:"bundles"`  // messages of the data channel that they travelled in

	neighbours int // sum over the viewers
}

// reading runs f where a member's state may be read.
type reading func(m *member, f func())

func whilePlaying(m *member, f func()) { m.session.Do(f) }
func afterwards(_ *member, f func())   { f() }

func (a *audience) summary(read reading) Summary {
	sum := Summary{Viewers: len(a.members), CDNCopies: a.copies.mean()}
	var startups, latencies []int64
	for _, m := range a.members {
		if !m.joined.Load() {
			continue
		}
		read(m, func() {
			sum.add(m.counted(), m.before)
			sum.Switches += m.viewer.switches
			if p := m.viewer.play; p != nil && p.State() != playback.Starting {
				sum.Playing++
				startups = append(startups, p.StartupMs())
				latencies = append(latencies, p.LatencyMeanMs())
				sum.LatencyMsMax = max(sum.LatencyMsMax, p.LatencyMaxMs())
			} else {
				// Still waiting for a picture: so long at least.
				startups = append(startups, time.Now().UnixMilli()-m.viewer.joinedMs)
			}
		})
	}
	sum.StartupMsP50, sum.StartupMsP99 = percentile(startups, 50), percentile(startups, 99)
	sum.LatencyMsP50 = percentile(latencies, 50)
	if media := sum.HTTPBytes + sum.P2PBytes; media > 0 {
		sum.Offload = float64(sum.P2PBytes) / float64(media)
	}
	return sum
}

// counts is everything about a member that only grows.
type counts struct {
	session.Stats
	session.Experience
}

func (m *member) counted() counts { return counts{m.session.Stats(), m.viewer.Report()} }

// startCounting ends the warm-up.
func (a *audience) startCounting() {
	for _, m := range a.members {
		if m.joined.Load() {
			m.session.Do(func() { m.before = m.counted() })
		}
	}
	a.copies.reset()
}

func (s *Summary) add(now, before counts) {
	s.HTTPBytes += now.HTTPBytes - before.HTTPBytes
	s.P2PBytes += now.P2PBytes - before.P2PBytes
	s.UploadedBytes += now.UploadedBytes - before.UploadedBytes
	s.PlaylistBytes += now.PlaylistBytes - before.PlaylistBytes
	s.HTTPRequests += now.All() - before.All()
	s.PlaylistRequests += now.PlaylistRequests - before.PlaylistRequests
	s.MediaRequests += now.MediaRequests - before.MediaRequests
	s.ListRequests += now.ListRequests - before.ListRequests
	s.OtherRequests += now.OtherRequests - before.OtherRequests
	s.VerifiedLeaves += now.VerifiedLeaves - before.VerifiedLeaves
	s.RejectedLeaves += now.RejectedLeaves - before.RejectedLeaves
	s.Stalls += now.Stalls - before.Stalls
	s.StallMs += now.StallMs - before.StallMs
	if s.Messages == nil {
		s.Messages = make(map[string]int64)
	}
	for kind := wire.TypeHello; int(kind) < wire.Types; kind++ {
		s.Messages[kind.String()] += now.Messages[kind] - before.Messages[kind]
	}
	s.Bundles += now.Bundles - before.Bundles
	s.neighbours += now.Neighbours
}

// percentile is the nearest-rank percentile; 0 of nothing.
func percentile(values []int64, p int) int64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)*p+99)/100-1]
}

// line is the state of affairs in one line.
func (s Summary) line() string {
	return fmt.Sprintf("playing %d/%d  neighbours %.1f  offload %5.1f %%  cdn %s  peers %s  up %s  copies %.2f  stalls %d  latency %.1f s  rejected %d",
		s.Playing, s.Viewers, float64(s.neighbours)/float64(max(s.Viewers, 1)), s.Offload*100,
		size(s.HTTPBytes), size(s.P2PBytes), size(s.UploadedBytes), s.CDNCopies, s.Stalls,
		float64(s.LatencyMsP50)/1000, s.RejectedLeaves)
}

// text is the summary for people.
func (s Summary) text() string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-18s "+format+"\n", append([]any{name}, args...)...)
	}
	row("viewers", "%d, of which %d played", s.Viewers, s.Playing)
	row("startup", "%d ms median, %d ms 99th percentile", s.StartupMsP50, s.StartupMsP99)
	row("stalls", "%d, %d ms together", s.Stalls, s.StallMs)
	row("latency", "%d ms median, %d ms worst", s.LatencyMsP50, s.LatencyMsMax)
	row("media from CDN", "%s", size(s.HTTPBytes))
	row("media from peers", "%s (offload %.1f %%)", size(s.P2PBytes), s.Offload*100)
	row("uploaded", "%s", size(s.UploadedBytes))
	row("playlists", "%s", size(s.PlaylistBytes))
	row("CDN requests", "%d: %d for playlists, %d for media, %d for leaf lists, %d other",
		s.HTTPRequests, s.PlaylistRequests, s.MediaRequests, s.ListRequests, s.OtherRequests)
	row("CDN copies", "%.2f of each leaf", s.CDNCopies)
	row("leaves", "%d verified, %d rejected", s.VerifiedLeaves, s.RejectedLeaves)
	return b.String()
}

func size(bytes int64) string {
	switch {
	case bytes >= 10<<20:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 10<<10:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d B", bytes)
}

// copies counts how many viewers fetched each leaf from the CDN and how many
// leaves there were at all, over everything that any viewer obtained.
type copies struct {
	mu      sync.Mutex
	fetched map[leafID]int
}

type leafID struct {
	object wire.Key
	leaf   int
}

// maxCounted bounds the count to about a day of a two-rendition channel.
const maxCounted = 1 << 21

// verified hears of each leaf that a viewer verified.
func (c *copies) verified(key wire.Key, leaf int, fromCDN bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fetched == nil {
		c.fetched = make(map[leafID]int)
	}
	id := leafID{key, leaf}
	times, known := c.fetched[id]
	if !known && len(c.fetched) >= maxCounted {
		return
	}
	if fromCDN {
		times++
	}
	c.fetched[id] = times
}

func (c *copies) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.fetched)
}

func (c *copies) mean() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for _, n := range c.fetched {
		total += n
	}
	if len(c.fetched) == 0 {
		return 0
	}
	return float64(total) / float64(len(c.fetched))
}
