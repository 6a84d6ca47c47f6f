package bench

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"slipstream/origin/benchtest"
	"slipstream/peer/rtc"
)

// clusterReport is what viewers notice of what happens to the trackers of a cluster.
type clusterReport struct {
	Nodes        int     `json:"nodes"`
	NATS         string  `json:"nats"`         // inside the trackers, or a process of its own
	Playing      int     `json:"playing"`      // viewers
	Crowd        int     `json:"crowd"`        // clients that join and meet, but do not play
	Kbps         int     `json:"kbps"`         //
	Seconds      float64 `json:"seconds"`      // of each accident and what follows
	Calm         account `json:"calm"`         // of those who play, before the first accident
	WorstOffload float64 `json:"worstOffload"` // of any stretch of that many seconds from the first accident on
	Bars         []bar   `json:"bars"`
	Accidents    []blow  `json:"accidents"`
}

// blow is one accident and what came of it.
type blow struct {
	What         string  `json:"what"`
	After        account `json:"after"`        // of those who play, from the accident on
	WorstOffload float64 `json:"worstOffload"` // of any ten seconds after
	Joins        int     `json:"joins"`        // of newcomers
	SlowestJoin  float64 `json:"slowestJoin"`  // seconds until a newcomer was welcome, tries included
	FewestMet    float64 `json:"fewestMet"`    // share of the crowd with six neighbours, at the worst of times
	MetInTheEnd  float64 `json:"metInTheEnd"`  // and in the end
	Orphans      int     `json:"orphans"`      // of the crowd, who lost their tracker
	ReformedIn   float64 `json:"reformedIn"`   // seconds from then until nine of ten had six neighbours again
	Peak         float64 `json:"peak"`         // rejoins a second, of any half second
	Heaviest     int     `json:"heaviest"`     // the most clients that one tracker had
	Split        *split  `json:"split,omitempty"`
	MachineIdle  float64 `json:"machineIdle"`
	Failure      string  `json:"failure,omitempty"` // why it could not be done to its end
}

type clusterPlan struct {
	slipstream    string
	nats          string
	playing       int
	crowd         int
	kbps          int
	warmup        time.Duration
	before, after time.Duration
	only          string
	within        bool
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
	f.DurationVar(&plan.before, "before", 30*time.Second, "measurement before the first accident")
	f.DurationVar(&plan.after, "after", 60*time.Second, "measurement from each accident on")
	f.StringVar(&plan.only, "only", "", "only the accidents whose names have this in them")
	f.BoolVar(&plan.within, "within", false, "this process has a network namespace of its own (it gives itself one)")
	short := f.Bool("short", false, "a trial: a fifth of the crowd, 24 seconds for each accident (three minutes)")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if *short {
		given := map[string]bool{}
		f.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range map[string]string{"playing": "10", "crowd": "600", "warmup": "12s", "before": "10s", "after": "24s"} {
			if !given[name] {
				_ = f.Set(name, value)
			}
		}
	}
	if !plan.within {
		return nil, withinNamespace(append([]string{"cluster", "-within"}, args...))
	}
	return plan.run()
}

