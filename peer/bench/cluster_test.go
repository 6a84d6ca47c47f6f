package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"golang.org/x/net/nettest"

	"slipstream/origin/benchtest"
	"slipstream/peer/rtc"
)

// clusterReport is what viewers notice of what happens to the trackers of a cluster.
type clusterReport struct {
	Nodes    int    `json:"nodes"`
	NATS     string `json:"nats"` // inside the trackers, or a process of its own
	Playing  int    `json:"playing"`
	Crowd    int    `json:"crowd"` // clients that join and meet, but do not play
	Kbps     int    `json:"kbps"`
	Bars     []bar  `json:"bars"`
	Accident []blow `json:"accidents"`
}

// blow is one accident and what came of it.
type blow struct {
	What           string  `json:"what"`
	Before         account `json:"before"`        // of those who play, in the time before
	After          account `json:"after"`         // likewise after
	WorstOffload   float64 `json:"worstOffload"`  // of any ten seconds after
	Orphans        int     `json:"orphans"`       // of the crowd, who lost their tracker
	ReformedIn     float64 `json:"reformedIn"`    // seconds until nine of ten had six neighbours again
	SlowestJoin    float64 `json:"slowestJoin"`   // seconds until a newcomer was welcome, tries included
	Joins          int     `json:"joins"`         // of newcomers
	PeakPerSecond  float64 `json:"peakPerSecond"` // rejoins, of any half second
	MachineIdle    float64 `json:"machineIdle"`
	RejoinedWithin float64 `json:"rejoinedWithin"` // seconds until the last orphan was welcome
}

type clusterPlan struct {
	slipstream    string
	nats          string
	playing       int
	crowd         int
	kbps          int
	warmup        time.Duration
	before, after time.Duration
}

func benchCluster(args []string) (any, error) {
	var plan clusterPlan
	f := flags("cluster")
	f.StringVar(&plan.slipstream, "slipstream", "bin/slipstream", "the binary whose trackers are measured")
	f.StringVar(&plan.nats, "nats", "inside", "inside: in the trackers; outside: a process of its own")
	f.IntVar(&plan.playing, "playing", 20, "viewers that play")
	f.IntVar(&plan.crowd, "crowd", 3000, "clients of another channel that only join and meet")
	f.IntVar(&plan.kbps, "kbps", 500, "bitrate")
	f.DurationVar(&plan.warmup, "warmup", 25*time.Second, "from the last joining until the measurement begins")
	f.DurationVar(&plan.before, "before", 20*time.Second, "measurement before the first accident")
	f.DurationVar(&plan.after, "after", 60*time.Second, "measurement after each accident")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	return plan.run()
}

// serveNATS is a NATS server in a process of its own: its address is the argument.
func serveNATS(args []string) (any, error) {
	host, port, err := net.SplitHostPort(args[0])
	if err != nil {
		return nil, err
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, err
	}
	s, err := natsserver.NewServer(&natsserver.Options{Host: host, Port: n, NoLog: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	s.WaitForShutdown()
	return nil, nil
}

// accidents happen one after the other.
var accidents = []struct {
	what   string
	happen func(*alliance) error
}{
	{"one is killed", func(a *alliance) error { return a.lose(0, (*trackerProcess).kill) }},
	{"one is stopped for ten seconds and goes on", (*alliance).freeze},
	{"one is drained", func(a *alliance) error { return a.lose(1, (*trackerProcess).drain) }},
	{"all are restarted, one after the other", (*alliance).roll},
}

func (p clusterPlan) run() (*clusterReport, error) {
	a, err := p.open()
	if err != nil {
		return nil, err
	}
	defer a.close()
	engine, err := rtc.New(rtc.Config{})
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4 * p.playing}}
	defer client.CloseIdleConnections()
	var viewers []*spectator
	defer func() {
		for _, v := range viewers {
			_ = v.leave()
		}
	}()
	for i := range p.playing {
		viewers = append(viewers, a.stage.join(engine, client, uint32(i), nil))
		time.Sleep(100 * time.Millisecond)
	}
	crowd := newCrowd(a.balancer.address, a.stage.secret)
	defer crowd.close()
	for range p.crowd {
		crowd.add()
		time.Sleep(2 * time.Millisecond)
	}
	time.Sleep(p.warmup)
	r := &clusterReport{Nodes: len(a.nodes), NATS: p.nats, Playing: p.playing, Crowd: p.crowd, Kbps: p.kbps}
	began := accounts(viewers)
	time.Sleep(p.before)
	before := accounts(viewers).since(began)
	for _, accident := range accidents {
		b, err := p.suffer(a, crowd, viewers, accident.what, accident.happen)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", accident.what, err)
		}
		b.Before = before
		fmt.Fprintf(os.Stderr, "%s: offload %.3f, then %.3f, at worst %.3f  stalls %d  orphans %d, reformed in %.1f s  slowest of %d joins %.2f s  at most %.0f rejoins/s  idle %.2f\n",
			b.What, b.Before.Offload, b.After.Offload, b.WorstOffload, b.After.Stalls, b.Orphans, b.ReformedIn, b.Joins, b.SlowestJoin, b.PeakPerSecond, b.MachineIdle)
		r.Accident = append(r.Accident, b)
		before = b.After
		r.Bars = append(r.Bars,
			atMost(b.What+": points of offload lost over the time after", 100*(b.Before.Offload-b.After.Offload), 5),
			atMost(b.What+": stalls", float64(b.After.Stalls), 0),
			atMost(b.What+": seconds to a newcomer's welcome", b.SlowestJoin, 2),
			atMost(b.What+": seconds until nine of ten orphans had six neighbours again", b.ReformedIn, 15),
		)
	}
	return r, nil
}

