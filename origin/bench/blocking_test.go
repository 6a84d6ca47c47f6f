package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"slipstream/origin/benchtest"
)

// blockingReport is how players of LL-HLS that wait for the same part get it: all the playlist that has it, over and over.
type blockingReport struct {
	Clients int     `json:"clients"`
	Parts   int     `json:"parts"` // that they waited for
	Bars    []bar   `json:"bars"`
	Early   int     `json:"early"` // answers without the part that was asked for
	Kbytes  float64 `json:"kbytes"`

	// From the first client's last byte to the last one's, of each part.
	SpreadMsP50 float64 `json:"spreadMsP50"`
	SpreadMsP99 float64 `json:"spreadMsP99"`
	SpreadMsMax float64 `json:"spreadMsMax"`
	// From the moment that the part is over to a client's last byte.
	DelayMsP50  float64 `json:"delayMsP50"`
	DelayMsP99  float64 `json:"delayMsP99"`
	OriginCPU   float64 `json:"originCPU"` // in cores
	MachineIdle float64 `json:"machineIdle"`
}

type blockingPlan struct {
	clients, parts int
	profile        string
}

func benchBlocking(args []string) (any, error) {
	var p blockingPlan
	f := flags("blocking")
	f.IntVar(&p.clients, "clients", 200, "clients at a time")
	f.IntVar(&p.parts, "parts", 40, "parts that each waits for")
	f.StringVar(&p.profile, "cpuprofile", "", "file for a CPU profile of the origin")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return p.run()
}

const partMs = segmentMs / partsToSegment

func (p blockingPlan) run() (*blockingReport, error) {
	dir, err := os.MkdirTemp("", "slipstream-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	origin, at, err := stagePlan{renditions: 1, kbps: 1000, parts: true, http: "127.0.0.1:0", dir: filepath.Join(dir, "data"), profile: p.profile}.open()
	if err != nil {
		return nil, err
	}
	defer origin.end()
	text, _, err := get(at.HTTP, at.playlist(at.Renditions[0]), "identity")
	if err != nil {
		return nil, err
	}
	next, err := hinted(text)
	if err != nil {
		return nil, err
	}
	next += 2 // everybody is there by then
	arrived := make([][]time.Time, p.parts)
	for i := range arrived {
		arrived[i] = make([]time.Time, p.clients)
	}
	r := &blockingReport{Clients: p.clients, Parts: p.parts}
	early, sizes, errs := make([]int, p.clients), make([]int, p.clients), make([]error, p.clients)
	origins, cores, began := cpuSeconds(origin.cmd.Process.Pid), benchtest.MachineTimes(), time.Now()
	var all sync.WaitGroup
	for i := range p.clients {
		all.Go(func() {
			errs[i] = wait(at, next, p.parts, func(n int, body []byte, has bool) {
				arrived[n][i] = time.Now()
				sizes[i] = len(body)
				if !has {
					early[i]++
				}
			})
		})
	}
	all.Wait()
	r.OriginCPU, r.MachineIdle = (cpuSeconds(origin.cmd.Process.Pid)-origins)/time.Since(began).Seconds(), cores.IdleShare()
	var spreads, delays []time.Duration
	for n, times := range arrived {
		due := time.UnixMilli((next + int64(n) + 1) * partMs)
		for _, t := range times {
			delays = append(delays, t.Sub(due))
		}
		spreads = append(spreads, slices.MaxFunc(times, time.Time.Compare).Sub(slices.MinFunc(times, time.Time.Compare)))
	}
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("a client gave up: %w", err)
		}
		r.Early += early[i]
		r.Kbytes = float64(sizes[i]) / 1000
	}
	slices.Sort(spreads)
	slices.Sort(delays)
	r.SpreadMsP50, r.SpreadMsP99, r.SpreadMsMax = quantileMs(spreads, 0.5), quantileMs(spreads, 0.99), quantileMs(spreads, 1)
	r.DelayMsP50, r.DelayMsP99 = quantileMs(delays, 0.5), quantileMs(delays, 0.99)
	r.Bars = []bar{atMost("ms from the first client that has a part to the last, worst part", r.SpreadMsMax, 50), atMost("answers before their part", float64(r.Early), 0)}
	return r, nil
}

// wait asks for one part after the other, each time before it is there. Parts are counted from the epoch.
func wait(at staged, next int64, parts int, got func(n int, body []byte, has bool)) error {
	c, err := dial(at.HTTP)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	var body bytes.Buffer
	for n := range parts {
		number, index := (next+int64(n))/partsToSegment, (next+int64(n))%partsToSegment
		body.Reset()
		path := fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=%d", at.playlist(at.Renditions[0]), number, index)
		if _, err := c.ask(request(path, "Accept-Encoding: identity"), &body); err != nil {
			return err
		}
		got(n, body.Bytes(), bytes.Contains(body.Bytes(), fmt.Appendf(nil, "#EXT-X-PART:DURATION=0.5,URI=\"%d.%d.m4s\"", number, index)))
	}
	return nil
}

var hint = regexp.MustCompile(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="(\d+)\.(\d+)\.m4s"`)

// hinted is the part that a playlist says comes next.
func hinted(playlist []byte) (part int64, err error) {
	found := hint.FindSubmatch(playlist)
	if found == nil {
		return 0, fmt.Errorf("the playlist has no hint: %s", playlist)
	}
	number, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		return 0, err
	}
	index, err := strconv.ParseInt(string(found[2]), 10, 64)
	return number*partsToSegment + index, err
}
