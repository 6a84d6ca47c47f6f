package server

import "github.com/prometheus/client_golang/prometheus"

// metrics are for Prometheus. Nothing that a client sends becomes a label.
type metrics struct {
	messages struct{ announce, answer, scrape prometheus.Counter }
	relayed  struct{ offer, answer prometheus.Counter }
	failed   struct{ malformed, rate, refused prometheus.Counter }
	full     prometheus.Counter
	slow     prometheus.Counter
	vectors  []prometheus.Collector
}

func newMetrics() *metrics {
	m := &metrics{}
	vec := func(name, help, label string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "slipstream", Subsystem: "webtorrent", Name: name, Help: help}, []string{label})
		m.vectors = append(m.vectors, v)
		return v
	}
	messages := vec("messages_total", "Well-formed messages from WebTorrent clients, by kind.", "kind")
	m.messages.announce, m.messages.answer, m.messages.scrape = messages.WithLabelValues("announce"), messages.WithLabelValues("answer"), messages.WithLabelValues("scrape")
	relayed := vec("relayed_total", "Offers and answers passed on.", "kind")
	m.relayed.offer, m.relayed.answer = relayed.WithLabelValues("offer"), relayed.WithLabelValues("answer")
	failed := vec("failures_total", "Requests answered with a failure reason, by what was wrong.", "reason")
	m.failed.malformed, m.failed.rate, m.failed.refused = failed.WithLabelValues("malformed"), failed.WithLabelValues("rate"), failed.WithLabelValues("refused")
	closed := vec("closed_total", "Connections refused or closed by the tracker, by reason.", "reason")
	m.full, m.slow = closed.WithLabelValues("full"), closed.WithLabelValues("slow")
	return m
}

func (m *metrics) register(reg prometheus.Registerer, s *Server) error {
	gauge := func(name, help string, f func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "slipstream", Subsystem: "webtorrent", Name: name, Help: help},
			func() float64 { return float64(f()) })
	}
	for _, c := range append(m.vectors,
		gauge("connections", "Open WebSockets.", s.open),
		gauge("swarms", "Swarms with at least one peer.", func() int { swarms, _ := s.count(); return swarms }),
		gauge("peers", "Peers in swarms; who is in two counts twice.", func() int { _, peers := s.count(); return peers }),
	) {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) count() (swarms, peers int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		w, p := sh.swarms.Len()
		sh.mu.Unlock()
		swarms, peers = swarms+w, peers+p
	}
	return swarms, peers
}