// suffer lets something happen and watches what comes of it.
func (p clusterPlan) suffer(a *alliance, crowd *crowd, viewers []*spectator, what string, happen func(*alliance) error) (b blow, err error) {
	b.What = what
	at, machine := accounts(viewers), benchtest.MachineTimes()
	crowd.watch()
	newcomers := crowd.probe()
	end := time.Now().Add(p.after)
	happened := make(chan error, 1)
	go func() { happened <- happen(a) }()
	b.WorstOffload = 1
	const stretch = 10
	var past []account
	for time.Now().Before(end) {
		time.Sleep(time.Second)
		past = append(past, accounts(viewers))
		if n := len(past); n > stretch {
			b.WorstOffload = min(b.WorstOffload, past[n-1].since(past[n-1-stretch]).Offload)
		}
	}
	b.After, b.MachineIdle = accounts(viewers).since(at), machine.IdleShare()
	if err := <-happened; err != nil {
		return b, err
	}
	b.Joins, b.SlowestJoin = newcomers()
	b.Orphans, b.ReformedIn, b.RejoinedWithin, b.PeakPerSecond = crowd.seen()
	return b, nil
}

// alliance is three trackers as processes, and what leads viewers to one that lives.
type alliance struct {
	plan     clusterPlan
	stage    *stage
	balancer *balancer
	natsURL  string
	nats     *process
	routes   []string
	nodes    []*trackerProcess
}

// trackerProcess is one of them.
type trackerProcess struct {
	*process
	address string
}

func (p clusterPlan) open() (a *alliance, err error) {
	a = &alliance{plan: p}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.balancer, err = newBalancer(); err != nil {
		return nil, err
	}
	if a.stage, err = openStageWith(p.kbps, 1, "ws://"+a.balancer.address+"/tracker"); err != nil {
		return nil, err
	}
	if p.nats == "outside" {
		address, err := benchtest.FreeAddress()
		if err != nil {
			return nil, err
		}
		if a.nats, err = start(os.Args[0], "nats", address); err != nil {
			return nil, err
		}
		a.natsURL = "nats://" + address
		if err := await(address); err != nil {
			return nil, err
		}
	}
	for range 3 {
		address, err := benchtest.FreeAddress()
		if err != nil {
			return nil, err
		}
		a.routes = append(a.routes, address)
	}
	for i := range 3 {
		n, err := a.startNode(i)
		if err != nil {
			return nil, err
		}
		a.nodes = append(a.nodes, n)
		a.balancer.use(a.nodes)
	}
	return a, nil
}

func (a *alliance) startNode(i int) (*trackerProcess, error) {
	address, err := benchtest.FreeAddress()
	if err != nil {
		return nil, err
	}
	args := []string{
		"tracker", "--listen", address, "--token-key", filepath.Join(a.stage.dir, "keys", "token.key"),
		"--cluster", "bench", "--node", fmt.Sprint("node-", i),
	}
	if a.natsURL != "" {
		args = append(args, "--nats", a.natsURL)
	} else {
		args = append(args, "--cluster-listen", a.routes[i])
		for j, other := range a.routes {
			if j != i {
				args = append(args, "--cluster-route", other)
			}
		}
	}
	p, err := start(a.plan.slipstream, args...)
	if err != nil {
		return nil, err
	}
	if err := await(address); err != nil {
		p.kill()
		return nil, fmt.Errorf("tracker %d: %w; it said: %s", i, err, p.err.String())
	}
	return &trackerProcess{process: p, address: address}, nil
}

