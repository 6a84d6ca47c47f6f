package emulate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// services are what viewers find: an origin with its publisher (together the CDN), a
// tracker, and the scenario's seeders.
type services struct {
	stage     *stage
	program   string // the slipstream binary
	url       string // of the origin
	playlist  string
	client    *http.Client // whose connections begin on the origin's host
	publisher *process
	origin    *process
	tracker   *process
}

const (
	httpPort    = "8080"
	trackerPort = "8081"
	// framesPerSec is few: what is measured are viewers, not their decoders.
	framesPerSec = "10"
)

func (s *stage) startServices(ctx context.Context, binary string) (*services, error) {
	host, trackerHost := s.plan.hosts[s.plan.origin()], s.plan.hosts[s.plan.tracker()]
	v := &services{
		stage: s, program: binary,
		url: "http://" + net.JoinHostPort(host.addr.String(), httpPort),
		client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			DialContext: s.spaces[s.plan.origin()].dial,
		}},
	}
	v.playlist = v.url + "/live/demo/index.m3u8"
	key, err := v.startOrigin(ctx, trackerHost)
	if err != nil {
		return nil, err
	}
	if err := v.startTracker(); err != nil {
		return nil, err
	}
	if err := v.startPublisher(key); err != nil {
		return nil, err
	}
	if err := v.waitForSegments(ctx, 1); err != nil {
		return nil, err
	}
	for i, h := range s.plan.hosts[:s.plan.origin()] {
		if h.viewers > 0 {
			continue
		}
		if _, err := s.run(i, program{name: h.name, path: binary, args: []string{
			"seeder", "--token-key", v.tokenKey(), v.playlist,
		}}); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *services) tokenKey() string { return filepath.Join(v.stage.dir, "data", "keys", "token.key") }

// streamKey finds what the origin prints when it is ready.
var streamKey = regexp.MustCompile(`stream key (\S+)`)

func (v *services) startOrigin(ctx context.Context, trackerHost host) (key string, err error) {
	s := v.stage
	kbps := s.plan.cfg.Stream.BytesPerSec * 8 / 1000
	said := &output{}
	v.origin, err = s.run(s.plan.origin(), program{name: "origin", path: v.program, stdout: said, args: []string{
		"origin", "--http=:" + httpPort, "--rtmp=127.0.0.1:1935", "--data=" + filepath.Join(s.dir, "data"),
		"--window=" + (time.Duration(int64(s.plan.cfg.Stream.WindowSegments)*s.plan.cfg.Stream.SegmentMs) * time.Millisecond).String(),
		"--rung=" + fmt.Sprintf("180p:320x180:%d:8", kbps), "--frame-rate=" + framesPerSec,
		"--tracker-url=ws://" + net.JoinHostPort(trackerHost.addr.String(), trackerPort) + "/tracker",
	}})
	if err != nil {
		return "", err
	}
	err = s.until(ctx, 10*time.Second, "the start of the origin", []*process{v.origin}, func(context.Context) bool {
		if match := streamKey.FindStringSubmatch(said.String()); match != nil {
			key = match[1]
		}
		return key != ""
	})
	return key, err
}

func (v *services) startTracker() (err error) {
	v.tracker, err = v.stage.run(v.stage.plan.tracker(), program{name: "tracker", path: v.program, args: []string{
		"tracker", "--listen=:" + trackerPort, "--token-key", v.tokenKey(),
	}})
	return err
}

// startPublisher pushes a picture that no encoder can make small, so that the stream
// has the scenario's bitrate: a test pattern under noise. It is silent, because browsers
// play by the clock of their sound, which falls behind wherever processors are busy: that
// would pass for a network's fault.
func (v *services) startPublisher(key string) (err error) {
	kbps := v.stage.plan.cfg.Stream.BytesPerSec * 8 / 1000
	v.publisher, err = v.stage.run(v.stage.plan.origin(), program{name: "publisher", path: "ffmpeg", args: []string{
		"-hide_banner", "-nostdin", "-loglevel", "error",
		"-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=" + framesPerSec + ",noise=alls=60:allf=t",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", framesPerSec,
		"-b:v", fmt.Sprintf("%dk", 2*kbps),
		"-flvflags", "no_duration_filesize", "-f", "flv", "rtmp://127.0.0.1:1935/live/" + key,
	}})
	return err
}

// vital are those without which nothing makes sense. The tracker may be away.
func (v *services) vital() []*process { return []*process{v.origin, v.publisher} }

func (v *services) waitForSegments(ctx context.Context, segments int64) error {
	return v.stage.until(ctx, time.Minute, "the publication of the stream", v.vital(), func(ctx context.Context) bool {
		at, err := v.traffic(ctx)
		return err == nil && at.PublishedSegments >= segments
	})
}

// traffic is what the origin counted since it began.
type traffic struct {
	PublishedSegments, PublishedBytes int64
	MediaBytes, PlaylistBytes         int64
	AllBytes, Requests                int64
}

func (a traffic) since(b traffic) traffic {
	return traffic{
		a.PublishedSegments - b.PublishedSegments, a.PublishedBytes - b.PublishedBytes,
		a.MediaBytes - b.MediaBytes, a.PlaylistBytes - b.PlaylistBytes,
		a.AllBytes - b.AllBytes, a.Requests - b.Requests,
	}
}

// traffic asks the origin's /stats.json, past the emulated links.
func (v *services) traffic(ctx context.Context) (traffic, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.url+"/stats.json", nil)
	if err != nil {
		return traffic{}, err
	}
	response, err := v.client.Do(request)
	if err != nil {
		return traffic{}, fmt.Errorf("the origin does not tell its statistics: %w", err)
	}
	defer response.Body.Close()
	var said struct {
		Channels []struct {
			Renditions []struct {
				Published struct{ Segments, Bytes int64 }
			}
			HTTP map[string]struct{ Requests, Bytes int64 }
		}
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&said); err != nil {
		return traffic{}, fmt.Errorf("the origin's statistics make no sense: %w", err)
	}
	var t traffic
	for _, channel := range said.Channels {
		for _, r := range channel.Renditions {
			t.PublishedSegments += r.Published.Segments
			t.PublishedBytes += r.Published.Bytes
		}
		for kind, h := range channel.HTTP {
			t.Requests += h.Requests
			t.AllBytes += h.Bytes
			switch kind {
			case "segment", "part":
				t.MediaBytes += h.Bytes
			case "playlist", "multivariant":
				t.PlaylistBytes += h.Bytes
			}
		}
	}
	return t, nil
}

// proxy lets programs outside of the namespaces ask the origin, past its line: a test
// driver reads counters there.
func (v *services) proxy() (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("a port for the origin's counters cannot be opened: %w", err)
	}
	target, err := url.Parse(v.url)
	if err != nil {
		return "", nil, err
	}
	reverse := httputil.NewSingleHostReverseProxy(target)
	reverse.Transport = v.client.Transport
	server := &http.Server{Handler: reverse, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return "http://" + listener.Addr().String(), func() { server.Close() }, nil
}

// output is what a child says, while it says it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// maxOutput is more than any of our programs has to say.
const maxOutput = 1 << 20

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() < maxOutput {
		o.text.Write(p)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
