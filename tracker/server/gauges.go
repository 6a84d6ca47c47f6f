package server

import "github.com/prometheus/client_golang/prometheus"

// gauges tell Prometheus how the rooms fare, counted when it asks.
type gauges struct {
	of  *Server
	all []gauge
}

type gauge struct {
	desc *prometheus.Desc
	read func(*Stats) float64
}

func newGauges(s *Server) *gauges {
	of := func(name, help string, read func(*Stats) float64) gauge {
		return gauge{prometheus.NewDesc("slipstream_tracker_"+name, help, nil, nil), read}
	}
	return &gauges{s, []gauge{
		of("viewers_ready", "Viewers with at least one neighbour.", func(s *Stats) (n float64) {
			for _, r := range s.Rooms {
				n += float64(r.Ready)
			}
			return n
		}),
		of("offload_ratio", "Share of their media that the viewers who are here got from neighbours.", func(s *Stats) float64 { return s.Offload }),
		of("stall_ratio", "Share of the time they have watched that playback stood still.", func(s *Stats) float64 { return s.StallRatio }),
		of("same_isp_ratio", "Share of the pairs of neighbours with known ISPs that have the same. Of pairs, not of bytes: see p2p_bytes_estimate_total.", func(s *Stats) float64 { return s.SameISP }),
		of("copies", "Copies in which what a viewer plays is fetched from the CDN by duty, on average.", func(s *Stats) float64 { return s.Copies }),
	}}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, one := range g.all {
		to <- one.desc
	}
}

// Collect implements prometheus.Collector. A tracker that has stopped tells nothing.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	if g.of.snapshot() == nil {
		return
	}
	g.of.stats.mu.Lock()
	last := g.of.stats.last
	g.of.stats.mu.Unlock()
	for _, one := range g.all {
		to <- prometheus.MustNewConstMetric(one.desc, prometheus.GaugeValue, one.read(&last))
	}
}
