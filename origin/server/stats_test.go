package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestReadiness(t *testing.T) {
	s := newSite(t, nil)
	s.connected.Store(false)
	check := func(name string, status int, says ...string) {
		t.Helper()
		a := s.ask("GET", "/readyz")
		a.want(t, name, status, "Cache-Control", "no-store")
		var verdict struct {
			Ready   bool     `json:"ready"`
			Reasons []string `json:"reasons"`
		}
		if err := json.Unmarshal([]byte(a.body), &verdict); err != nil {
			t.Fatal(err)
		}
		if verdict.Ready != (status == 200) || len(verdict.Reasons) != len(says) {
			t.Errorf("%s: %s", name, a.body)
			return
		}
		for i := range says {
			if !strings.Contains(verdict.Reasons[i], says[i]) {
				t.Errorf("%s: %q does not say %q", name, verdict.Reasons[i], says[i])
			}
		}
	}
	check("at the start", 503, `channel "demo": no publisher is connected`, `"360p" has no segment yet`, `"180p" has no segment yet`)
	s.connected.Store(true)
	s.publish(first)
	check("on air", 200)
	s.nowMs.Add(30_000)
	check("stuck", 503, `the newest segment of "360p" is 30 s old`, `the newest segment of "180p" is 30 s old`)
	if a := s.ask("GET", "/livez"); a.status != 200 || a.body != "ok\n" {
		t.Errorf("livez: %+v", a)
	}
}

func TestNumbers(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first, first+1)
	s.ask("GET", fmt.Sprintf("/live/demo/360p/%d.m4s", first))
	s.ask("GET", fmt.Sprintf("/live/demo/360p/%d.m4s", first), "Range", "bytes=0-16383")
	s.ask("HEAD", fmt.Sprintf("/live/demo/360p/%d.m4s", first))
	s.ask("GET", fmt.Sprintf("/live/demo/360p/%d.m4s.leaves", first))
	s.ask("GET", "/live/demo/360p/index.m3u8")
	s.ask("POST", "/live/demo/token")
	s.nowMs.Add(1500)

	var report statsReport
	if err := json.Unmarshal([]byte(s.ask("GET", "/stats.json").body), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Channels) != 1 || report.SinceMs != startMs || report.NowMs != s.nowMs.Load() {
		t.Fatalf("%+v", report)
	}
	ch := report.Channels[0]
	if ch.Name != "demo" || ch.ID != s.keys.ID().String() || !ch.Publisher.Connected || ch.Publisher.Source != "a test" {
		t.Errorf("%+v", ch)
	}
	if h := ch.HTTP["segment"]; h.Requests != 3 || h.Bytes != 40_000+16_384 {
		t.Errorf("segments: %+v", h)
	}
	if h := ch.HTTP["leaves"]; h.Requests != 1 || h.Bytes != 96 {
		t.Errorf("leaf lists: %+v", h)
	}
	if ch.HTTP["playlist"].Requests != 1 || ch.HTTP["playlist"].Bytes == 0 || ch.HTTP["token"].Requests != 1 || ch.HTTP["init"].Requests != 0 {
		t.Errorf("%+v", ch.HTTP)
	}
	r := ch.Renditions[0]
	if r.Name != "360p" || r.Number != first+1 || r.AgeMs != 1500 || r.Segments != 2 || r.Published.Bytes != 80_000 || r.PeakBps != 160_000 {
		t.Errorf("%+v", r)
	}

	metrics := s.ask("GET", "/metrics").body
	for _, line := range []string{
		`slipstream_origin_requests_total{channel="demo",kind="segment"} 3`,
		`slipstream_origin_response_bytes_total{channel="demo",kind="segment"} 56384`,
		`slipstream_origin_segments_published_total{channel="demo",rendition="360p"} 2`,
		`slipstream_origin_media_bytes_published_total{channel="demo",rendition="180p"} 80000`,
		`slipstream_origin_playlist_age_seconds{channel="demo",rendition="360p"} 1.5`,
		`slipstream_origin_publisher_connected{channel="demo"} 1`,
		`go_goroutines `,
	} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
}
