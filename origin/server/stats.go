package server

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"slipstream/origin/dvr"
	"slipstream/origin/health"
	"slipstream/origin/store"
)

// kind is what a request asked for.
type kind int

const (
	kindMultivariant kind = iota
	kindPlaylist
	kindInit
	kindSegment
	kindPart
	kindLeaves
	kindToken
	kindMPD
	kindTrack
	kindTime
	kindTransport
	kindChapter
	kinds // their number
)

var kindNames = [kinds]string{"multivariant", "playlist", "init", "segment", "part", "leaves", "token", "mpd", "track", "time", "ts", "chapter"}

// traffic counts answers of one channel since the start. What a CDN or an edge keeps from us is not in it.
type traffic struct {
	requests, bytes [kinds]atomic.Int64
}

// counted finds the channel and counts the answer, whatever it is.
func (s *Server) counted(k kind, handler func(echo.Context, *channel) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		ch, err := s.named(c)
		if err != nil {
			return err
		}
		err = handler(c, ch)
		ch.traffic.requests[k].Add(1)
		ch.traffic.bytes[k].Add(c.Response().Size)
		return err
	}
}

// staleMs is the age of a playlist beyond which a viewer would notice: a few segments and a transcoder's delay.
const staleMs = 12_000

// reasons says in sentences why a channel cannot be played, or nothing.
func (ch *channel) reasons(nowMs int64) []string {
	var out []string
	if !ch.Publisher().Connected {
		out = append(out, fmt.Sprintf("channel %q: no publisher is connected", ch.Name))
	}
	for _, reason := range (health.Policy{StaleMs: staleMs}).Reasons(ch.health(), nowMs) {
		out = append(out, fmt.Sprintf("channel %q: %s", ch.Name, reason))
	}
	return out
}

func (ch *channel) health() []health.Rendition {
	var out []health.Rendition
	for _, st := range ch.Store.Status() {
		out = append(out, health.Rendition{Name: st.Rendition, Head: st.Head, CreatedMs: st.CreatedMs, Missing: st.Missing, Slate: st.Slate})
	}
	return out
}

// fit is the answer instead of a playlist while the channel is not fit to be played from here.
func (s *Server) fit(ch *channel) error {
	if s.cfg.FailOver == (health.Policy{}) {
		return nil
	}
	if reasons := s.cfg.FailOver.Reasons(ch.health(), s.cfg.Now()); len(reasons) > 0 {
		return unknown("channel %q is not fit to be played from here: %s", ch.Name, reasons[0])
	}
	return nil
}

func (s *Server) ready(c echo.Context) error {
	reasons := []string{}
	for _, ch := range s.all() {
		reasons = append(reasons, ch.reasons(s.cfg.Now())...)
	}
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(status, map[string]any{"ready": len(reasons) == 0, "reasons": reasons})
}

// The shape of /stats.json. Counters run from sinceMs.
type statsReport struct {
	NowMs    int64          `json:"nowMs"`
	SinceMs  int64          `json:"sinceMs"`
	Channels []channelStats `json:"channels"`
}

type channelStats struct {
	Name       string               `json:"name"`
	ID         string               `json:"id"`
	Publisher  Publisher            `json:"publisher"`
	Encoder    *Encoder             `json:"encoder,omitempty"`
	Renditions []renditionStats     `json:"renditions"`
	HTTP       map[string]httpStats `json:"http"` // by kind: what was sent to CDN, edges and viewers
	HTTPBytes  int64                `json:"httpBytes"`
}

type renditionStats struct {
	Name         string       `json:"name"`
	Number       int64        `json:"number"`     // newest segment, -1 if none
	StartMs      int64        `json:"startMs"`    // of its media
	AgeMs        int64        `json:"ageMs"`      // since it was published, -1 if none
	PeakBps      int64        `json:"peakBps"`    // of any segment
	AverageBps   int64        `json:"averageBps"` //
	Segments     int          `json:"segments"`   // in memory
	Bytes        int64        `json:"bytes"`      // in memory
	DVR          dvr.Usage    `json:"dvr"`        // on disk
	Published    store.Totals `json:"published"`
	Codecs       string       `json:"codecs"`
	Width        int          `json:"width"`
	Height       int          `json:"height"`
	FramesPerSec float64      `json:"framesPerSec"`
}

// Encoder is how a channel's transcoder fares.
type Encoder struct {
	Rungs    []string `json:"rungs"`    // that are made; none without a publisher
	LeftOut  int      `json:"leftOut"`  // more that are not, because the machine is too slow for them
	LagMs    int64    `json:"lagMs"`    // how far the newest media lies behind the newest picture that came
	CPUMs    int64    `json:"cpuMs"`    // processor time since the start
	Failures int64    `json:"failures"` // of ffmpeg, likewise
	Notes    []string `json:"notes"`    // what the operator is to know, in sentences
}

type httpStats struct {
	Requests int64 `json:"requests"`
	Bytes    int64 `json:"bytes"`
}

