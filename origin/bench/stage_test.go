package bench

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"slipstream/origin/certificate"
	"slipstream/origin/cmaf"
	"slipstream/origin/keys"
	"slipstream/origin/server"
	"slipstream/origin/store"
	"slipstream/origin/timeline"
	"slipstream/origin/web"
)

const (
	channelName    = "stage"
	segmentMs      = timeline.SegmentMs
	backlog        = 30 // segments that are there when a stage opens: the default window
	partsToSegment = 4
)

// stagePlan describes an origin to measure.
type stagePlan struct {
	renditions int
	kbps, rise int // of the first rendition, and how much more each further one has
	parts      bool
	still      bool // nothing comes after the backlog, and the origin's clock stands
	http       string
	https      string // with HTTP/3; "" for neither
	congestion string // control of TCP; "" for what the machine has
	dir        string
	profile    string
}

// staged says where a stage is.
type staged struct {
	HTTP       string   `json:"http"`  // host:port
	HTTPS      string   `json:"https"` // likewise
	Channel    string   `json:"channel"`
	Renditions []string `json:"renditions"`
	First      int64    `json:"first"` // number of the oldest segment
	Last       int64    `json:"last"`  // of the newest, when the stage opened
}

func (p staged) playlist(rendition string) string {
	return fmt.Sprintf("/live/%s/%s/index.m3u8", p.Channel, rendition)
}

func (p staged) segment(rendition string, number int64) string {
	return fmt.Sprintf("/live/%s/%s/%d.m4s", p.Channel, rendition, number)
}

// arguments are those of the command stage.
func (p stagePlan) arguments() []string {
	return []string{
		"stage", fmt.Sprint("-renditions=", p.renditions), fmt.Sprint("-kbps=", p.kbps), fmt.Sprint("-rise=", p.rise), fmt.Sprint("-parts=", p.parts),
		fmt.Sprint("-still=", p.still), "-http=" + p.http, "-https=" + p.https, "-congestion=" + p.congestion,
		"-dir=" + p.dir, "-cpuprofile=" + p.profile,
	}
}

// open starts a stage as a process.
func (p stagePlan) open() (*process, staged, error) {
	var at staged
	self, err := os.Executable()
	if err != nil {
		return nil, at, err
	}
	child, err := start(self, p.arguments()...)
	if err == nil {
		err = child.says(&at)
	}
	return child, at, err
}

// runStage is an origin until its input ends: the store, the server and the web of the shipped one with keys of its own, but for
// segments bytes that nobody looks at. It prints where it is.
func runStage(args []string) (any, error) {
	var p stagePlan
	f := flags("stage")
	f.IntVar(&p.renditions, "renditions", 1, "renditions")
	f.IntVar(&p.kbps, "kbps", 1000, "bitrate of the first rendition")
	f.IntVar(&p.rise, "rise", 0, "how much more each further rendition has")
	f.BoolVar(&p.parts, "parts", false, "publish in parts (LL-HLS)")
	f.BoolVar(&p.still, "still", false, "publish nothing after the start")
	f.StringVar(&p.http, "http", "127.0.0.1:0", "address")
	f.StringVar(&p.https, "https", "", "address of HTTPS and HTTP/3")
	f.StringVar(&p.congestion, "congestion", "", "congestion control of TCP")
	f.StringVar(&p.dir, "dir", "", "a directory for keys and heads")
	f.StringVar(&p.profile, "cpuprofile", "", "file for a CPU profile")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if p.profile != "" {
		file, err := os.Create(p.profile)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return nil, p.run(ctx)
}

func (p stagePlan) run(ctx context.Context) error {
	now := time.Now().UnixMilli()
	clock := func() int64 { return time.Now().UnixMilli() }
	if p.still {
		clock = func() int64 { return now }
	}
	s := &stage{plan: p, next: now/segmentMs - backlog}
	secret, err := keys.Token(p.dir)
	if err != nil {
		return err
	}
	owner, err := keys.Open(p.dir, channelName, now)
	if err != nil {
		return err
	}
	floors := map[string]int64{}
	for i := range p.renditions {
		name := fmt.Sprintf("r%d", i)
		s.names = append(s.names, name)
		floors[name] = int64(p.kbps+i*p.rise) * 1000
	}
	if s.store, err = store.Open(store.Config{
		Dir: keys.ChannelDir(p.dir, channelName), Channel: owner.ID(), SessionMs: now, Renditions: s.names, Signer: owner,
	}, now); err != nil {
		return err
	}
	handler, err := server.New(server.Config{
		TokenSecret: secret, Now: clock,
		Channels: []server.Channel{{
			Name: channelName, ID: owner.ID(), Store: s.store, FloorBps: floors,
			Publisher: func() server.Publisher { return server.Publisher{Connected: true, SinceMs: now, Source: "stage"} },
		}},
	})
	if err != nil {
		return err
	}
	said := staged{Channel: channelName, Renditions: s.names, First: s.next, Last: s.next + backlog - 1}
	for range backlog {
		if err := s.publish(now); err != nil {
			return err
		}
	}
	cfg := web.Config{HTTP: p.http, HTTPS: p.https, HTTP3: p.https != "", Handler: handler, Lane: handler}
	if p.https != "" {
		made, err := certificate.SelfSigned(p.dir, "localhost", time.Now())
		if err != nil {
			return err
		}
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*made}}
	}
	site, err := web.Listen(cfg)
	if err != nil {
		return err
	}
	if p.congestion != "" {
		if err := p.control(); err != nil {
			return fmt.Errorf("the congestion control %s cannot be had: %w", p.congestion, err)
		}
	}
	said.HTTP = site.Addr().String()
	if site.SecureAddr() != nil {
		said.HTTPS = site.SecureAddr().String()
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return site.Serve(ctx) })
	if !p.still {
		group.Go(func() error { return s.publishOn(ctx) })
	}
	return group.Wait()
}

