package server

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/announce"
)

// metrics are for Prometheus. Every label has a small fixed set of values: nothing that a client sends becomes one.
type metrics struct {
	viewers       *prometheus.GaugeVec
	rooms         prometheus.Gauge
	joins         *prometheus.CounterVec
	refused       *prometheus.CounterVec
	errors        *prometheus.CounterVec
	messages      *prometheus.CounterVec
	signals       prometheus.Counter
	withheld      prometheus.Counter
	customers     *prometheus.GaugeVec
	introductions prometheus.Counter
	duties        prometheus.Counter
	drops         *prometheus.CounterVec
	caps          prometheus.Counter
	expelled      prometheus.Counter
	slow          prometheus.Counter
	bytes         *prometheus.CounterVec
	stalls        prometheus.Counter
	watched       prometheus.Counter
	stalled       prometheus.Counter
	wait          prometheus.Histogram
	local         localBytes

	mu      sync.Mutex
	rejects map[string]int64 // both kinds, for Stats
}

func newMetrics() *metrics {
	name := func(n, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "slipstream", Subsystem: "tracker", Name: n, Help: help}
	}
	gauge := func(n, help string) prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts(name(n, help))) }
	counter := func(n, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(name(n, help)))
	}
	vec := func(n, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts(name(n, help)), []string{label})
	}
	m := &metrics{
		viewers:       prometheus.NewGaugeVec(prometheus.GaugeOpts(name("viewers", "Clients that have joined, by role.")), []string{"role"}),
		rooms:         gauge("rooms", "Channels with at least one client."),
		joins:         vec("joins_total", "Joins, by role.", "role"),
		refused:       vec("refused_total", "Connections refused before the WebSocket opened, by reason: address, origin, banned, connections, handshake, what is wrong with the token; and where loops serve: no-head, bad-request, not-found, crowded, no-files.", "reason"),
		errors:        vec("errors_total", "Connections closed with an error, by code of the protocol, or too-big, flood, websocket.", "code"),
		messages:      vec("messages_total", "Well-formed messages from clients, by type.", "type"),
		signals:       counter("signals_total", "Signals relayed."),
		withheld:      counter("signals_withheld_total", "Signals not relayed because a client has been given too many addresses."),
		customers:     prometheus.NewGaugeVec(prometheus.GaugeOpts(name("key_viewers", "Clients that have joined, by the key of their tokens.")), []string{"key"}),
		introductions: counter("introductions_total", "Pairs introduced."),
		duties:        counter("duties_total", "Duty messages sent."),
		drops:         vec("drops_total", "Neighbours given up, by kind of reason: connectivity, evidence, other.", "kind"),
		caps:          counter("caps_total", "Caps on their uploads that viewers were told, changes and ends included."),
		expelled:      counter("expelled_total", "Clients closed because of their neighbours' evidence."),
		slow:          counter("slow_closed_total", "Clients closed because they read too slowly."),
		bytes:         vec("media_bytes_total", "Media bytes that viewers report, by path: http, p2p.", "path"),
		stalls:        counter("stalls_total", "Interruptions that viewers report."),
		watched:       counter("watched_seconds_total", "Time that viewers have watched, between their reports."),
		stalled:       counter("stalled_seconds_total", "How much of it playback stood still."),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "slipstream", Subsystem: "tracker", Name: "join_seconds",
			Help:    "From a join message to a place and the first neighbours, in the tracker.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		rejects: map[string]int64{},
	}
	m.local = newLocalBytes()
	m.viewers.WithLabelValues(string(announce.Viewer)) // so that zero is shown and not nothing
	m.viewers.WithLabelValues(string(announce.Seeder))
	m.bytes.WithLabelValues("http")
	m.bytes.WithLabelValues("p2p")
	return m
}

func (m *metrics) register(reg prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{
		m.viewers, m.rooms, m.joins, m.refused, m.errors, m.messages, m.signals, m.withheld, m.customers, m.introductions, m.duties, m.drops, m.caps, m.expelled, m.slow,
		m.bytes, m.stalls, m.watched, m.stalled, m.wait, m.local,
	} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// reject counts one who is turned away, by a reason of which there are few: none of them is a client's word.
func (m *metrics) reject(by *prometheus.CounterVec, reason string) {
	by.WithLabelValues(reason).Inc()
	if reason == announce.CodeShuttingDown {
		return // that is no fault of his
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejects[reason]++
}

func (m *metrics) rejected() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.rejects)
}

// welcomed notes that somebody who asked for a place has got it.
func (s *Server) welcomed(asked time.Time) {
	now := s.cfg.Now()
	took := max(0, now.Sub(asked))
	s.metrics.wait.Observe(took.Seconds())
	s.pace.joined(now, took)
}

func (m *metrics) joined(role announce.Role, rooms int) {
	m.viewers.WithLabelValues(string(role)).Inc()
	m.joins.WithLabelValues(string(role)).Inc()
	m.rooms.Set(float64(rooms))
}

func (m *metrics) left(role announce.Role, rooms int) {
	m.viewers.WithLabelValues(string(role)).Dec()
	m.rooms.Set(float64(rooms))
}

// reported counts what grew since the viewer's last report. The first report of a connection is only the base: it may
// hold totals that were counted before the viewer lost its connection to the tracker.
func (m *metrics) reported(v *member, now announce.Report, spanMs, stalledMs int64) {
	for _, d := range now.Dropped {
		kind := "other"
		if d.Reason.Connectivity() {
			kind = "connectivity"
		} else if d.Reason.Evidence() {
			kind = "evidence"
		}
		m.drops.WithLabelValues(kind).Inc()
	}
	if v.reported == nil || v.seeder != nil {
		return
	}
	before := &v.reported.last
	grew := func(before, now int64) float64 { return float64(max(0, now-before)) }
	m.bytes.WithLabelValues("http").Add(grew(before.HTTPBytes, now.HTTPBytes))
	m.bytes.WithLabelValues("p2p").Add(grew(before.P2PBytes, now.P2PBytes))
	m.stalls.Add(grew(before.Stalls, now.Stalls))
	m.watched.Add(float64(spanMs) / 1000)
	m.stalled.Add(float64(stalledMs) / 1000)
}