// withinNamespace runs a command of this binary again, with a network that has nothing but loopback.
func withinNamespace(args []string) error {
	c := exec.Command(os.Args[0], args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := c.Run(); err != nil {
		return fmt.Errorf("the measurement in a network namespace of its own failed: %w", err)
	}
	return nil
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
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4 * p.playing, DialContext: a.front.dial}}
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
	crowd := newCrowd(a.front, a.stage.secret)
	defer crowd.close()
	for range p.crowd {
		crowd.add()
		time.Sleep(2 * time.Millisecond)
	}
	a.crowd = crowd
	if err := a.set(forbidden); err != nil {
		return nil, err
	}
	time.Sleep(p.warmup)
	began := accounts(viewers)
	time.Sleep(p.before)
	r := &clusterReport{
		Nodes: len(a.nodes), NATS: p.nats, Playing: p.playing, Crowd: p.crowd, Kbps: p.kbps, Seconds: p.after.Seconds(),
		Calm: accounts(viewers).since(began),
	}
	var past []account // second by second
	for _, accident := range accidents {
		if !strings.Contains(accident.what, p.only) {
			continue
		}
		b, seconds := p.suffer(a, viewers, accident)
		past = append(past, seconds...)
		fmt.Fprintf(os.Stderr, "%s: offload %.3f, then %.3f, at worst %.3f  stalls %d  with six neighbours at worst %.3f, in the end %.3f  orphans %d, reformed in %.1f s, at most %.0f rejoins/s  slowest of %d joins %.2f s  idle %.2f  %s\n",
			b.What, r.Calm.Offload, b.After.Offload, b.WorstOffload, b.After.Stalls, b.FewestMet, b.MetInTheEnd, b.Orphans, b.ReformedIn, b.Peak, b.Joins, b.SlowestJoin, b.MachineIdle, b.outcome())
		r.Accidents = append(r.Accidents, b)
		r.Bars = append(r.Bars, b.bars(r.Calm)...)
		if b.Failure != "" {
			break // what came after would be measured on fewer trackers
		}
	}
	r.WorstOffload = worst(past, int(p.after.Seconds()))
	r.Bars = append(r.Bars, atMost(fmt.Sprintf("points of offload lost over any %.0f s of all", r.Seconds), 100*(r.Calm.Offload-r.WorstOffload), 5))
	return r, nil
}

func (b *blow) bars(calm account) (bars []bar) {
	bars = append(bars,
		atMost(b.What+": points of offload lost from then on", 100*(calm.Offload-b.After.Offload), 5),
		atMost(b.What+": stalls", float64(b.After.Stalls), 0),
		atMost(b.What+": seconds to a newcomer's welcome", b.SlowestJoin, 2),
		atMost(b.What+": seconds until nine of ten orphans had six neighbours again", b.ReformedIn, 15),
		// Who lost a tracker comes back at a random moment of a time known to all, so no half second may have much more than its share.
		atMost(b.What+": rejoins a second", b.Peak, 1.5*float64(b.Heaviest)/comeBackOver.Seconds()),
		atLeast(b.What+": share of the crowd with six neighbours in the end", b.MetInTheEnd, 0.99),
	)
	if b.Failure != "" {
		bars = append(bars, atMost(b.What+": failures", 1, 0))
	}
	if b.Split != nil {
		bars = append(bars, b.Split.bars(b.What)...)
	}
	return bars
}

// outcome is what is particular about it.
func (b *blow) outcome() string {
	if b.Split != nil {
		return fmt.Sprintf("%+v %s", *b.Split, b.Failure)
	}
	return b.Failure
}

// worst is the least offload of any stretch of so many seconds.
func worst(past []account, stretch int) (offload float64) {
	offload = 1
	for i := stretch; i < len(past); i++ {
		offload = min(offload, past[i].since(past[i-stretch]).Offload)
	}
	return offload
}

// suffer lets something happen and watches what comes of it.
func (p clusterPlan) suffer(a *alliance, viewers []*spectator, accident accident) (b blow, past []account) {
	b.What, b.FewestMet = accident.what, 1
	machine := benchtest.MachineTimes()
	past = append(past, accounts(viewers))
	a.crowd.watch(accident.unheard)
	newcomers := a.crowd.probe()
	end := time.Now().Add(p.after)
	happened := make(chan error, 1)
	go func() {
		var err error
		node, _ := a.front.heaviest()
		b.Split, err = accident.happen(a, node)
		happened <- err
	}()
	for time.Now().Before(end) {
		time.Sleep(time.Second)
		past = append(past, accounts(viewers))
		b.MetInTheEnd = a.crowd.met()
		b.FewestMet = min(b.FewestMet, b.MetInTheEnd)
		_, most := a.front.heaviest()
		b.Heaviest = max(b.Heaviest, most)
	}
	b.After, b.MachineIdle = past[len(past)-1].since(past[0]), machine.IdleShare()
	b.WorstOffload = worst(past, 10)
	b.Joins, b.SlowestJoin = newcomers()
	b.Orphans, b.ReformedIn, b.Peak = a.crowd.seen()
	select {
	case err := <-happened:
		if err != nil {
			b.Failure = fmt.Sprintf("%v; the trackers said: %s", err, a.words())
		}
	case <-time.After(patience):
		b.Failure = "it did not come to its end; the trackers said: " + a.words()
	}
	return b, past
}
