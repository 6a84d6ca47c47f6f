//go:build linux

package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipstream/origin/benchtest"
)

// idle is what viewers cost who only stay.
type idle struct {
	Nodes       int     `json:"nodes"`
	Clustered   bool    `json:"clustered"`
	Viewers     int     `json:"viewers"`
	Channels    int     `json:"channels"`
	Reported    bool    `json:"viewersHaveReported"`
	Spread      bool    `json:"viewersAreFromEverywhere"`
	Seconds     float64 `json:"secondsToConnect"`
	JoinCores   float64 `json:"coresOfAllTrackersWhileConnecting"`
	EmptyBytes  int64   `json:"trackersEmptyBytes"`
	NATSBytes   int64   `json:"ofThatClusterAndNATSBytes,omitempty"` // beyond as many trackers that are alone
	FullBytes   int64   `json:"trackersFullBytes"`
	KernelBytes int64   `json:"kernelBytesBothEnds"`      // of the machine: slab, page tables, stacks; both ends of each connection
	ListedBytes int64   `json:"kernelBytesOfListedFiles"` // beside those: what is kept of /proc/…/fd after somebody has listed it, as monitors do
	KernelEnd   float64 `json:"kernelBytesPerEnd"`
	ViewerBytes float64 `json:"processBytesPerViewer"`
	TotalBytes  int64   `json:"trackersAndHalfOfKernelBytes"`
	Cores       float64 `json:"coresOfAllTrackersAtRest"`
	StillThere  int     `json:"stillThereAfterRest"`
	RestSeconds float64 `json:"restSeconds"`
	Each        []each  `json:"each"`
	Bars        []bar   `json:"bars,omitempty"`

	Caches map[string]int64 `json:"kernelCacheBytesBothEnds,omitempty"` // of the slab, the largest; for who may read /proc/slabinfo
}

// each is one tracker.
type each struct {
	EmptyBytes int64   `json:"emptyBytes"`
	FullBytes  int64   `json:"fullBytes"`
	HeapBytes  float64 `json:"fullHeapBytes"`     // objects, and what was not collected yet
	SpanBytes  float64 `json:"fullHeapSpanBytes"` // with the gaps between them
	FreeBytes  float64 `json:"fullHeapFreeBytes"` // beyond those, and not yet given back
}

