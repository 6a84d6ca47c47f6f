package origin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"slipstream/origin/keys"
	"slipstream/origin/logtest"
	"slipstream/origin/manifest"
	"slipstream/origin/transcode"
)

// region is an origin that packages.
type region struct {
	t         *testing.T
	cfg       Config
	rendition string // that is looked at
	log       logtest.Buffer
	at        Ready
	stop      func() error
}

// soundToo has a rendition of sound alone beside that with a picture, and one that is larger than the source: nobody makes it.
func soundToo(cfg *Config) {
	cfg.Ladder = append(cfg.Ladder, transcode.Rung{Name: "audio", AudioKbps: 64}, transcode.Rung{Name: "360p", Width: 640, Height: 360, VideoKbps: 800, AudioKbps: 64})
}

// newRegion starts an origin that packages; it has the keys of another one, if there is one.
func newRegion(t *testing.T, name string, like *region) *region {
	r := &region{t: t, rendition: "90p"}
	r.cfg = small(t, &r.log)
	soundToo(&r.cfg)
	r.cfg.Role, r.cfg.Region, r.cfg.LowLatency = RolePackage, name, true
	if like != nil {
		dir := keys.ChannelDir(r.cfg.DataDir, "demo")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"root.key", "stream.key"} {
			content, err := os.ReadFile(filepath.Join(keys.ChannelDir(like.cfg.DataDir, "demo"), file))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, file), content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	r.start()
	return r
}

func (r *region) start() {
	r.at, r.stop = running(r.t, r.cfg)
	r.cfg.HTTP = r.at.HTTP // where it will be again
}

func (r *region) url(object string) string {
	return "http://" + r.at.HTTP + "/live/demo/" + r.rendition + "/" + object
}

// number is the newest segment's.
func (r *region) number() int64 {
	var stats struct {
		Channels []struct {
			Renditions []struct{ Number int64 }
		}
	}
	decode(r.t, "http://"+r.at.HTTP+"/stats.json", &stats)
	return stats.Channels[0].Renditions[0].Number
}

// listed waits until the region lists three segments, and returns its playlist and the names in it.
func (r *region) listed() (playlist string, names []string) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, playlist = get(r.t, r.url("index.m3u8")); strings.Count(playlist, "#EXTINF") >= 3 {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("after a minute %s says %s\n%s", r.cfg.Region, playlist, r.log.String())
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^(\d+\.m4s)$|URI="([^"]+\.(?:m4s|mp4))"`).FindAllStringSubmatch(playlist, -1) {
		names = append(names, m[1]+m[2])
	}
	return playlist, names
}

// fetch is what lies behind a name, nil if there is nothing.
func (r *region) fetch(name string) []byte {
	r.t.Helper()
	resp, err := http.Get(r.url(name))
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	return body
}

// sameBytes compares what lies behind the names of both, and wants at least so many of each kind.
func sameBytes(t *testing.T, a, b *region, segments, parts int) {
	t.Helper()
	_, names := a.listed()
	same := map[int]int{} // by the number of dots in a name
	for _, name := range names {
		here := a.fetch(name)
		there := b.fetch(name)
		if here == nil || there == nil { // it has just come, or is the one that comes next
			continue
		}
		if !bytes.Equal(here, there) {
			t.Errorf("%s has %d bytes in one region and others, %d, in the other", name, len(here), len(there))
		}
		if !strings.HasPrefix(name, "init-") {
			same[strings.Count(name, ".")]++
		}
	}
	if same[1] < segments || same[2] < parts {
		t.Errorf("only %d segments and %d parts are in both regions", same[1], same[2])
	}
}

