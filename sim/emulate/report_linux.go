package emulate

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"slipstream/sim/report"
	"slipstream/sim/world"
)

// Report is what real viewers and the origin told, under the names of the simulator's
// report where the two mean the same. What only a simulator can know is not there.
type Report struct {
	Name     string `json:"name"`
	Seed     uint64 `json:"seed"`
	Viewers  int    `json:"viewers"` // that came
	Seeders  int    `json:"seeders"`
	Segments int64  `json:"segments"` // published while measuring
	Silent   int    `json:"silent"`   // crashed as planned, so what they saw is not known

	// After warming up.
	Offload    float64      `json:"offload"`
	Bound      report.Bound `json:"bound"`
	BoundShare float64      `json:"boundShare"`
	CDNCopies  float64      `json:"cdnCopies"` // media that left the origin / media published
	Stalls     int64        `json:"stalls"`
	StallMs    int64        `json:"stallMs"`
	Stalled    int          `json:"stalledViewers"`

	HTTPBytes      int64 `json:"httpBytes"` // media, by the viewers' own account
	P2PBytes       int64 `json:"p2pBytes"`
	UploadedBytes  int64 `json:"uploadedBytes"`
	HTTPRequests   int64 `json:"httpRequests"`
	VerifiedLeaves int64 `json:"verifiedLeaves"`
	RejectedLeaves int64 `json:"rejectedLeaves"`

	// Of the whole run.
	NeverStarted int   `json:"neverStarted"`
	StartupMsP50 int64 `json:"startupMsP50"`
	StartupMsP99 int64 `json:"startupMsP99"`
	LatencyMsP50 int64 `json:"latencyMsP50"`
	LatencyMsMax int64 `json:"latencyMsMax"`

	CDN   CDN   `json:"cdn"`   // after warming up, counted at the origin, seeders' part included
	Links Links `json:"links"` // whole run

	Failures []string `json:"failures,omitempty"` // viewers that ended unasked
}

// CDN is what the origin sent.
type CDN struct {
	PublishedBytes int64 `json:"publishedBytes"`
	MediaBytes     int64 `json:"mediaBytes"`
	PlaylistBytes  int64 `json:"playlistBytes"`
	AllBytes       int64 `json:"allBytes"` // with leaf lists, tokens and init sections
	Requests       int64 `json:"requests"`
}

// Links is what the emulated network did.
type Links struct {
	Packets     int64   `json:"packets"`
	UplinkBytes int64   `json:"uplinkBytes"` // of viewers
	UplinkUse   float64 `json:"uplinkUse"`   // of what their uplinks could have carried
	QueueDrops  int64   `json:"queueDrops"`
	Lost        int64   `json:"lost"`
	Filtered    int64   `json:"filtered"`
	LateMsP50   float64 `json:"lateMsP50"` // packets came so much later than they should have
	LateMsP99   float64 `json:"lateMsP99"`
}

func newReport(a *audience) *Report {
	p := a.stage.plan
	measured := a.end.since(a.warm)
	r := &Report{
		Name: p.cfg.Name, Seed: p.cfg.Seed, Seeders: p.cfg.Seeders.Count, Segments: measured.PublishedSegments,
		CDN: CDN{measured.PublishedBytes, measured.MediaBytes, measured.PlaylistBytes, measured.AllBytes, measured.Requests},
	}
	if measured.PublishedBytes > 0 {
		r.CDNCopies = float64(measured.MediaBytes) / float64(measured.PublishedBytes)
	}
	var startups, latencies []int64
	for _, w := range a.watchers {
		if w.process == nil {
			continue
		}
		r.Viewers++
		told, ok := w.account()
		switch {
		case ok:
			r.add(&told)
			if told.Playing > 0 {
				startups = append(startups, told.StartupMs)
				latencies = append(latencies, told.LatencyMs)
			}
		case w.visit.crash:
			r.Silent++
		default:
			r.Failures = append(r.Failures, w.process.failure().Error())
		}
	}
	r.StartupMsP50, r.StartupMsP99 = percentile(startups, 50), percentile(startups, 99)
	r.LatencyMsP50, r.LatencyMsMax = percentile(latencies, 50), percentile(latencies, 100)
	if media := r.HTTPBytes + r.P2PBytes; media > 0 {
		r.Offload = float64(r.P2PBytes) / float64(media)
	}
	r.Bound = p.bound(measured.PublishedBytes)
	if r.Bound.Offload > 0 {
		r.BoundShare = r.Offload / r.Bound.Offload
	}
	r.links(a.stage)
	return r
}

func (r *Report) add(told *account) {
	if told.Playing == 0 {
		r.NeverStarted++
	}
	if told.Stalls > 0 {
		r.Stalled++
	}
	r.Stalls += told.Stalls
	r.StallMs += told.StallMs
	r.HTTPBytes += told.HTTPBytes
	r.P2PBytes += told.P2PBytes
	r.UploadedBytes += told.UploadedBytes
	r.HTTPRequests += told.HTTPRequests
	r.VerifiedLeaves += told.VerifiedLeaves
	r.RejectedLeaves += told.RejectedLeaves
}

