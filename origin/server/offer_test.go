package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"slipstream/origin/cmaf"
	"slipstream/origin/dash"
	"slipstream/origin/keys"
	"slipstream/origin/store"
)

// A rendition that is not made any more is in no list; its playlist sends players to another one, its segments stay.
func TestARenditionThatIsNotMade(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first, first+1, first+2)
	const rung, object = "/live/demo/360p/index.m3u8", "/live/demo/360p/"
	if a := s.ask("GET", rung); a.status != http.StatusOK {
		t.Fatalf("its playlist: %d %s", a.status, a.body)
	}
	s.store.Offer([]string{"180p"}, s.nowMs.Load())
	if a := s.ask("GET", "/live/demo/index.m3u8"); a.status != http.StatusOK || strings.Contains(a.body, "360p") || !strings.Contains(a.body, "180p") {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	s.nowMs.Store((first+3)*2000 + 2300)
	segment := cmaf.Segment{
		Rendition: "180p", Number: first + 3, StartMs: (first + 3) * 2000, DurationMs: 2000, Data: data("180p", first+3), Init: []byte("init"),
		Codecs: "avc1.4d401e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 30, Discontinuity: true,
	}
	if err := s.store.Publish(segment, s.nowMs.Load()); err != nil {
		t.Fatal(err)
	}
	// DASH players may be in the Period still in which it was made.
	mpd := s.ask("GET", "/live/demo/manifest.mpd")
	if periods := strings.Split(mpd.body, "<Period"); len(periods) != 3 || !strings.Contains(periods[1], `"360p"`) || strings.Contains(periods[2], `"360p"`) {
		t.Errorf("%d\n%s", mpd.status, mpd.body)
	}
	if a := s.ask("GET", rung); a.status != http.StatusNotFound || !strings.Contains(a.body, `the rendition "360p" of the channel "demo" is not made at the moment`) {
		t.Errorf("its playlist: %d %s", a.status, a.body)
	}
	if a := s.ask("GET", fmt.Sprintf("%s%d.m4s", object, first+1)); a.status != http.StatusOK {
		t.Errorf("its segments: %d %s", a.status, a.body)
	}
}

// Sound alone is a rendition of its own for HLS. DASH players have the sound of each rendition apart anyway.
func TestSoundAlone(t *testing.T) {
	var st *store.Store
	s := newSite(t, func(cfg *Config) {
		ch := &cfg.Channels[0]
		k, err := keys.Open(t.TempDir(), "demo", startMs)
		if err != nil {
			t.Fatal(err)
		}
		if st, err = store.Open(store.Config{Dir: t.TempDir(), Channel: ch.ID, SessionMs: startMs, Renditions: []string{"360p", "audio"}, Signer: k}, startMs); err != nil {
			t.Fatal(err)
		}
		ch.Store, ch.AudioBps = st, map[string]int64{"360p": 100_000, "audio": 50_000}
	})
	for n := first; n < first+3; n++ {
		s.nowMs.Store(n*2000 + 2300)
		for rendition, codecs := range map[string]string{"360p": "avc1.4d401e,mp4a.40.2", "audio": "mp4a.40.2"} {
			segment := cmaf.Segment{Rendition: rendition, Number: n, StartMs: n * 2000, DurationMs: 2000, Data: data(rendition, n), Init: []byte("init " + rendition), Codecs: codecs}
			if rendition == "360p" {
				segment.Width, segment.Height, segment.FrameRate = 640, 360, 30
			}
			if err := st.Publish(segment, s.nowMs.Load()); err != nil {
				t.Fatal(err)
			}
		}
	}
	a := s.ask("GET", "/live/demo/index.m3u8")
	lines := strings.Split(a.body, "\n")
	for i, line := range lines {
		if line != "audio/index.m3u8" {
			continue
		}
		if info := lines[i-1]; !strings.Contains(info, `CODECS="mp4a.40.2"`) || strings.Contains(info, "RESOLUTION") || strings.Contains(info, "FRAME-RATE") {
			t.Errorf("it is described as %s", info)
		}
	}
	if !strings.Contains(a.body, "\naudio/index.m3u8\n") {
		t.Errorf("it is not listed:\n%s", a.body)
	}
	mpd := s.ask("GET", "/live/demo/manifest.mpd").body
	if strings.Count(mpd, `contentType="audio"`) != 1 || strings.Count(mpd, "mp4a.40.2") != 1 || strings.Contains(mpd, dash.VideoPath("audio")) {
		t.Errorf("the MPD lists sound otherwise than once:\n%s", mpd)
	}
}

// What is known of the transcoder is in the statistics and the metrics.
func TestHowTheTranscoderFares(t *testing.T) {
	s := newSite(t, func(cfg *Config) {
		cfg.Channels[0].Encoder = func() Encoder {
			return Encoder{Rungs: []string{"360p", "180p"}, LeftOut: 1, LagMs: 640, CPUMs: 12_340, Failures: 2, Notes: []string{"this machine is too slow"}}
		}
	})
	s.publish(first)
	if a := s.ask("GET", "/stats.json"); !strings.Contains(a.body, `"encoder":{"rungs":["360p","180p"],"leftOut":1,"lagMs":640,"cpuMs":12340,"failures":2,"notes":["this machine is too slow"]}`) {
		t.Errorf("the statistics: %s", a.body)
	}
	metrics := s.ask("GET", "/metrics").body
	for _, want := range []string{
		`slipstream_origin_transcoder_cpu_seconds_total{channel="demo"} 12.34`, `slipstream_origin_transcoder_lag_seconds{channel="demo"} 0.64`,
		`slipstream_origin_transcoder_failures_total{channel="demo"} 2`, `slipstream_origin_transcoder_rungs{channel="demo"} 2`,
		`slipstream_origin_transcoder_rungs_left_out{channel="demo"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// A channel that comes later is served as one that was there from the start.
func TestAChannelIsAdded(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first, first+1)
	if a := s.ask("GET", "/live/two/index.m3u8"); a.status != http.StatusNotFound {
		t.Errorf("before: %d", a.status)
	}
	two := s.server.cfg.Channels[0]
	two.Name = "two"
	s.server.Add(two)
	if a := s.ask("GET", "/live/two/index.m3u8"); a.status != http.StatusOK {
		t.Errorf("after: %d %s", a.status, a.body)
	}
	if a := s.ask("GET", "/stats.json"); !strings.Contains(a.body, `"name":"two"`) {
		t.Errorf("the statistics: %s", a.body)
	}
}
