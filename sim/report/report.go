// Package report turns what a run showed into numbers that can be compared: with
// each other, with theory, and with runs of the real system, whose names for
// them it shares (`slipstream peer --json`).
//
// Offload is the part of the media that came from neighbours. What it can be at
// most is known (FACTS.md, Kumar, Liu and Ross 2007):
//
//	bound = min(1 − k/N, (ū/r) · min(1, (D − t0)/T))
//
//	k   1: every leaf must leave the CDN once; 0 with a seeder in the swarm, which
//	    may be the one that it goes to
//	N   viewers that a segment reached, the mean over the measured segments
//	ū   mean uplink of those viewers, 0 for lines that do not upload; seeders'
//	    uplinks are added, shared out among the viewers
//	r   bitrate of the stream
//	D   (hold-back − 1) · T: a segment that was just published is needed no
//	    earlier than this by a player that started a hold-back behind the end of
//	    the playlist. Players that started late in a segment have up to T more.
//	    Of a recording, how far ahead the player loads
//	t0  two round trips to the CDN and its two waits: no viewer can learn of a
//	    segment and hold its first leaf sooner
//	T   segment duration
//
// The bound counts lines as carrying media only; packet overhead, messages and
// leaf lists come out of the same uplinks and are part of what a run loses.
package report

import (
	"slices"

	"slipstream/sim/world"
)

// Report is a run in numbers. Bytes are of media where nothing else is said.
type Report struct {
	Name     string `json:"name"`
	Seed     uint64 `json:"seed"`
	Viewers  int    `json:"viewers"` // that came
	Seeders  int    `json:"seeders"`
	Hostile  int    `json:"hostile"`  // viewers that count in none of the others' numbers
	Segments int64  `json:"segments"` // measured

	// Of the measured segments.
	Offload     float64 `json:"offload"`
	Bound       Bound   `json:"bound"`
	BoundShare  float64 `json:"boundShare"` // offload / bound; 0 if the bound is 0
	CDNCopies   float64 `json:"cdnCopies"`  // mean times that a leaf left the CDN, for seeders too
	DutyShare   float64 `json:"dutyShare"`  // of all media: came from the CDN as a duty
	RescueShare float64 `json:"rescueShare"`

	SameISP    float64 `json:"sameIsp"`    // of the media that could stay inside a place: did (world.Local)
	SameISPP2P float64 `json:"sameIspP2p"` // of the media from neighbours: came from the same place
	// LargestComponent is the share of a room's viewers who are connected with each other at the end, in the worst room.
	LargestComponent float64 `json:"largestComponent"`

	// Of the whole run.
	OffloadWhole   float64 `json:"offloadWhole"`
	UplinkUse      float64 `json:"uplinkUse"`    // of what all uplinks could have carried
	StartupShare   float64 `json:"startupShare"` // of all media: CDN, segments in the first playlist
	Stalls         int64   `json:"stalls"`
	StallMs        int64   `json:"stallMs"`
	StalledViewers int     `json:"stalledViewers"`
	Seeks          int64   `json:"seeks"`
	NeverStarted   int     `json:"neverStarted"`
	StartupMsP50   int64   `json:"startupMsP50"`
	StartupMsP99   int64   `json:"startupMsP99"`
	LatencyMsP50   int64   `json:"latencyMsP50"`
	LatencyMsMax   int64   `json:"latencyMsMax"`
	Rebuffering    float64 `json:"rebuffering"` // share of all viewers' time
	SpreadMsP50    int64   `json:"spreadMsP50"` // from a leaf's publication until a viewer holds it
	SpreadMsP95    int64   `json:"spreadMsP95"`
	SpreadMsP99    int64   `json:"spreadMsP99"`

	HTTPBytes       int64 `json:"httpBytes"`
	P2PBytes        int64 `json:"p2pBytes"`
	UploadedBytes   int64 `json:"uploadedBytes"`
	DuplicateBytes  int64 `json:"duplicateBytes"`  // came when it was held already
	UnexpectedBytes int64 `json:"unexpectedBytes"` // came when it was no longer asked for
	ListBytes       int64 `json:"listBytes"`
	ControlBytes    int64 `json:"controlBytes"` // other messages, with their packets
	ControlMessages int64 `json:"controlMessages"`
	UplinkBytes     int64 `json:"uplinkBytes"` // everything that went through uplinks, with its packets
	PlaylistBytes   int64 `json:"playlistBytes"`
	HTTPRequests    int64 `json:"httpRequests"`
	// Of them; the rest is for tokens.
	PlaylistRequests int64 `json:"playlistRequests"`
	ListRequests     int64 `json:"listRequests"`
	MediaRequests    int64 `json:"mediaRequests"`
	VerifiedLeaves   int64 `json:"verifiedLeaves"`
	RejectedLeaves   int64 `json:"rejectedLeaves"`
	BadBytes         int64 `json:"badBytes"` // stored though the owner did not sign them
	RequestedLeaves  int64 `json:"requestedLeaves"`
	RefusedLeaves    int64 `json:"refusedLeaves"`
	Connections      int64 `json:"connections"`
	Dropped          int64 `json:"dropped"` // neighbours given up for stalling

	Failures []string `json:"failures,omitempty"` // what must never happen and did
	Hash     string   `json:"hash"`
}