// lose ends a tracker in some way and starts it again half a minute later.
func (a *alliance) lose(i int, end func(*trackerProcess)) error {
	end(a.nodes[i])
	time.Sleep(a.plan.after / 2)
	return a.restart(i)
}

func (a *alliance) restart(i int) (err error) {
	if a.nodes[i], err = a.startNode(i); err != nil {
		return err
	}
	a.balancer.use(a.nodes)
	return nil
}

func (t *trackerProcess) kill() { t.process.kill() }

// drain ends a tracker as an operator would, and waits for it.
func (t *trackerProcess) drain() {
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	_ = t.wait(patience)
}

// freeze is a partition as seen by the others: nothing comes from one tracker any more, and nothing is lost either.
func (a *alliance) freeze() error {
	p := a.nodes[2].cmd.Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(min(10*time.Second, a.plan.after/3))
	return p.Signal(syscall.SIGCONT)
}

func (a *alliance) roll() error {
	for i := range a.nodes {
		a.nodes[i].drain()
		if err := a.restart(i); err != nil {
			return err
		}
		time.Sleep(a.plan.after / 12)
	}
	return nil
}

func (a *alliance) close() {
	for _, n := range a.nodes {
		n.kill()
	}
	if a.nats != nil {
		a.nats.kill()
	}
	if a.stage != nil {
		a.stage.close()
	}
	if a.balancer != nil {
		a.balancer.close()
	}
}

// await returns when something listens.
func await(address string) error {
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing listens on %s: %w", address, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// balancer leads connections to the trackers by turns, as an operator's would: those that do not answer /readyz within
// half a second get none.
type balancer struct {
	address string
	ln      net.Listener
	ctx     context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu    sync.Mutex
	all   []string
	alive []string
	next  int
}

func newBalancer() (*balancer, error) {
	ln, err := nettest.NewLocalListener("tcp")
	if err != nil {
		return nil, err
	}
	b := &balancer{address: ln.Addr().String(), ln: ln}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.done.Go(b.accept)
	b.done.Go(b.check)
	return b, nil
}

func (b *balancer) use(nodes []*trackerProcess) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = nil
	for _, n := range nodes {
		b.all = append(b.all, n.address)
	}
	b.alive = b.all
}

func (b *balancer) check() {
	client := &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-ticker.C:
		}
		b.mu.Lock()
		all := b.all
		b.mu.Unlock()
		ready := make([]bool, len(all))
		var checks sync.WaitGroup
		for i, address := range all {
			checks.Go(func() {
				resp, err := client.Get("http://" + address + "/readyz")
				if err == nil {
					ready[i] = resp.StatusCode == http.StatusOK
					resp.Body.Close()
				}
			})
		}
		checks.Wait()
		var alive []string
		for i, address := range all {
			if ready[i] {
				alive = append(alive, address)
			}
		}
		b.mu.Lock()
		b.alive = alive
		b.mu.Unlock()
	}
}

func (b *balancer) accept() {
	for {
		conn, err := b.ln.Accept()
		if err != nil {
			return
		}
		b.done.Go(func() { b.carry(conn) })
	}
}

func (b *balancer) carry(conn net.Conn) {
	defer conn.Close()
	b.mu.Lock()
	alive := b.alive
	b.next++
	turn := b.next
	b.mu.Unlock()
	for i := range alive {
		to, err := net.DialTimeout("tcp", alive[(turn+i)%len(alive)], time.Second)
		if err != nil {
			continue
		}
		defer to.Close()
		defer context.AfterFunc(b.ctx, func() { conn.Close(); to.Close() })()
		var up sync.WaitGroup
		up.Go(func() {
			pass(to, conn)
			to.Close()
		})
		pass(conn, to)
		conn.Close()
		up.Wait()
		return
	}
}

// pass copies through memory: between sockets the kernel would do it, with two descriptors more for each direction.
func pass(to io.Writer, from io.Reader) {
	_, _ = io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
}

func (b *balancer) close() {
	b.stop()
	b.ln.Close()
	b.done.Wait()
}