func (r *Report) links(s *stage) {
	couldBytes := int64(0)
	for i, h := range s.plan.hosts {
		c := s.carrier.counts(i)
		r.Links.Packets += c.SentPackets
		r.Links.QueueDrops += c.UpDropped + c.DownDropped
		r.Links.Lost += c.Lost
		r.Links.Filtered += c.Filtered
		if h.viewers > 0 {
			r.Links.UplinkBytes += c.SentBytes
		}
	}
	presentMs := s.plan.presentMs(0)
	for i, v := range s.plan.visits {
		h := &s.plan.hosts[v.host]
		couldBytes += h.up / int64(h.viewers) * presentMs[i] / 1000
	}
	if couldBytes > 0 {
		r.Links.UplinkUse = float64(r.Links.UplinkBytes) / float64(couldBytes)
	}
	r.Links.LateMsP50, r.Links.LateMsP99 = s.carrier.lateMs(0.5), s.carrier.lateMs(0.99)
}

// bound is the simulator's, of the stream as it was published and the viewers who
// were there while it was measured.
func (p *plan) bound(publishedBytes int64) report.Bound {
	measuredMs := p.cfg.DurationMs - p.cfg.MeasureAfterMs
	shown := &world.Result{Config: p.cfg}
	if publishedBytes > 0 {
		shown.Config.Stream.BytesPerSec = publishedBytes * 1000 / measuredMs
	}
	sumMs, uplinkMs := int64(0), 0.0
	for i, ms := range p.presentMs(p.cfg.MeasureAfterMs) {
		h := &p.hosts[p.visits[i].host]
		sumMs += ms
		if !p.visits[i].noUpload {
			uplinkMs += float64(h.up) / float64(h.viewers) * float64(ms)
		}
	}
	if sumMs > 0 {
		m := &shown.Measured
		m.ViewersMean = float64(sumMs) / float64(measuredMs)
		m.UplinkMean = uplinkMs/float64(sumMs) + float64(p.cfg.Seeders.UplinkBytesPerSec)*float64(p.cfg.Seeders.Count)/m.ViewersMean
	}
	return report.New(shown).Bound
}

func (r *Report) writeJSON(out io.Writer) error {
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return fmt.Errorf("the report cannot be written: %w", err)
	}
	return nil
}

func (r *Report) writeText(out io.Writer) error {
	b, c, l := &r.Bound, &r.CDN, &r.Links
	lines := []string{
		fmt.Sprintf("%s, seed %d, emulated: %d viewers, %d seeders, %d segments measured", r.Name, r.Seed, r.Viewers, r.Seeders, r.Segments),
		fmt.Sprintf("offload      %.1f %% of the media came from neighbours", 100*r.Offload),
		fmt.Sprintf("bound        %.1f %%, of which that is %.1f %%", 100*b.Offload, 100*r.BoundShare),
		fmt.Sprintf("             min(1 − k/N, ū/r · min(1, (D − t0)/T)) with k %g, N %.1f, ū %.2f Mb/s, r %.2f Mb/s, D %d ms, t0 %d ms, T %d ms",
			b.K, b.N, b.UplinkBps/1e6, b.RateBps/1e6, b.DMs, b.T0Ms, b.TMs),
		fmt.Sprintf("from the CDN %.2f copies; %.1f MB of media of %.1f MB published, %.1f MB in all, %d requests", r.CDNCopies, mb(c.MediaBytes), mb(c.PublishedBytes), mb(c.AllBytes), c.Requests),
		fmt.Sprintf("stalls       %d, %d ms in all, %d viewers; %d never started, %d crashed and told nothing", r.Stalls, r.StallMs, r.Stalled, r.NeverStarted, r.Silent),
		fmt.Sprintf("startup      %d ms median, %d ms p99", r.StartupMsP50, r.StartupMsP99),
		fmt.Sprintf("latency      %d ms median, %d ms most", r.LatencyMsP50, r.LatencyMsMax),
		fmt.Sprintf("media        %.1f MB from the CDN, %.1f MB from neighbours; %.1f MB uploaded", mb(r.HTTPBytes), mb(r.P2PBytes), mb(r.UploadedBytes)),
		fmt.Sprintf("leaves       %d verified, %d rejected", r.VerifiedLeaves, r.RejectedLeaves),
		fmt.Sprintf("links        %d packets, uplinks used to %.1f %%; %d dropped by full queues, %d lost, %d filtered", l.Packets, 100*l.UplinkUse, l.QueueDrops, l.Lost, l.Filtered),
		fmt.Sprintf("emulator     packets were late by %.1f ms median, %.1f ms p99", l.LateMsP50, l.LateMsP99),
	}
	if l.LateMsP99 > tooLateMs {
		lines = append(lines, "             which is too much: this machine was too busy, and delays were longer than the scenario says")
	}
	for _, f := range r.Failures {
		lines = append(lines, "FAILURE      "+f)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return fmt.Errorf("the report cannot be written: %w", err)
		}
	}
	return nil
}

// tooLateMs is what begins to matter beside the delays of access lines.
const tooLateMs = 10

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// percentile is by nearest rank; 0 of nothing.
func percentile(values []int64, percent int) int64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[max((len(values)*percent+99)/100-1, 0)]
}