// heap looks into a tracker. What its metrics cost is not measured any more.
func (e *each) heap(address string) error {
	r, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	of := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			of[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	e.HeapBytes, e.SpanBytes = of["go_memstats_heap_alloc_bytes"], of["go_memstats_heap_inuse_bytes"]
	e.FreeBytes = of["go_memstats_heap_idle_bytes"] - of["go_memstats_heap_released_bytes"]
	return nil
}

// idling says how many stay where.
type idling struct {
	slipstream       string
	nodes            int
	viewers          int
	channels         int
	clustered        bool
	report, spread   bool
	settle, rest     time.Duration // until the trackers know each other; that the viewers stay
	trackerArguments []string
}

func benchIdle(args []string) (any, error) {
	set := flags("idle")
	var of idling
	set.StringVar(&of.slipstream, "slipstream", "bin/slipstream", "the program")
	set.IntVar(&of.nodes, "nodes", 6, "trackers")
	set.IntVar(&of.viewers, "viewers", 100_000, "viewers of all trackers")
	set.IntVar(&of.channels, "channels", 100, "channels that they join in turn")
	set.BoolVar(&of.clustered, "cluster", true, "whether the trackers are one cluster")
	set.BoolVar(&of.report, "report", false, "whether each viewer has reported once, as one that plays does all the time")
	set.BoolVar(&of.spread, "spread", false, "whether they are in 40 ISPs with 256 networks each, and not all on this machine")
	set.DurationVar(&of.settle, "settle", 3*time.Second, "how long the trackers have to find each other")
	set.DurationVar(&of.rest, "rest", 40*time.Second, "how long they stay; longer than a ping takes")
	set.Func("argument", "an argument more for each tracker; repeatable", func(s string) error {
		of.trackerArguments = append(of.trackerArguments, s)
		return nil
	})
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	r, err := of.measure()
	if err != nil {
		return nil, err
	}
	r.Bars = []bar{
		atMost("six trackers and their half of the kernel's memory, MB", float64(r.TotalBytes)/1e6, 700),
		atMost("process memory a viewer, bytes", r.ViewerBytes, 1536),
		atLeast("viewers still there", float64(r.StillThere), float64(r.Viewers)),
	}
	return r, nil
}

func (of idling) measure() (*idle, error) {
	dir, err := os.MkdirTemp("", "bench-tracker-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &idle{
		Nodes: of.nodes, Clustered: of.clustered, Viewers: of.viewers / of.nodes * of.nodes, Channels: of.channels, Reported: of.report, Spread: of.spread,
		RestSeconds: of.rest.Seconds(),
	}
	alone := int64(0)
	if of.clustered {
		trackers, err := of.start(dir, false)
		if err != nil {
			return nil, err
		}
		time.Sleep(of.settle)
		alone = int64(sum(trackers, memory))
		killAll(trackers)
	}
	kernelBefore, cachesBefore := kernel(), caches()
	trackers, err := of.start(dir, of.clustered)
	if err != nil {
		return nil, err
	}
	defer killAll(trackers)
	time.Sleep(of.settle)
	for _, t := range trackers {
		r.Each = append(r.Each, each{EmptyBytes: int64(memory(t.cmd.Process.Pid))})
	}
	r.EmptyBytes = int64(sum(trackers, memory))
	if of.clustered {
		r.NATSBytes = r.EmptyBytes - alone
	}
	from, before := time.Now(), sum(trackers, cpu)
	var holders []*holder
	for _, t := range trackers {
		h, err := hold(t.address, r.Viewers/of.nodes, of.channels, "-report="+strconv.FormatBool(of.report), "-spread="+strconv.FormatBool(of.spread))
		if err != nil {
			return nil, err
		}
		defer h.kill()
		holders = append(holders, h)
	}
	for _, h := range holders {
		if _, err := h.said(); err != nil {
			return nil, err
		}
	}
	r.Seconds = time.Since(from).Seconds()
	r.JoinCores = (sum(trackers, cpu) - before) / r.Seconds
	time.Sleep(of.rest / 2)
	before = sum(trackers, cpu)
	time.Sleep(of.rest / 2)
	r.Cores = (sum(trackers, cpu) - before) / (of.rest.Seconds() / 2)
	for i, t := range trackers {
		r.Each[i].FullBytes = int64(memory(t.cmd.Process.Pid))
		r.FullBytes += r.Each[i].FullBytes
	}
	r.KernelBytes, r.Caches = kernel()-kernelBefore, grown(cachesBefore, caches(), int64(r.Viewers)*16)
	r.ListedBytes = r.Caches[listed] * (listedInode + listedEntry) / listedInode
	r.KernelBytes -= r.ListedBytes
	for i, t := range trackers {
		if err := r.Each[i].heap(t.address); err != nil {
			return nil, err
		}
	}
	r.KernelEnd = float64(r.KernelBytes) / float64(2*r.Viewers)
	r.ViewerBytes = float64(r.FullBytes-r.EmptyBytes) / float64(r.Viewers)
	r.TotalBytes = r.FullBytes + r.KernelBytes/2
	for _, h := range holders {
		h.in.Close()
		n, err := h.said()
		if err != nil {
			return nil, err
		}
		r.StillThere += n
	}
	return r, nil
}

// start starts the trackers.
func (of idling) start(dir string, clustered bool) (trackers []*tracker, err error) {
	routes := make([]string, of.nodes)
	for i := range routes {
		if routes[i], err = benchtest.FreeAddress(); err != nil {
			return nil, err
		}
	}
	for i := range of.nodes {
		args := slices.Clone(of.trackerArguments)
		if of.spread {
			args = append(args, "--trust", "127.0.0.0/8")
		}
		if clustered {
			args = append(args, "--cluster", "bench", "--node", strconv.Itoa(i), "--cluster-listen", routes[i], "--cluster-route", routes[0])
		}
		t, err := startTracker(of.slipstream, dir, args...)
		if err != nil {
			killAll(trackers)
			return nil, err
		}
		trackers = append(trackers, t)
	}
	return trackers, nil
}

func killAll(trackers []*tracker) {
	for _, t := range trackers {
		t.kill()
	}
}

func sum(trackers []*tracker, of func(pid int) float64) (sum float64) {
	for _, t := range trackers {
		sum += of(t.cmd.Process.Pid)
	}
	return sum
}

func memory(pid int) float64 { return float64(proportional(pid)) }

// caches are the bytes of the slab's caches, nil for who may not know. Caches of like objects are one to the kernel.
func caches() map[string]int64 {
	text, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return nil
	}
	all := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		// name active objects size objects-per-slab pages-per-slab : tunables … : slabdata active-slabs slabs shared
		if f := strings.Fields(line); len(f) >= 16 && f[0] != "#" {
			pages, _ := strconv.ParseInt(f[5], 10, 64)
			slabs, _ := strconv.ParseInt(f[14], 10, 64)
			all[f[0]] = slabs * pages * int64(os.Getpagesize())
		}
	}
	return all
}

