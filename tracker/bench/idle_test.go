//go:build linux

package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// idle is what viewers cost who only stay.
type idle struct {
	Nodes         int     `json:"nodes"`
	Clustered     bool    `json:"clustered"`
	Viewers       int     `json:"viewers"`
	Channels      int     `json:"channels"`
	Seconds       float64 `json:"secondsToConnect"`
	EmptyBytes    int64   `json:"trackersEmptyBytes"`
	FullBytes     int64   `json:"trackersFullBytes"`
	KernelBytes   int64   `json:"kernelBytesBothEnds"` // of the machine: slab, page tables, stacks; both ends of each connection
	ViewerBytes   float64 `json:"processBytesPerViewer"`
	TotalBytes    int64   `json:"trackersAndHalfOfKernelBytes"`
	Cores         float64 `json:"coresOfAllTrackersAtRest"`
	StillThere    int     `json:"stillThereAfterRest"`
	RestSeconds   float64 `json:"restSeconds"`
	HoldersFailed string  `json:"failed,omitempty"`
	Bars          []bar   `json:"bars"`
}

func benchIdle(args []string) (any, error) {
	set := flags("idle")
	slipstream := set.String("slipstream", "bin/slipstream", "the program")
	nodes := set.Int("nodes", 6, "trackers")
	viewers := set.Int("viewers", 100_000, "viewers of all trackers")
	channels := set.Int("channels", 100, "channels that they join in turn")
	clustered := set.Bool("cluster", true, "whether the trackers are one cluster")
	rest := set.Duration("rest", 40*time.Second, "how long they stay; longer than a ping takes")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-tracker-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	kernelBefore := kernel()
	r := &idle{Nodes: *nodes, Clustered: *clustered, Viewers: *viewers / *nodes * *nodes, Channels: *channels, RestSeconds: rest.Seconds()}
	routes := make([]string, *nodes)
	for i := range routes {
		if routes[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	var trackers []*tracker
	for i := range *nodes {
		var more []string
		if *clustered {
			more = []string{"--cluster", "bench", "--node", strconv.Itoa(i), "--cluster-listen", routes[i], "--cluster-route", routes[0]}
		}
		t, err := startTracker(*slipstream, dir, more...)
		if err != nil {
			return nil, err
		}
		defer t.kill()
		trackers = append(trackers, t)
	}
	time.Sleep(3 * time.Second) // the trackers find each other
	total := func(of func(pid int) float64) (sum float64) {
		for _, t := range trackers {
			sum += of(t.cmd.Process.Pid)
		}
		return sum
	}
	memory := func(pid int) float64 { return float64(proportional(pid)) }
	r.EmptyBytes = int64(total(memory))
	from := time.Now()
	var holders []*holder
	for _, t := range trackers {
		h, err := hold(t.address, r.Viewers / *nodes, *channels)
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
	time.Sleep(*rest / 2)
	before := total(cpu)
	time.Sleep(*rest / 2)
	r.Cores = (total(cpu) - before) / (rest.Seconds() / 2)
	r.FullBytes, r.KernelBytes = int64(total(memory)), kernel()-kernelBefore
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
	r.Bars = []bar{
		atMost("six trackers and their half of the kernel's memory, MB", float64(r.TotalBytes)/1e6, 700),
		atMost("process memory a viewer, bytes", r.ViewerBytes, 1536),
		atLeast("viewers still there", float64(r.StillThere), float64(r.Viewers)),
	}
	return r, nil
}

// kernel is what the kernel uses for all processes.
func kernel() (sum int64) {
	for _, name := range []string{"Slab", "KernelStack", "PageTables", "Percpu"} {
		sum += proc("/proc/meminfo", name)
	}
	return sum
}

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// holder is a process of viewers who stay until its input ends.
type holder struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func hold(address string, viewers, channels int) (*holder, error) {
	h := &holder{cmd: exec.Command(os.Args[0], "hold", "-to", address, "-viewers", strconv.Itoa(viewers), "-channels", strconv.Itoa(channels))}
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
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	allFiles()
	vs, err := newViewers(*to, 0, func(n int) string { return channelID(n % *channels) })
	if err != nil {
		return nil, err
	}
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
