package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"slipstream/origin/certificate"
)

// http3Report is how one origin served one client over HTTP/2 and HTTP/3 in turns, on the same emulated line.
type http3Report struct {
	Loss         float64  `json:"loss"` // of packets, each way
	RTTMs        int64    `json:"rttMs"`
	DownlinkMbps int      `json:"downlinkMbps"`
	SegmentKB    float64  `json:"segmentKB"`
	ConnectRatio ratio    `json:"connectRatio"` // HTTP/3's time to the first answer to HTTP/2's, round by round
	RateRatio    ratio    `json:"rateRatio"`    // of throughput, likewise
	RateRatioBBR ratio    `json:"rateRatioBBR"` // to HTTP/2 from a server whose TCP has BBR; nothing where the machine does not
	Bars         []bar    `json:"bars"`
	HTTP2        []errand `json:"http2"` // CUBIC, Linux's default
	HTTP2BBR     []errand `json:"http2BBR,omitempty"`
	HTTP3        []errand `json:"http3"` // quic-go knows Reno alone
}

// errand is a round: a connection is made, a playlist fetched, then segment after segment.
type errand struct {
	ConnectMs    float64 `json:"connectMs"` // until the handshake is over
	AnswerMs     float64 `json:"answerMs"`  // until the playlist is there, from nothing
	MbPerSecond  float64 `json:"mbitPerSecond"`
	Segments     int     `json:"segments"`
	SegmentMsP50 float64 `json:"segmentMsP50"`
	SegmentMsMax float64 `json:"segmentMsMax"`
}

type http3Plan struct {
	slipstream string
	loss       float64
	rtt        time.Duration
	downlink   int
	rounds     int
	span       time.Duration
}

func benchHTTP3(args []string) (any, error) {
	var p http3Plan
	f := flags("http3")
	f.StringVar(&p.slipstream, "slipstream", "bin/slipstream", "the binary that emulates links")
	f.Float64Var(&p.loss, "loss", 0.01, "share of packets that are lost, each way")
	f.DurationVar(&p.rtt, "rtt", 100*time.Millisecond, "round trip")
	f.IntVar(&p.downlink, "downlink", 20, "Mb/s")
	f.IntVar(&p.rounds, "rounds", 5, "turns of each protocol")
	f.DurationVar(&p.span, "span", 5*time.Second, "how long segments are fetched in a turn")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return p.run()
}

// scenario is one viewer's line. The emulation's own stream is there because it has one, and small.
func (p http3Plan) scenario() []byte {
	return fmt.Appendf(nil, `
duration: 60min
stream: { bitrate: 200kbps, windowSegments: 30 }
viewers: { count: 1, lines: [{ uplink: %dMbps, downlink: %dMbps }] }
network: { loss: %g%% }
cdn: { oneWay: %dms }
`, p.downlink/2, p.downlink, p.loss*100, p.rtt.Milliseconds()/2)
}