// Bound is the theory's offload and what it was computed from.
type Bound struct {
	Offload   float64 `json:"offload"`
	K         float64 `json:"k"`
	N         float64 `json:"n"`
	UplinkBps float64 `json:"uplinkBps"`
	RateBps   float64 `json:"rateBps"`
	DMs       int64   `json:"dMs"`
	T0Ms      int64   `json:"t0Ms"`
	TMs       int64   `json:"tMs"`
}

// New computes a report.
func New(result *world.Result) *Report {
	r := &Report{
		Name: result.Config.Name, Seed: result.Config.Seed, Segments: result.Measured.Segments,
		CDNCopies: result.Measured.CDNCopies(), Bound: boundOf(result),
		Connections: result.Connections, PlaylistBytes: result.PlaylistBytes,
		Failures: result.Failures, Hash: result.Hash(),
	}
	m := &result.Measured
	r.Offload = ratio(m.P2PBytes, m.ViewerBytes)
	r.DutyShare = ratio(m.DutyBytes, m.ViewerBytes)
	r.RescueShare = ratio(m.RescueBytes, m.ViewerBytes)
	r.SameISP, r.SameISPP2P = ratio(m.Local.Bytes, m.Local.CouldBytes), ratio(m.Local.Bytes, m.P2PBytes)
	r.LargestComponent = result.LargestComponent
	if r.Bound.Offload > 0 {
		r.BoundShare = r.Offload / r.Bound.Offload
	}
	r.OffloadWhole = ratio(result.Whole.P2PBytes, result.Whole.ViewerBytes)
	r.StartupShare = ratio(result.Whole.StartupBytes, result.Whole.ViewerBytes)
	var startups, latencies []int64
	capacity, present := int64(0), int64(0)
	for i := range result.Viewers {
		v := &result.Viewers[i]
		if v.Hostile {
			r.Hostile++
			continue
		}
		r.add(v)
		present += v.PresentMs
		capacity += v.UplinkBytesPerSec * v.PresentMs / 1000
		switch {
		case v.Seeder:
			r.Seeders++
		case v.JoinMs < 0:
		case v.StartupMs == 0:
			r.Viewers++
			r.NeverStarted++
		default:
			r.Viewers++
			startups = append(startups, v.StartupMs)
			latencies = append(latencies, v.LatencyMs)
		}
	}
	r.Rebuffering = ratio(r.StallMs, present)
	r.SpreadMsP50, r.SpreadMsP95, r.SpreadMsP99 = result.SpreadMs(0.5), result.SpreadMs(0.95), result.SpreadMs(0.99)
	r.UplinkUse = ratio(r.UplinkBytes, capacity)
	r.StartupMsP50, r.StartupMsP99 = percentile(startups, 50), percentile(startups, 99)
	r.LatencyMsP50, r.LatencyMsMax = percentile(latencies, 50), percentile(latencies, 100)
	return r
}

func (r *Report) add(v *world.Viewer) {
	r.Stalls += v.Stalls
	r.StallMs += v.StallMs
	if v.Stalls > 0 {
		r.StalledViewers++
	}
	r.Seeks += v.Seeks
	r.HTTPBytes += v.HTTPBytes
	r.P2PBytes += v.P2PBytes
	r.UploadedBytes += v.UploadedBytes
	r.DuplicateBytes += v.DuplicateBytes
	r.UnexpectedBytes += v.UnexpectedBytes
	r.ListBytes += v.ListBytes
	r.ControlBytes += v.ControlBytes
	r.ControlMessages += v.ControlMessages
	r.UplinkBytes += v.UplinkBytes
	r.PlaylistRequests += v.PlaylistRequests
	r.ListRequests += v.ListRequests
	r.MediaRequests += v.MediaRequests
	r.HTTPRequests += v.PlaylistRequests + v.ListRequests + v.MediaRequests + v.OtherRequests
	r.RejectedLeaves += v.RejectedLeaves
	r.BadBytes += v.BadBytes
	r.VerifiedLeaves += v.VerifiedLeaves
	r.RequestedLeaves += v.Requests
	r.RefusedLeaves += v.Refusals
	for _, n := range v.Drops {
		r.Dropped += n
	}
}

func boundOf(result *world.Result) Bound {
	c, m := &result.Config, &result.Measured
	b := Bound{
		N: m.ViewersMean, UplinkBps: 8 * m.UplinkMean, RateBps: float64(8 * c.Stream.BytesPerSec),
		DMs:  int64(c.Stream.HoldBackSegments-1) * c.Stream.SegmentMs,
		T0Ms: 2 * (2*c.CDN.OneWayMs + c.CDN.ServerMs),
		TMs:  c.Stream.SegmentMs,
	}
	if c.Stream.RecordedSegments > 0 {
		b.DMs = c.Stream.AheadMs
	}
	if b.N > 0 {
		time := min(1, float64(b.DMs-b.T0Ms)/float64(b.TMs))
		if c.Seeders.Count == 0 {
			b.K = 1
		}
		b.Offload = max(0, min(1-b.K/b.N, b.UplinkBps/b.RateBps*time))
	}
	return b
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// percentile is by nearest rank; 0 of nothing.
func percentile(values []int64, percent int) int64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[max((len(values)*percent+99)/100-1, 0)]
}
