package server

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/announce"
	"slipstream/tracker/swarm"
)

// toldISPs is how many ISPs are told by name, those with the most viewers; all others are one. So there are never many labels.
const toldISPs = 10

// The names of those who are not told by theirs.
const (
	otherISPs  = "other"
	unknownISP = "unknown"
)

// ISPStats is the viewers of one ISP.
type ISPStats struct {
	ISP     string `json:"isp"` // "AS3215", or a network where no database tells operators; "unknown", "other"
	Waiting int    `json:"waiting"`
	Sharing int    `json:"sharing"`
	Taking  int    `json:"taking"`  // and pass nothing on
	Resting int    `json:"resting"` // left to the CDN for a while
}

func ispStats(name string, c swarm.Crowd) ISPStats {
	return ISPStats{ISP: name, Waiting: c[swarm.Waiting], Sharing: c[swarm.Sharing], Taking: c[swarm.Taking], Resting: c[swarm.Resting]}
}

// largestISPs are those with the most viewers, and at the end all others together and those who are unknown, if there are any.
func largestISPs(by map[uint64]swarm.Crowd) (all []ISPStats) {
	keys := slices.SortedFunc(maps.Keys(by), func(a, b uint64) int {
		return cmp.Or(cmp.Compare(by[b].All(), by[a].All()), cmp.Compare(a, b))
	})
	var others swarm.Crowd
	for _, key := range keys {
		switch {
		case key == 0:
		case len(all) < toldISPs:
			all = append(all, ispStats(ispName(key), by[key]))
		default:
			others.Add(by[key])
		}
	}
	if others.All() > 0 {
		all = append(all, ispStats(otherISPs, others))
	}
	if unknown, some := by[0]; some {
		all = append(all, ispStats(unknownISP, unknown))
	}
	return all
}

// ispName is what a Locator's key of an ISP stands for: the number of an autonomous system, or byNetwork's network.
func ispName(key uint64) string {
	switch {
	case key>>32 == 0:
		return fmt.Sprintf("AS%d", key)
	case key>>63 == 1:
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(key >> 24), byte(key >> 16)}), 16).String()
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{byte(key >> 40), byte(key >> 32), byte(key >> 24), byte(key >> 16)}), 32).String()
}

// ispGauge tells Prometheus of the viewers by ISP and state.
type ispGauge struct {
	of   *Server
	desc *prometheus.Desc
}

func newISPGauge(s *Server) ispGauge {
	const help = "Viewers by ISP, the ten with the most by name, and by state: waiting for neighbours, sharing, taking without passing on, resting from peers that did harm."
	return ispGauge{s, prometheus.NewDesc("slipstream_tracker_isp_viewers", help, []string{"isp", "state"}, nil)}
}

// Describe implements prometheus.Collector.
func (g ispGauge) Describe(to chan<- *prometheus.Desc) { to <- g.desc }

// Collect implements prometheus.Collector. A tracker that has stopped tells nothing.
func (g ispGauge) Collect(to chan<- prometheus.Metric) {
	if g.of.snapshot() == nil {
		return
	}
	g.of.stats.mu.Lock()
	isps := g.of.stats.last.ISPs
	g.of.stats.mu.Unlock()
	for _, one := range isps {
		for state, n := range map[swarm.State]int{swarm.Waiting: one.Waiting, swarm.Sharing: one.Sharing, swarm.Taking: one.Taking, swarm.Resting: one.Resting} {
			to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(n), one.ISP, state.String())
		}
	}
}

// localBytes estimates how many of the bytes that viewers get from each other stay within an ISP: nobody reports bytes by
// neighbour, so what one got since its last report is dealt out to those it has now, in equal parts.
type localBytes struct {
	prometheus.Collector
	same, other, unknown prometheus.Counter
}

func newLocalBytes() localBytes {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "slipstream", Subsystem: "tracker", Name: "p2p_bytes_estimate_total",
		Help: "Media bytes that viewers report to have from neighbours, by the neighbour's ISP: same, other, unknown (seeders too). An estimate: as if all neighbours of a viewer had sent it as much.",
	}, []string{"isp"})
	return localBytes{vec, vec.WithLabelValues("same"), vec.WithLabelValues("other"), vec.WithLabelValues("unknown")}
}

func (l localBytes) add(before, now announce.Report, same, other, unknown int) {
	grown, all := max(0, now.P2PBytes-before.P2PBytes), same+other+unknown
	if all == 0 {
		l.unknown.Add(float64(grown)) // from those who have left since
		return
	}
	each := float64(grown) / float64(all)
	l.same.Add(each * float64(same))
	l.other.Add(each * float64(other))
	l.unknown.Add(each * float64(unknown))
}