func (p http3Plan) run() (*http3Report, error) {
	dir, err := os.MkdirTemp("", "slipstream-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	scenario := filepath.Join(dir, "line.yaml")
	if err := os.WriteFile(scenario, p.scenario(), 0o644); err != nil {
		return nil, err
	}
	emulator, err := start(p.slipstream, "sim", "emulate", "--keep", scenario)
	if err != nil {
		return nil, err
	}
	defer emulator.end()
	type host struct{ Address, Run string }
	var network struct {
		Hosts  []host
		Origin host
	}
	if err := emulator.says(&network); err != nil {
		return nil, err
	}
	plan := stagePlan{renditions: 1, kbps: 1000, still: true}
	fetch := fetchPlan{rounds: p.rounds, span: p.span}
	for i, congestion := range controls() {
		plan.congestion, plan.dir = congestion, filepath.Join(dir, congestion)
		plan.http, plan.https = fmt.Sprintf("%s:%d", network.Origin.Address, 9080+i), fmt.Sprintf("%s:%d", network.Origin.Address, 9443+i)
		origin, err := start(network.Origin.Run, append([]string{self}, plan.arguments()...)...)
		if err != nil {
			return nil, err
		}
		defer origin.end()
		var at staged
		if err := origin.says(&at); err != nil {
			return nil, err
		}
		fetch.at, fetch.trust = append(fetch.at, at), append(fetch.trust, certificate.SelfSignedPath(plan.dir))
	}
	client, err := start(network.Hosts[0].Run, append([]string{self}, fetch.arguments()...)...)
	if err != nil {
		return nil, err
	}
	defer client.end()
	r := &http3Report{Loss: p.loss, RTTMs: p.rtt.Milliseconds(), DownlinkMbps: p.downlink, SegmentKB: float64(plan.kbps) * segmentMs / 8 / 1000}
	var got fetched
	if err := client.says(&got); err != nil {
		return nil, err
	}
	r.HTTP2, r.HTTP2BBR, r.HTTP3 = got.HTTP2, got.HTTP2BBR, got.HTTP3
	r.ConnectRatio = ratios(r.HTTP3, r.HTTP2, func(e errand) float64 { return e.AnswerMs })
	r.RateRatio = ratios(r.HTTP3, r.HTTP2, func(e errand) float64 { return e.MbPerSecond })
	if len(r.HTTP2BBR) > 0 {
		r.RateRatioBBR = ratios(r.HTTP3, r.HTTP2BBR, func(e errand) float64 { return e.MbPerSecond })
	}
	r.Bars = []bar{
		atMost("HTTP/3's time to the first answer, of HTTP/2's", r.ConnectRatio.Median, 1),
		atLeast("HTTP/3's throughput, of HTTP/2's", r.RateRatio.Median, 1),
	}
	return r, nil
}

// controls are the congestion controls of TCP to measure: Linux's default, and BBR where the machine has it.
func controls() []string {
	known, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if slices.Contains(strings.Fields(string(known)), "bbr") {
		return []string{"cubic", "bbr"}
	}
	return []string{"cubic"}
}

// ratios compares rounds that followed each other.
func ratios(above, below []errand, of func(errand) float64) ratio {
	var all []float64
	for i := range above {
		all = append(all, of(above[i])/of(below[i]))
	}
	return middle(all)
}

// middle is the median, and how far values lie apart.
func middle(all []float64) ratio {
	slices.Sort(all)
	return ratio{all[len(all)/2], all[0], all[len(all)-1]}
}

// fetchPlan is the client, which runs on the viewer's host.
type fetchPlan struct {
	at     []staged // with CUBIC, and perhaps with BBR
	trust  []string // files with their certificates
	rounds int
	span   time.Duration
}

type fetched struct {
	HTTP2, HTTP2BBR, HTTP3 []errand
}

func (p fetchPlan) arguments() []string {
	at, _ := json.Marshal(p.at) // strings and numbers
	return []string{"fetch", "-at=" + string(at), "-trust=" + strings.Join(p.trust, ","), fmt.Sprint("-rounds=", p.rounds), "-span=" + p.span.String()}
}

// runFetch prints what it found.
func runFetch(args []string) (any, error) {
	var p fetchPlan
	f := flags("fetch")
	at := f.String("at", "", "where the stages are, as they said")
	files := f.String("trust", "", "files with their certificates")
	f.IntVar(&p.rounds, "rounds", 1, "turns of each protocol")
	f.DurationVar(&p.span, "span", time.Second, "how long segments are fetched in a turn")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(*at), &p.at); err != nil {
		return nil, fmt.Errorf("-at: %w", err)
	}
	trust := x509.NewCertPool()
	for file := range strings.SplitSeq(*files, ",") {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		trust.AppendCertsFromPEM(pem)
	}
	secure := &tls.Config{RootCAs: trust, ServerName: "localhost"}
	var out fetched
	for range p.rounds {
		for i, into := range []*[]errand{&out.HTTP2, &out.HTTP2BBR}[:len(p.at)] {
			e, err := p.overTCP(p.at[i], secure.Clone())
			if err != nil {
				return nil, fmt.Errorf("HTTP/2: %w", err)
			}
			*into = append(*into, e)
		}
		e, err := p.overQUIC(p.at[0], secure.Clone())
		if err != nil {
			return nil, fmt.Errorf("HTTP/3: %w", err)
		}
		out.HTTP3 = append(out.HTTP3, e)
	}
	return out, nil
}

func (p fetchPlan) overTCP(at staged, secure *tls.Config) (errand, error) {
	transport := &http.Transport{TLSClientConfig: secure, DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP2(true)
	defer transport.CloseIdleConnections()
	var connected time.Time
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{TLSHandshakeDone: func(tls.ConnectionState, error) { connected = time.Now() }})
	return p.run(ctx, at, &http.Client{Transport: transport}, "HTTP/2.0", &connected)
}

func (p fetchPlan) overQUIC(at staged, secure *tls.Config) (errand, error) {
	var connected time.Time
	transport := &http3.Transport{TLSClientConfig: secure, DisableCompression: true, Dial: func(ctx context.Context, address string, secure *tls.Config, cfg *quic.Config) (*quic.Conn, error) {
		conn, err := quic.DialAddr(ctx, address, secure, cfg)
		connected = time.Now()
		return conn, err
	}}
	defer transport.Close()
	return p.run(context.Background(), at, &http.Client{Transport: transport}, "HTTP/3.0", &connected)
}

// run is a round. The session tickets of the last one are gone with its transport: every connection is a first one.
func (p fetchPlan) run(ctx context.Context, at staged, client *http.Client, protocol string, connected *time.Time) (e errand, err error) {
	fetch := func(path string) (int64, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+at.HTTPS+path, nil)
		if err != nil {
			return 0, err
		}
		answer, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.Proto != protocol {
			return 0, fmt.Errorf("%w: %s over %s", errStatus, answer.Status, answer.Proto)
		}
		return io.Copy(io.Discard, answer.Body)
	}
	began := time.Now()
	if _, err := fetch(at.playlist(at.Renditions[0])); err != nil {
		return e, err
	}
	e.AnswerMs = float64(time.Since(began).Microseconds()) / 1000
	e.ConnectMs = float64(connected.Sub(began).Microseconds()) / 1000
	var sum int64
	var took []time.Duration
	began = time.Now()
	for n := at.First; time.Since(began) < p.span; n++ {
		asked := time.Now()
		size, err := fetch(at.segment(at.Renditions[0], at.First+(n-at.First)%backlog))
		if err != nil {
			return e, err
		}
		sum += size
		took = append(took, time.Since(asked))
	}
	e.MbPerSecond = float64(sum) * 8 / 1e6 / time.Since(began).Seconds()
	slices.Sort(took)
	e.Segments, e.SegmentMsP50, e.SegmentMsMax = len(took), quantileMs(took, 0.5), quantileMs(took, 1)
	return e, nil
}
