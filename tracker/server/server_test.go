package server

import (
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/announce"
)

func TestConfigurationsThatAreRefused(t *testing.T) {
	for sentence, cfg := range map[string]Config{
		"needs at least 32":   {Secret: []byte("short")},
		"is not a channel id": {Secret: secret, Channels: []string{"demo"}},
		"is not a pattern":    {Secret: secret, Origins: []string{"https://[a.example.com"}},
		"interval of reports": {Secret: secret, ReportMs: 5},
	} {
		if s, err := New(cfg); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("got %v, want a sentence with %q", err, sentence)
			if s != nil {
				s.Close()
			}
		}
	}
}

func TestMetricsTellWhatHappened(t *testing.T) {
	h := start(t, nil)
	reg := prometheus.NewPedanticRegistry()
	if err := h.server.Register(reg); err != nil {
		t.Fatal(err)
	}
	a, _ := pairUp(t, h)
	for i := range int64(2) {
		a.send(announce.Report{Ready: true, Neighbours: 1, Renditions: []string{"360p"}, HTTPBytes: 100 + 10*i, P2PBytes: 1000 + 30*i})
	}
	c := h.connect()
	c.sendText("hello")
	c.refused(announce.CodeMalformed, "JSON", websocket.StatusPolicyViolation)
	h.statsUntil(func(s Stats) bool { return len(s.Rooms) == 1 && s.Rooms[0].HTTPBytes == 110 })
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"slipstream_tracker_viewers viewer": 2, "slipstream_tracker_viewers seeder": 0, "slipstream_tracker_rooms": 1,
		"slipstream_tracker_joins_total viewer": 2, "slipstream_tracker_introductions_total": 1, "slipstream_tracker_duties_total": 3,
		"slipstream_tracker_messages_total report": 4, "slipstream_tracker_errors_total malformed": 1,
		"slipstream_tracker_viewers_ready": 2, "slipstream_tracker_copies": 1, "slipstream_tracker_same_isp_ratio": 0, "slipstream_tracker_stall_ratio": 0,
		"slipstream_tracker_offload_ratio": 1030. / 1140,
		// The first report (without bytes) is the base.
		"slipstream_tracker_media_bytes_total http": 110, "slipstream_tracker_media_bytes_total p2p": 1030,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}
