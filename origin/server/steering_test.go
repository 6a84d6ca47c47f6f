package server

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"slipstream/origin/hls"
)

func TestSteeringManifestIsServedWhereThereAreCDNs(t *testing.T) {
	s := newSite(t, nil)
	s.recorded()
	s.ask("GET", "/live/demo/steering.json").want(t, "without CDNs", 404)
	ch := s.server.channels["demo"]
	ch.CDNs, _ = hls.ParseCDNs([]string{"near=http://near.test", "far=http://far.test"})
	answer := s.ask("GET", "/live/demo/steering.json")
	answer.want(t, "the steering manifest", 200, "Cache-Control", "public, max-age=30")
	var said hls.SteeringManifest
	if err := json.Unmarshal([]byte(answer.body), &said); err != nil || !slices.Equal(said.Priority, []string{"near", "far"}) || said.ReloadURI != "" {
		t.Errorf("it says %s, %v", answer.body, err)
	}
	if front := s.ask("GET", "/live/demo/index.m3u8", "Accept-Encoding", "identity"); !strings.Contains(front.body, "\nhttp://far.test/live/demo/360p/index.m3u8\n") {
		t.Errorf("the multivariant playlist reads\n%s", front.body)
	}

	ch.CDNs, _ = hls.ParseCDNs([]string{"near:1=http://near.test", "far:1=http://far.test"})
	seen := map[string]bool{}
	for range 64 {
		answer := s.ask("GET", "/live/demo/steering.json")
		answer.want(t, "a viewer's own", 200, "Cache-Control", "no-store")
		var said, again hls.SteeringManifest
		_ = json.Unmarshal([]byte(answer.body), &said)
		_ = json.Unmarshal([]byte(s.ask("GET", "/live/demo/"+said.ReloadURI+"&_HLS_pathway=near").body), &again)
		if said.ReloadURI == "" || said.ReloadURI != again.ReloadURI || !slices.Equal(said.Priority, again.Priority) {
			t.Fatalf("a viewer is told %+v, then %+v", said, again)
		}
		seen[said.Priority[0]] = true
	}
	if len(seen) != 2 {
		t.Errorf("all viewers prefer %v", seen)
	}
}
