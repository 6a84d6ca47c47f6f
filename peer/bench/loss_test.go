package bench

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v4/vnet"

	"slipstream/origin/benchtest"
	"slipstream/peer/rtc"
)

// lossReport compares viewers on a lossy network with viewers on the same network without loss.
type lossReport struct {
	Viewers int     `json:"viewers"`
	Kbps    int     `json:"kbps"`
	RTTms   float64 `json:"rttMs"` // between viewers, and to the CDN
	Loss    float64 `json:"loss"`  // share of packets between viewers, each way
	Seconds float64 `json:"seconds"`

	Bars  []bar   `json:"bars"`
	Clean account `json:"clean"`
	Lossy account `json:"lossy"`
	// MachineIdle is the share of the cores that was left over, without and with loss.
	MachineIdle [2]float64 `json:"machineIdle"`
}

type lossPlan struct {
	viewers, kbps   int
	rtt             time.Duration
	loss            float64
	warmup, measure time.Duration
	seed            uint64
}

func benchLoss(args []string) (any, error) {
	var plan lossPlan
	f := flags("loss")
	f.IntVar(&plan.viewers, "viewers", 10, "viewers, each on a host of its own")
	f.IntVar(&plan.kbps, "kbps", 1000, "bitrate")
	f.DurationVar(&plan.rtt, "rtt", 100*time.Millisecond, "round trip between viewers, and to the CDN")
	f.Float64Var(&plan.loss, "loss", 0.05, "share of packets lost between viewers, each way")
	f.DurationVar(&plan.warmup, "warmup", 15*time.Second, "from the last joining until the measurement begins")
	f.DurationVar(&plan.measure, "measure", 60*time.Second, "length of each of the two measurements")
	f.Uint64Var(&plan.seed, "seed", 1, "of everything that is drawn")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	r := &lossReport{
		Viewers: plan.viewers, Kbps: plan.kbps, RTTms: float64(plan.rtt.Microseconds()) / 1000, Loss: plan.loss, Seconds: plan.measure.Seconds(),
	}
	var err error
	if r.Clean, r.MachineIdle[0], err = plan.measured(0); err != nil {
		return nil, err
	}
	if r.Lossy, r.MachineIdle[1], err = plan.measured(plan.loss); err != nil {
		return nil, err
	}
	r.Bars = []bar{
		atMost("stalls", float64(r.Lossy.Stalls), 0),
		atLeast("offload", r.Lossy.Offload, 0.7*r.Clean.Offload),
		atMost("bad bytes played", float64(r.Lossy.BadBytes), 0),
		atLeast("viewers that played", float64(r.Lossy.Playing), float64(plan.viewers)),
	}
	return r, nil
}

func (p lossPlan) measured(loss float64) (a account, idle float64, err error) {
	ward, err := p.open(loss)
	if err != nil {
		return a, 0, err
	}
	defer func() {
		if closed := ward.close(); closed != nil && err == nil {
			err = closed
		}
	}()
	time.Sleep(p.warmup)
	before, machine := accounts(ward.viewers), benchtest.MachineTimes()
	time.Sleep(p.measure)
	a, idle = accounts(ward.viewers).since(before), machine.IdleShare()
	fmt.Fprintf(os.Stderr, "loss %.3f  offload %.3f  stalls %d  latency %d ms  idle %.2f\n", loss, a.Offload, a.Stalls, a.LatencyMs, idle)
	return a, idle, nil
}

// ward is viewers on a virtual network that is slow and loses packets.
type ward struct {
	stage   *stage
	router  *vnet.Router
	engines []*rtc.Engine
	viewers []*spectator
	client  *http.Client
}

func (p lossPlan) open(loss float64) (w *ward, err error) {
	w = &ward{client: &http.Client{Transport: distant{&http.Transport{MaxIdleConnsPerHost: 4 * p.viewers}, p.rtt}}}
	defer func() {
		if err != nil {
			_ = w.close()
		}
	}()
	if w.stage, err = openStage(p.kbps, p.seed); err != nil {
		return nil, err
	}
	w.router, err = vnet.NewRouter(&vnet.RouterConfig{
		CIDR: "10.0.0.0/16", MinDelay: p.rtt / 2, QueueSize: 1 << 16, LoggerFactory: logging.NewDefaultLoggerFactory(),
	})
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(p.seed, 1))
	w.router.AddChunkFilter(func(vnet.Chunk) bool {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64() >= loss
	})
	for i := range p.viewers {
		host, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{fmt.Sprintf("10.0.%d.1", i+1)}})
		if err != nil {
			return nil, err
		}
		if err := w.router.AddNet(host); err != nil {
			return nil, err
		}
		engine, err := rtc.New(rtc.Config{Net: host})
		if err != nil {
			return nil, err
		}
		w.engines = append(w.engines, engine)
	}
	if err := w.router.Start(); err != nil {
		return nil, err
	}
	for i, engine := range w.engines {
		w.viewers = append(w.viewers, w.stage.join(engine, w.client, uint32(p.seed)+uint32(i), nil))
		time.Sleep(100 * time.Millisecond)
	}
	return w, nil
}

func (w *ward) close() (err error) {
	for _, v := range w.viewers {
		if left := v.leave(); left != nil && err == nil {
			err = left
		}
	}
	for _, e := range w.engines {
		e.Close()
	}
	if w.router != nil {
		_ = w.router.Stop()
	}
	if w.stage != nil {
		w.stage.close()
	}
	return err
}

// distant is a CDN that is a round trip away.
type distant struct {
	http.RoundTripper
	rtt time.Duration
}

func (d distant) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(d.rtt):
		return d.RoundTripper.RoundTrip(r)
	}
}

// CloseIdleConnections is passed on.
func (d distant) CloseIdleConnections() { d.RoundTripper.(*http.Transport).CloseIdleConnections() }

// The short form: with loss and delay, what is played is what was published, and most of it came from neighbours.
func TestLossAndDelayKeepNeighboursUseful(t *testing.T) {
	t.Parallel()
	plan := lossPlan{viewers: 4, kbps: 800, rtt: 100 * time.Millisecond, seed: 3}
	w, err := plan.open(0.05)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}()
	// What is played first comes from the CDN: nobody is connected yet.
	const first, all = 5, 11
	if err := played(w.viewers, first); err != nil {
		t.Fatal(err)
	}
	before := accounts(w.viewers)
	if err := played(w.viewers, all); err != nil {
		t.Fatal(err)
	}
	sum := accounts(w.viewers)
	if sum.BadBytes > 0 {
		t.Errorf("%d bytes were played that nobody published", sum.BadBytes)
	}
	if since := sum.since(before); since.P2PBytes < since.HTTPBytes {
		t.Errorf("%d bytes came from neighbours, %d from the CDN", since.P2PBytes, since.HTTPBytes)
	}
}
