package cluster

import "github.com/prometheus/client_golang/prometheus"

// metrics are for Prometheus.
type metrics struct {
	nodes   prometheus.Gauge
	lag     prometheus.Gauge
	batches prometheus.Counter
	bytes   prometheus.Counter
	shed    prometheus.Counter
	moved   prometheus.Counter
}

func newMetrics() metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "slipstream", Subsystem: "tracker_cluster", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(opts(name, help)))
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	return metrics{
		nodes:   gauge("nodes", "Trackers of the cluster that this one hears, itself included."),
		lag:     gauge("nats_lag_seconds", "How long this tracker's last heartbeat took through NATS and back."),
		batches: counter("batches_total", "Batches sent to other trackers."),
		bytes:   counter("bytes_total", "Bytes sent to other trackers."),
		shed:    counter("shed_total", "Entries and batches for other trackers that were left out: no room, or no connection."),
		moved:   counter("moved_total", "Clients of this tracker that were given their place on another node."),
	}
}

func (m *metrics) register(reg prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.nodes, m.lag, m.batches, m.bytes, m.shed, m.moved} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}