// One encoder, two regions: they have the same bytes under the same names. One of them is away for seconds: it comes back whole, and a viewer
// whom a CDN leads from one to the other and back believes both.
func TestTwoRegionsAgree(t *testing.T) {
	t.Parallel()
	film := clip(t)
	a := newRegion(t, "a", nil)
	b := newRegion(t, "b", a)
	if a.at.Channels[0] != b.at.Channels[0] {
		t.Fatalf("%+v and %+v are not the same channel", a.at.Channels[0], b.at.Channels[0])
	}
	var log logtest.Buffer
	cfg := small(t, &log)
	soundToo(&cfg)
	cfg.Role, cfg.LowLatency, cfg.Pull = RoleEncode, true, map[string]string{"demo": film}
	point := func(r *region) string { return "http://" + r.at.HTTP + "/ingest/" + r.at.Channels[0].StreamKey }
	cfg.Push = map[string][]string{"demo": {point(a), point(b), "http://127.0.0.1:1/ingest/nobody-is-there"}}
	encoder, stopEncoder := running(t, cfg)
	if status, said := get(t, "http://"+encoder.HTTP+"/live/demo/index.m3u8"); status != 404 || !strings.Contains(said, "encodes") {
		t.Errorf("the encoder answers a viewer with %d %s", status, said)
	}

	viewer := manifest.NewVerifier(a.at.Channels[0].ID, "90p")
	believe := func(r *region) (last int64) {
		t.Helper()
		text, _ := r.listed()
		list, err := manifest.ReadPlaylist(text)
		if err != nil {
			t.Fatal(err)
		}
		segments, err := viewer.Playlist(list, time.Now().UnixMilli())
		if err != nil {
			t.Fatalf("region %s: %v", r.cfg.Region, err)
		}
		if _, err := viewer.Parts(list, time.Now().UnixMilli()); err != nil {
			t.Errorf("region %s: %v", r.cfg.Region, err)
		}
		return segments[len(segments)-1].Segment.Number
	}
	head := believe(a)
	sameBytes(t, a, b, 2, 4)

	if err := a.stop(); err != nil {
		t.Error(err)
	}
	for b.number() < head+2 {
		time.Sleep(100 * time.Millisecond)
	}
	believe(b)
	a.start()
	if status, _ := get(t, a.url("index.m3u8")); status != 404 {
		t.Errorf("a region that has just begun answers %d", status)
	}
	believe(a)
	sameBytes(t, a, b, 2, 4)
	a.rendition, b.rendition = "audio", "audio"
	sameBytes(t, a, b, 2, 4)
	a.rendition, b.rendition = "90p", "90p"
	believe(b)
	discontinuities := regexp.MustCompile(`#EXT-X-DISCONTINUITY.*`)
	here, names := a.listed()
	there, _ := b.listed()
	if x, y := discontinuities.FindAllString(here, -1), discontinuities.FindAllString(there, -1); !slices.Equal(x, y) {
		t.Errorf("discontinuities in one region: %q, in the other: %q", x, y)
	}
	if first := names[1]; first <= fmt.Sprintf("%d.m4s", head) {
		t.Errorf("segment %s was signed again, though %d was signed before", first, head)
	}
	numbers, playlist := window(t, b.at, 6)
	continuous(t, numbers, playlist)
	for _, r := range []*region{a, b} {
		var report bytes.Buffer
		if err := Verify(t.Context(), "http://"+r.at.HTTP+"/live/demo/index.m3u8", "", &report); err != nil {
			t.Errorf("%v\n%s", err, &report)
		}
	}
	if _, front := get(t, "http://"+a.at.HTTP+"/live/demo/index.m3u8"); !strings.Contains(front, "audio/index.m3u8") || strings.Contains(front, "360p/index.m3u8") {
		t.Errorf("not what the encoder makes is offered:\n%s", front)
	}
	if strings.Contains(log.String(), a.at.Channels[0].StreamKey) {
		t.Error("the encoder's log has a stream key")
	}
	if err := stopEncoder(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("the encoder: %s\na: %s\nb: %s", log.String(), a.log.String(), b.log.String())
	}
}

func TestWhatDoesNotFitARole(t *testing.T) {
	pretendFFmpeg(t)
	for says, change := range map[string]func(*Config){
		`there is no role "cook"`:     func(c *Config) { c.Role = "cook" },
		"say where to by --push":      func(c *Config) { c.Role = RoleEncode },
		"it neither pulls nor pushes": func(c *Config) { c.Role, c.Pull = RolePackage, map[string]string{"demo": "film.mp4"} },
		"shows what is pushed to it":  func(c *Config) { c.Role, c.Backup = RolePackage, []string{"demo"} },
		"has no encoder":              func(c *Config) { c.Role, c.SRT = RolePackage, "127.0.0.1:0" },
		`the region name "Europe!"`:   func(c *Config) { c.Region = "Europe!" },
		"address of a publishing":     func(c *Config) { c.Push = map[string][]string{"demo": {"ftp://hunter2@host/x"}} },
		"does not exist":              func(c *Config) { c.Push = map[string][]string{"other": {"http://host/x"}} },
	} {
		cfg := local(t)
		change(&cfg)
		err := Run(t.Context(), cfg)
		if said := fmt.Sprint(err); !strings.Contains(said, says) || strings.Contains(said, "hunter2") || strings.Contains(said, "\n") {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// decode reads a JSON document.
func decode(t *testing.T, url string, into any) {
	t.Helper()
	_, body := get(t, url)
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}
