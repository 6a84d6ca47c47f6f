package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSON writes one JSON object on one line.
func (r *Report) WriteJSON(out io.Writer) error {
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return fmt.Errorf("the report cannot be written: %w", err)
	}
	return nil
}

// WriteText writes the report for people.
func (r *Report) WriteText(out io.Writer) error {
	b := &r.Bound
	p := printer{out: out}
	name := r.Name
	if name == "" {
		name = "unnamed scenario"
	}
	p.line("%s, seed %d: %d viewers, %d seeders, %d segments measured", name, r.Seed, r.Viewers, r.Seeders, r.Segments)
	p.line("offload      %s of the media came from neighbours", percent(r.Offload))
	if b.Offload > 0 {
		p.line("bound        %s, of which that is %s", percent(b.Offload), percent(r.BoundShare))
	} else {
		p.line("bound        0 %%: nobody could have helped")
	}
	p.line("             min(1 − k/N, ū/r · min(1, (D − t0)/T)) with k %g, N %.1f, ū %s, r %s, D %s, t0 %s, T %s",
		b.K, b.N, rate(b.UplinkBps), rate(b.RateBps), ms(b.DMs), ms(b.T0Ms), ms(b.TMs))
	p.line("from the CDN %s by duty, %s to rescue; %.2f copies of a leaf", percent(r.DutyShare), percent(r.RescueShare), r.CDNCopies)
	if r.SameISP > 0 {
		p.line("places       %s of what could stay inside a place did; that is %s of what came from neighbours", percent(r.SameISP), percent(r.SameISPP2P))
	}
	p.line("whole run    %s offload; %s was fetched from the CDN to start playing; uplinks were used to %s", percent(r.OffloadWhole), percent(r.StartupShare), percent(r.UplinkUse))
	p.line("stalls       %d, %s in all, %d viewers; %d seeks; %d never started", r.Stalls, ms(r.StallMs), r.StalledViewers, r.Seeks, r.NeverStarted)
	p.line("startup      %s median, %s p99", ms(r.StartupMsP50), ms(r.StartupMsP99))
	if r.Hostile > 0 {
		p.line("hostile      %d viewers besides; %d bad leaves rejected", r.Hostile, r.RejectedLeaves)
	}
	p.line("spread       %s until half of all deliveries of a leaf, %s until 95 %%, %s until 99 %%", ms(r.SpreadMsP50), ms(r.SpreadMsP95), ms(r.SpreadMsP99))
	p.line("latency      %s median, %s most", ms(r.LatencyMsP50), ms(r.LatencyMsMax))
	p.line("media        %s from the CDN, %s from neighbours; %s twice, %s unasked", size(r.HTTPBytes), size(r.P2PBytes), size(r.DuplicateBytes), size(r.UnexpectedBytes))
	p.line("overhead     %s messages, %s leaf lists, %s playlists", size(r.ControlBytes), size(r.ListBytes), size(r.PlaylistBytes))
	p.line("requests     %d to the CDN: %d playlists, %d leaf lists, %d ranges of media", r.HTTPRequests, r.PlaylistRequests, r.ListRequests, r.MediaRequests)
	p.line("leaves       %d verified, %d rejected; %d asked of neighbours, %d refused", r.VerifiedLeaves, r.RejectedLeaves, r.RequestedLeaves, r.RefusedLeaves)
	p.line("connections  %d, %d given up", r.Connections, r.Dropped)
	for _, f := range r.Failures {
		p.line("FAILURE      %s", f)
	}
	p.line("result hash  %s", r.Hash)
	if p.err != nil {
		return fmt.Errorf("the report cannot be written: %w", p.err)
	}
	return nil
}

type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

func ms(n int64) string {
	if n >= 10_000 {
		return fmt.Sprintf("%.1f s", float64(n)/1000)
	}
	return fmt.Sprintf("%d ms", n)
}

func rate(bps float64) string { return fmt.Sprintf("%.2f Mb/s", bps/1e6) }

func size(bytes int64) string {
	switch {
	case bytes >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(bytes)/1e9)
	case bytes >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	case bytes >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%d B", bytes)
}