// Each file that is listed in /proc has an inode of its own cache and an entry in a cache that sockets use as well. With their
// gaps they have so many bytes on 64-bit machines.
const (
	listed                   = "proc_inode_cache"
	listedInode, listedEntry = 712, 195
)

// grown is what grew by at least so many bytes.
func grown(before, now map[string]int64, least int64) map[string]int64 {
	by := map[string]int64{}
	for name, n := range now {
		if n -= before[name]; n >= least {
			by[name] = n
		}
	}
	return by
}

// kernel is what the kernel uses for all processes.
func kernel() (sum int64) {
	for _, name := range []string{"Slab", "KernelStack", "PageTables", "Percpu"} {
		sum += proc("/proc/meminfo", name)
	}
	return sum
}

// holder is a process of viewers who stay until its input ends.
type holder struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func hold(address string, viewers, channels int, more ...string) (*holder, error) {
	args := append([]string{"hold", "-to", address, "-viewers", strconv.Itoa(viewers), "-channels", strconv.Itoa(channels)}, more...)
	h := &holder{cmd: exec.Command(os.Args[0], args...)}
	h.cmd.Stderr = os.Stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	h.out = bufio.NewReader(out)
	return h, h.cmd.Start()
}

// said is the next number of viewers that it tells.
func (h *holder) said() (n int, err error) {
	line, err := h.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the viewers ended: %w", err)
	}
	return n, json.Unmarshal([]byte(line), &n)
}

func (h *holder) kill() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
}

// holdViewers is the process: it says how many viewers there are when all have joined, and again when it is told to end.
func holdViewers(args []string) (any, error) {
	set := flags("hold")
	to := set.String("to", "", "address")
	count := set.Int("viewers", 1000, "viewers")
	channels := set.Int("channels", 1, "channels that they join in turn")
	report := set.Bool("report", false, "whether each reports once")
	spread := set.Bool("spread", false, "whether they say that they are in many networks")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	allFiles()
	vs, err := newViewers(*to, 0, func(n int) string { return channelID(n % *channels) })
	if err != nil {
		return nil, err
	}
	vs.report, vs.spread = *report, *spread
	told := make(chan struct{})
	go func() {
		defer close(told)
		io.Copy(io.Discard, os.Stdin)
	}()
	events := make([]unix.EpollEvent, 512)
	for from := time.Now(); vs.results.welcomed < *count; {
		if time.Since(from) > 4*time.Minute {
			return nil, fmt.Errorf("%d of %d viewers are there after four minutes: %v", vs.results.welcomed, *count, vs.results.why)
		}
		tried := vs.begun - vs.results.refused // who was refused comes again
		for range min(*count-tried, 20, 200-(tried-vs.results.welcomed)) {
			if err := vs.begin(time.Now()); err != nil {
				return nil, err
			}
		}
		vs.turn(events, 5, false)
	}
	fmt.Println(vs.live)
	for {
		select {
		case <-told:
			return vs.live, nil
		default:
			vs.turn(events, 100, false)
		}
	}
}

func TestWhoOnlyStaysStays(t *testing.T) {
	of := idling{slipstream: os.Args[0], nodes: 2, viewers: 200, channels: 4, report: true, spread: true, rest: 500 * time.Millisecond}
	r, err := of.measure()
	if err != nil {
		t.Fatal(err)
	}
	if r.StillThere != 200 || len(r.Each) != 2 || r.EmptyBytes == 0 || r.FullBytes == 0 || r.Each[1].HeapBytes == 0 {
		t.Errorf("of 200 viewers there are %d, the trackers %+v", r.StillThere, r.Each)
	}
}
