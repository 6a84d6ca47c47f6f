package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// servedReport is how the origin and nginx served the same files.
type servedReport struct {
	Connections int      `json:"connections"`
	Rounds      int      `json:"rounds"` // of each server, in turns
	Seconds     float64  `json:"seconds"`
	Bars        []bar    `json:"bars"`
	Cases       []outing `json:"cases"`
}

// outing is one kind of request to both.
type outing struct {
	Name        string  `json:"name"`
	AnswerBytes float64 `json:"answerBytes"`
	Ratio       ratio   `json:"ratio"`    // of requests a second, ours to nginx's, round by round
	CPURatio    float64 `json:"cpuRatio"` // of the servers' CPU for a request, ours to nginx's
	Ours        service `json:"ours"`
	Nginx       service `json:"nginx"`
}

// ratio is the median of rounds that follow each other, and how far they lie apart.
type ratio struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// service is what one server did, all its rounds together.
type service struct {
	RequestsPerSecond float64 `json:"requestsPerSecond"`
	MBPerSecond       float64 `json:"mbPerSecond"`
	CPUSecondsPerGB   float64 `json:"cpuSecondsPerGB"` // of the server
	CPUUsPerRequest   float64 `json:"cpuUsPerRequest"` // of the server
	ServerCPU         float64 `json:"serverCPU"`       // in cores
	ClientCPU         float64 `json:"clientCPU"`       // likewise
	MsP50             float64 `json:"msP50"`
	MsP99             float64 `json:"msP99"`
}

type servePlan struct {
	connections, rounds int
	span                time.Duration
	profile             string
	only                string
}

func benchServe(args []string) (any, error) {
	var p servePlan
	f := flags("serve")
	f.IntVar(&p.connections, "connections", 16, "clients at a time")
	f.IntVar(&p.rounds, "rounds", 3, "turns of each server")
	f.DurationVar(&p.span, "span", 2*time.Second, "how long a turn lasts")
	f.StringVar(&p.profile, "cpuprofile", "", "file for a CPU profile of the origin")
	f.StringVar(&p.only, "only", "", "name of the only case to measure")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return p.run()
}

// sample is a kind of request, the bytes it takes, and the least ratio it is held to.
type sample struct {
	name   string
	at     string // which origin
	asks   [][]byte
	demand float64
}

