package hls

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	second "github.com/Eyevinn/hls-m3u8/m3u8"

	"slipstream/origin/manifest"
)

func TestParseCDN(t *testing.T) {
	for text, want := range map[string]CDN{
		"near=https://cdn.example":                  {"near", "https://cdn.example", 0},
		"near:70=https://cdn.example:8443/streams/": {"near", "https://cdn.example:8443/streams", 70},
		"EU_1.b-2:0=http://127.0.0.1:8080/a=b":      {"EU_1.b-2", "http://127.0.0.1:8080/a=b", 0},
	} {
		if got, err := ParseCDN(text); err != nil || got != want {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "near", "=https://cdn.example", "near=cdn.example", "near=ftp://cdn.example", "near=https://cdn.example?x", "near=https://", ".=https://cdn.example",
		"ne ar=https://cdn.example", "near:=https://cdn.example", "near:-1=https://cdn.example", "near:1e3=https://cdn.example", "near=https://cdn.example/\"", "near:9999999999=https://cdn.example"} {
		if got, err := ParseCDN(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
	if _, err := ParseCDNs([]string{"a=http://x", "b=http://y", "a:5=http://z"}); err == nil {
		t.Error("two CDNs have one name")
	}
}

func FuzzParseCDN(f *testing.F) {
	f.Add("near:70=https://cdn.example/streams")
	f.Fuzz(func(t *testing.T, text string) {
		cdn, err := ParseCDN(text)
		if err != nil {
			return
		}
		c := channel()
		c.Name, c.CDNs = "demo", []CDN{cdn}
		playlist, err := Multivariant(c)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := manifest.ReadMultivariant(playlist); err != nil || len(m.At(cdn.Name)) != len(c.Renditions) {
			t.Errorf("%q makes a playlist that is not understood (%v):\n%s", text, err, playlist)
		}
	})
}

func steeredChannel() Channel {
	c := channel()
	c.Name = "demo"
	c.CDNs = []CDN{{"near", "https://near.example", 70}, {"far", "https://far.example/streams", 30}, {"last", "http://last.example", 0}}
	return c
}

func TestMultivariantPlaylistOfSeveralCDNs(t *testing.T) {
	text, err := Multivariant(steeredChannel())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "steered.m3u8", text)
	m, err := manifest.ReadMultivariant(text)
	if err != nil {
		t.Fatal(err)
	}
	if m.Steering != SteeringName || !slices.Equal(m.Pathways(), []string{"near", "far", "last"}) || m.Channel != channelID() {
		t.Errorf("a viewer reads %+v", m)
	}
	far := m.At("far")
	if len(far) != 2 || far[0].URI != "https://far.example/streams/live/demo/360p/index.m3u8" || far[0].Rendition != "360p" {
		t.Errorf("of the second CDN it reads %+v", far)
	}
	list, kind, err := second.DecodeFrom(strings.NewReader(text), true)
	if err != nil || kind != second.MASTER {
		t.Fatalf("the second parser: %v, kind %v", err, kind)
	}
	if p := list.(*second.MasterPlaylist); len(p.Variants) != 6 || p.Variants[5].URI != "http://last.example/live/demo/180p/index.m3u8" || p.Variants[5].Resolution != "320x180" {
		t.Errorf("the second parser reads %d variants", len(p.Variants))
	}
}

// Who changes to another CDN changes with the sound, too.
func TestRenditionGroupsStayWithTheirCDN(t *testing.T) {
	c := steeredChannel()
	c.Playlist, c.AudioBps = TracksName, map[string]int64{"360p": 96_000, "180p": 96_000}
	text, err := Multivariant(c)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "steered-tracks.m3u8", text)
	list, _, err := second.DecodeFrom(strings.NewReader(text), true)
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]string{}
	for _, v := range list.(*second.MasterPlaylist).Variants {
		for _, a := range v.Alternatives {
			hosts[a.GroupId] = a.URI[:strings.Index(a.URI, "/live/")]
		}
	}
	for _, v := range list.(*second.MasterPlaylist).Variants {
		if !strings.HasPrefix(v.URI, hosts[v.Audio]+"/live/") || hosts[v.Audio] == "" {
			t.Errorf("the pictures at %s have their sound in %q, which is at %q", v.URI, v.Audio, hosts[v.Audio])
		}
	}
	if len(hosts) != 3 {
		t.Errorf("there are the groups %v", hosts)
	}
}

func TestWithoutCDNsThereIsNoSteering(t *testing.T) {
	text, err := Multivariant(channel())
	if err != nil || strings.Contains(text, "STEERING") || strings.Contains(text, "PATHWAY") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestSteeringManifest(t *testing.T) {
	plain := []CDN{{"b", "http://b", 0}, {"a", "http://a", 0}}
	text, err := json.Marshal(Steering(plain, 7))
	if err != nil || string(text) != `{"VERSION":1,"TTL":60,"PATHWAY-PRIORITY":["b","a"]}` {
		t.Errorf("without weights it reads %s, %v", text, err)
	}
	text, err = json.Marshal(Steering(steeredChannel().CDNs, 7))
	if err != nil || !strings.Contains(string(text), `"RELOAD-URI":"steering.json?viewer=7"`) {
		t.Errorf("with weights it reads %s, %v", text, err)
	}
}

func TestWeightsSpreadViewersAndAViewerStaysWhereItIs(t *testing.T) {
	cdns := steeredChannel().CDNs
	const viewers = 20_000
	first := map[string]int{}
	moved := 0
	for viewer := range uint32(viewers) {
		order := Steering(cdns, viewer).Priority
		if again := Steering(cdns, viewer).Priority; !slices.Equal(order, again) {
			t.Fatalf("viewer %d is told %v, then %v", viewer, order, again)
		}
		if order[2] != "last" {
			t.Fatalf("viewer %d is told %v", viewer, order)
		}
		first[order[0]]++
		more := append(slices.Clone(cdns), CDN{"new", "https://new.example", 100})
		if with := Steering(more, viewer).Priority[0]; with != order[0] && with != "new" {
			moved++
		}
	}
	if share := float64(first["near"]) / viewers; math.Abs(share-0.7) > 0.015 {
		t.Errorf("%.3f of all viewers prefer the CDN that was to have 0.7", share)
	}
	if moved > 0 {
		t.Errorf("%d viewers went from one of the old CDNs to the other when a new one came", moved)
	}
}