func (s *Server) stats(c echo.Context) error {
	nowMs := s.cfg.Now()
	report := statsReport{NowMs: nowMs, SinceMs: s.startMs, Channels: []channelStats{}}
	for _, ch := range s.all() {
		report.Channels = append(report.Channels, ch.stats(nowMs))
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, report)
}

func (ch *channel) stats(nowMs int64) channelStats {
	out := channelStats{Name: ch.Name, ID: ch.ID.String(), Publisher: ch.Publisher(), HTTP: make(map[string]httpStats)}
	if ch.Encoder != nil {
		encoder := ch.Encoder()
		out.Encoder = &encoder
	}
	for _, st := range ch.Store.Status() {
		r := renditionStats{
			Name: st.Rendition, Number: st.Head, StartMs: st.StartMs, AgeMs: -1, PeakBps: st.Media.PeakBps, AverageBps: st.Media.AverageBps,
			Segments: st.Listed, Bytes: st.HeldBytes, DVR: ch.Store.DVRUsage(st.Rendition), Published: st.Published, Codecs: st.Media.Codecs,
			Width: st.Media.Width, Height: st.Media.Height, FramesPerSec: st.Media.FrameRate,
		}
		if st.Head >= 0 {
			r.AgeMs = nowMs - st.CreatedMs
		}
		out.Renditions = append(out.Renditions, r)
	}
	for k, name := range kindNames {
		h := httpStats{ch.traffic.requests[k].Load(), ch.traffic.bytes[k].Load()}
		out.HTTP[name] = h
		out.HTTPBytes += h.Bytes
	}
	return out
}

// collector shows the same numbers to Prometheus.
type collector struct{ s *Server }

var (
	descRequests  = describe("requests_total", "Requests answered, by what they asked for.", "channel", "kind")
	descBytes     = describe("response_bytes_total", "Bytes of answers, by what was asked for.", "channel", "kind")
	descSegments  = describe("segments_published_total", "Segments signed and published.", "channel", "rendition")
	descMedia     = describe("media_bytes_published_total", "Bytes of published segments.", "channel", "rendition")
	descHead      = describe("segment_number", "Newest segment number, -1 if none.", "channel", "rendition")
	descAge       = describe("playlist_age_seconds", "Age of the newest segment; absent before the first.", "channel", "rendition")
	descPublisher = describe("publisher_connected", "1 while somebody publishes the channel.", "channel")
	descSlate     = describe("slate_shown", "1 while slate is shown because nobody does.", "channel")
	descCPU       = describe("transcoder_cpu_seconds_total", "Processor time of the channel's ffmpegs.", "channel")
	descLag       = describe("transcoder_lag_seconds", "How far the newest media lies behind the newest picture that was received; absent without a publisher.", "channel")
	descFailures  = describe("transcoder_failures_total", "ffmpegs that ended by themselves and were started again.", "channel")
	descRungs     = describe("transcoder_rungs", "Renditions that are made.", "channel")
	descLeftOut   = describe("transcoder_rungs_left_out", "Renditions that are not made because the machine is too slow for them.", "channel")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("slipstream_origin_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRequests, descBytes, descSegments, descMedia, descHead, descAge, descPublisher, descSlate,
		descCPU, descLag, descFailures, descRungs, descLeftOut} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	nowMs := c.s.cfg.Now()
	for _, ch := range c.s.all() {
		for k, name := range kindNames {
			count(descRequests, ch.traffic.requests[k].Load(), ch.Name, name)
			count(descBytes, ch.traffic.bytes[k].Load(), ch.Name, name)
		}
		for _, st := range ch.Store.Status() {
			count(descSegments, st.Published.Segments, ch.Name, st.Rendition)
			count(descMedia, st.Published.Bytes, ch.Name, st.Rendition)
			gauge(descHead, float64(st.Head), ch.Name, st.Rendition)
			if st.Head >= 0 {
				gauge(descAge, float64(nowMs-st.CreatedMs)/1000, ch.Name, st.Rendition)
			}
		}
		is := func(so bool) float64 {
			if so {
				return 1
			}
			return 0
		}
		publisher := ch.Publisher()
		gauge(descPublisher, is(publisher.Connected), ch.Name)
		gauge(descSlate, is(publisher.Slate), ch.Name)
		if ch.Encoder == nil {
			continue
		}
		encoder := ch.Encoder()
		out <- prometheus.MustNewConstMetric(descCPU, prometheus.CounterValue, float64(encoder.CPUMs)/1000, ch.Name)
		count(descFailures, encoder.Failures, ch.Name)
		gauge(descRungs, float64(len(encoder.Rungs)), ch.Name)
		gauge(descLeftOut, float64(encoder.LeftOut), ch.Name)
		if len(encoder.Rungs) > 0 {
			gauge(descLag, float64(encoder.LagMs)/1000, ch.Name)
		}
	}
}