func (p servePlan) run() (*servedReport, error) {
	dir, err := os.MkdirTemp("", "slipstream-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ours, err := stagePlan{renditions: 2, kbps: 1000, rise: 5000, parts: true, still: true, http: "127.0.0.1:0", dir: filepath.Join(dir, "ll"), profile: p.profile}.openIn()
	if err != nil {
		return nil, err
	}
	defer ours.end()
	plain, err := stagePlan{renditions: 1, kbps: 1000, still: true, http: "127.0.0.1:0", dir: filepath.Join(dir, "plain")}.openIn()
	if err != nil {
		return nil, err
	}
	defer plain.end()
	// Two channels of the same name would be one to nginx: each has a directory, and a server, of its own.
	for _, o := range []*opened{ours, plain} {
		if err := o.besideNginx(); err != nil {
			return nil, err
		}
		defer o.nginx.end()
	}
	r := &servedReport{Connections: p.connections, Rounds: p.rounds, Seconds: p.span.Seconds()}
	for _, s := range p.samples(ours, plain) {
		if p.only != "" && p.only != s.name {
			continue
		}
		o := ours
		if s.at == "plain" {
			o = plain
		}
		if err := same(o, s.asks); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		out, err := p.measure(o, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		r.Cases = append(r.Cases, out)
		r.Bars = append(r.Bars, atLeast(s.name+": requests a second, of nginx's", out.Ratio.Median, s.demand))
	}
	return r, nil
}

// opened is a stage, and nginx with the same files.
type opened struct {
	*process
	staged
	nginx   *process
	address string // of nginx
	dir     string
}

func (p stagePlan) openIn() (*opened, error) {
	child, at, err := p.open()
	return &opened{process: child, staged: at, dir: p.dir}, err
}

func (o *opened) besideNginx() (err error) {
	root := filepath.Join(o.dir, "root")
	for _, rendition := range o.Renditions {
		if err := mirror(o.HTTP, o.playlist(rendition), root); err != nil {
			return err
		}
		for n := o.First; n <= o.Last; n++ {
			if err := mirror(o.HTTP, o.segment(rendition, n), root); err != nil {
				return err
			}
		}
	}
	o.nginx, o.address, err = startNginx(o.dir)
	return err
}

func (p servePlan) samples(ours, plain *opened) []sample {
	segments := func(rendition int, headers ...string) (asks [][]byte) {
		for n := ours.First; n <= ours.Last; n++ {
			asks = append(asks, request(ours.segment(ours.Renditions[rendition], n), headers...))
		}
		return asks
	}
	list := func(o *opened, query string, headers ...string) [][]byte {
		return [][]byte{request(o.playlist(o.Renditions[0])+query, headers...)}
	}
	blocking := fmt.Sprintf("?_HLS_msn=%d&_HLS_part=%d", ours.Last, partsToSegment-1) // is there already
	const zipped = "Accept-Encoding: gzip, deflate, br"
	return []sample{
		{"segments of 1 Mb/s", "parts", segments(0), 0.8},
		{"segments of 6 Mb/s", "parts", segments(1), 0.8},
		{"64 KiB out of segments", "parts", segments(1, "Range: bytes=65536-131071"), 0.8},
		{"playlist", "plain", list(plain, ""), 1},
		{"playlist, gzip", "plain", list(plain, "", zipped), 1},
		{"playlist with parts", "parts", list(ours, ""), 1},
		{"playlist with parts, gzip, blocking", "parts", list(ours, blocking, zipped), 1},
	}
}

// same holds that both servers give the same answers.
func same(o *opened, asks [][]byte) error {
	var answers [2][]byte
	for i, address := range []string{o.HTTP, o.address} {
		c, err := dial(address)
		if err != nil {
			return err
		}
		defer c.conn.Close()
		var all bytes.Buffer
		for _, ask := range asks {
			if _, err := c.ask(ask, &all); err != nil {
				return err
			}
		}
		answers[i] = all.Bytes()
	}
	if !bytes.Equal(answers[0], answers[1]) {
		return fmt.Errorf("the origin's answers (%d bytes) are not nginx's (%d bytes)", len(answers[0]), len(answers[1]))
	}
	return nil
}

func (p servePlan) measure(o *opened, s sample) (outing, error) {
	out := outing{Name: s.name}
	var rounds []float64
	var sums [2]load
	var server, own [2]float64
	for range p.rounds {
		var rates [2]float64
		for i, side := range []struct {
			address string
			pid     int
		}{{o.HTTP, o.cmd.Process.Pid}, {o.address, o.nginx.cmd.Process.Pid}} {
			serverBefore, ownBefore := cpuSeconds(side.pid), selfSeconds()
			got, err := ply(side.address, p.connections, s.asks, p.span)
			if err != nil {
				return out, err
			}
			server[i] += cpuSeconds(side.pid) - serverBefore
			own[i] += selfSeconds() - ownBefore
			rates[i] = float64(got.requests) / got.seconds
			sums[i].requests += got.requests
			sums[i].bytes += got.bytes
			sums[i].seconds += got.seconds
			sums[i].took = append(sums[i].took, got.took...)
		}
		rounds = append(rounds, rates[0]/rates[1])
	}
	out.Ratio = middle(rounds)
	out.Ours, out.Nginx = summed(sums[0], server[0], own[0]), summed(sums[1], server[1], own[1])
	out.AnswerBytes = float64(sums[0].bytes) / float64(sums[0].requests)
	out.CPURatio = out.Ours.CPUUsPerRequest / out.Nginx.CPUUsPerRequest
	return out, nil
}

func summed(l load, server, own float64) service {
	slices.Sort(l.took)
	return service{
		RequestsPerSecond: float64(l.requests) / l.seconds, MBPerSecond: float64(l.bytes) / l.seconds / 1e6,
		CPUSecondsPerGB: server / (float64(l.bytes) / 1e9), CPUUsPerRequest: server / float64(l.requests) * 1e6,
		ServerCPU: server / l.seconds, ClientCPU: own / l.seconds, MsP50: quantileMs(l.took, 0.5), MsP99: quantileMs(l.took, 0.99),
	}
}