// control sets the congestion control of every socket of ours that listens; connections inherit it. The shipped packages do not care, and so
// do not offer it.
func (p stagePlan) control() error {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range all {
		fd, _ := strconv.Atoi(entry.Name())
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
			continue
		}
		if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, p.congestion); err != nil {
			return err
		}
	}
	return nil
}

// stage is a live channel.
type stage struct {
	plan  stagePlan
	names []string
	store *store.Store
	next  int64 // number
}

// publishOn publishes each segment of all renditions, and each of its parts, when its last moment is over.
func (s *stage) publishOn(ctx context.Context) error {
	beats := int64(1) // of a segment
	if s.plan.parts {
		beats = partsToSegment
	}
	for beat := s.next * beats; ; beat++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(time.UnixMilli((beat + 1) * segmentMs / beats))):
		}
		if s.plan.parts {
			if err := s.publishPart(int(beat%beats), time.Now().UnixMilli()); err != nil {
				return err
			}
		}
		if beat%beats == beats-1 {
			if err := s.publishWhole(time.Now().UnixMilli()); err != nil {
				return err
			}
		}
	}
}

// publish publishes the next segment of every rendition, and its parts before it.
func (s *stage) publish(nowMs int64) error {
	for i := range partsToSegment {
		if !s.plan.parts {
			break
		}
		if err := s.publishPart(i, nowMs); err != nil {
			return err
		}
	}
	return s.publishWhole(nowMs)
}

// segment is the next one of a rendition.
func (s *stage) segment(rendition int) cmaf.Segment {
	return cmaf.Segment{
		Rendition: s.names[rendition], Number: s.next, StartMs: s.next * segmentMs, DurationMs: segmentMs,
		Data: content(s.next, (s.plan.kbps+rendition*s.plan.rise)*segmentMs/8), Init: []byte("an init section, of which nobody looks at the inside"),
		Codecs: "avc1.4d401e,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25,
	}
}

func (s *stage) publishWhole(nowMs int64) error {
	for i := range s.names {
		if err := s.store.Publish(s.segment(i), nowMs); err != nil {
			return err
		}
	}
	s.next++
	return nil
}

func (s *stage) publishPart(index int, nowMs int64) error {
	for i := range s.names {
		whole := s.segment(i)
		size := len(whole.Data) / partsToSegment
		part := cmaf.Part{Segment: whole, Index: index, Independent: index == 0}
		part.StartMs += int64(index) * segmentMs / partsToSegment
		part.DurationMs /= partsToSegment
		part.Data = whole.Data[index*size : (index+1)*size]
		if index == partsToSegment-1 {
			part.Data = whole.Data[index*size:]
		}
		if err := s.store.PublishPart(part, nowMs); err != nil {
			return err
		}
	}
	return nil
}

// noise is what segments are cut out of. To make their bytes costs nothing: the origin's work is what is measured.
var noise = sync.OnceValue(func() []byte {
	random := rand.NewPCG(1, 2)
	out := make([]byte, 0, 8<<20)
	for len(out) < cap(out) {
		out = binary.LittleEndian.AppendUint64(out, random.Uint64())
	}
	return out
})

// content is another for each number.
func content(number int64, size int) []byte {
	at := int(number % 1024 * 64)
	return noise()[at : at+size : at+size]
}

// freePort is one that was free a moment ago, for programs that must be told one.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

var errStatus = errors.New("the answer is no success")

// get fetches an object as a browser would, for what needs not be cheap.
func get(address, path, encoding string) ([]byte, http.Header, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept-Encoding", encoding) // net/http then leaves the body as it is
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s of %s", errStatus, answer.Status, path)
	}
	return body, answer.Header, err
}
