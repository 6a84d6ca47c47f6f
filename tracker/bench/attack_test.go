//go:build linux

package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipstream/origin/benchtest"
	"slipstream/tracker/announce"
)

// siege is what honest viewers met while an attacker was about, and what it cost the tracker.
type siege struct {
	Attack       string  `json:"attack"`
	Seconds      float64 `json:"seconds"`
	Attacker     harm    `json:"attacker"`
	Joins        int     `json:"honestJoins"`
	Failed       int     `json:"honestJoinsFailed"`
	WhyFailed    string  `json:"whyFailed,omitempty"`
	WelcomeP50Ms float64 `json:"connectToWelcomeP50Ms"`
	WelcomeP99Ms float64 `json:"connectToWelcomeP99Ms"`
	MeetP50Ms    float64 `json:"connectToNeighbourP50Ms"`
	MeetP99Ms    float64 `json:"connectToNeighbourP99Ms"`
	BeforeBytes  int64   `json:"trackerBytesBefore"`
	PeakBytes    int64   `json:"trackerBytesPeak"`
	TrackerCores float64 `json:"trackerCores"`
	PerSecond    float64 `json:"rejectedPerSecond,omitempty"`
	RejectMicros float64 `json:"trackerCpuMicrosPerReject,omitempty"` // beyond what it used before
	OwnMicros    float64 `json:"ofTheseInItsOwnCode,omitempty"`       // the rest is the kernel's, as for any server; see bare

	Expelled       int     `json:"honestExpelled"`
	HonestShare    float64 `json:"shareOfHonestNeighbours"` // of residents' neighbours
	FewestHonest   int     `json:"fewestHonestNeighbours"`  // of a resident
	StillConnected int     `json:"residentsStillThere"`
	Bars           []bar   `json:"bars"`
}

// course is how long an attack lasts, and how large it is.
type course struct {
	length    time.Duration
	residents int
	held      int // connections of those who hold some
	visit     int // seconds of a harvester's visit; 0: to the end
}

// attackBytes is by how much the tracker may grow: each of its 10,000 connections may have a buffer.
const attackBytes = 128 << 20

func benchAttack(args []string) (any, error) {
	set := flags("attack")
	slipstream := set.String("slipstream", "bin/slipstream", "the program")
	only := set.String("only", "", "attacks, separated by commas; default: all")
	length := set.Duration("for", 6*time.Second, "how long each lasts")
	held := set.Int("held", 10_000, "connections of those who hold some")
	residents := set.Int("residents", 100, "honest viewers in the room")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(attacks))
	if *only != "" {
		names = strings.Split(*only, ",")
	}
	var all []*siege
	bare, err := bareMicros(min(*length, 3*time.Second))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "a server that does nothing uses %.1f µs for a request\n", bare)
	for _, name := range names {
		if attacks[name] == nil {
			return nil, fmt.Errorf("there is no attack %q", name)
		}
		s, err := besiege(*slipstream, name, course{*length, *residents, *held, 1})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, s)
		fmt.Fprintf(os.Stderr, "%-18s p99 %6.1f ms, %d of %d failed, %3d → %3d MB, %6.0f rejects/s, %5.1f µs each, %5.1f its own\n",
			name, s.MeetP99Ms, s.Failed, s.Joins, s.BeforeBytes>>20, s.PeakBytes>>20, s.PerSecond, s.RejectMicros, s.OwnMicros)
	}
	return struct {
		BareMicros float64  `json:"bareServerCpuMicrosPerRequest"`
		Attacks    []*siege `json:"attacks"`
	}{bare, all}, nil
}

// besiege has one attack on a fresh tracker.
func besiege(slipstream, name string, c course) (*siege, error) {
	dir, err := os.MkdirTemp("", "bench-tracker-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	t, err := startTracker(slipstream, dir, "--connections", "10000", "--trust", "127.0.0.0/8")
	if err != nil {
		return nil, err
	}
	defer t.kill()
	pid := t.cmd.Process.Pid
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	residents, err := settle(ctx, t.address, channelID(0), c.residents)
	if err != nil {
		return nil, err
	}
	honest := map[announce.PeerID]bool{}
	for _, r := range residents {
		honest[r.id] = true
	}
	s := &siege{Attack: name, Seconds: c.length.Seconds(), BeforeBytes: resident(pid)}
	p := &prober{tracker: t.address, channel: channelID(0)}
	calm, used := time.Now(), cpu(pid)
	userCalm, _ := times(pid)
	p.probe(ctx, min(c.length, 2*time.Second)) // what it costs without an attack
	idle := (cpu(pid) - used) / time.Since(calm).Seconds()
	userFrom, _ := times(pid)
	userIdle := (userFrom - userCalm) / time.Since(calm).Seconds()
	*p = prober{tracker: p.tracker, channel: p.channel, begun: p.begun}

	count := c.held
	switch name {
	case "harvest":
		count = c.visit
	case "sybils":
		count = 2 * c.residents
	}
	attack, report := program(name, t.address, c.length, count)
	from, used := time.Now(), cpu(pid)
	if err := attack.Start(); err != nil {
		return nil, err
	}
	watching, seen := make(chan struct{}), make(chan int64)
	go func() {
		peak := s.BeforeBytes
		for every := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-watching:
				every.Stop()
				seen <- peak
				return
			case <-every.C:
				peak = max(peak, resident(pid))
			}
		}
	}()
	p.probe(ctx, c.length)
	err = attack.Wait()
	took := time.Since(from).Seconds()
	spent := cpu(pid) - used
	user, _ := times(pid)
	close(watching)
	s.PeakBytes = <-seen
	if err != nil {
		return nil, fmt.Errorf("the attacker: %w", err)
	}
	if err := json.Unmarshal([]byte(report.String()), &s.Attacker); err != nil {
		return nil, fmt.Errorf("the attacker said %q: %w", report.String(), err)
	}
	s.TrackerCores = spent / took
	if n := float64(s.Attacker.Rejected); n > 0 {
		s.PerSecond, s.RejectMicros = n/took, max(0, spent-idle*took)/n*1e6
		s.OwnMicros = max(0, user-userFrom-userIdle*took) / n * 1e6
	}
	s.Joins, s.Failed, s.WhyFailed = len(p.welcome), p.failed, p.why
	s.WelcomeP50Ms, s.WelcomeP99Ms = quantileMs(p.welcome, 0.5), quantileMs(p.welcome, 0.99)
	s.MeetP50Ms, s.MeetP99Ms = quantileMs(p.meet, 0.5), quantileMs(p.meet, 0.99)
	s.count(residents, p.ids, honest)
	s.judge()
	return s, nil
}

// program is an attacker, which has one core and says at its end what it did.
func program(name, address string, length time.Duration, count int) (cmd *exec.Cmd, report *strings.Builder) {
	cmd, report = exec.Command(os.Args[0], "attacker", "-kind", name, "-to", address, "-for", length.String(), "-count", strconv.Itoa(count)), &strings.Builder{}
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Stdout, cmd.Stderr = report, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, report
}

// bareMicros is what the machine wants for a request on a connection of its own: the CPU of a server that accepts, reads, writes
// and closes.
func bareMicros(length time.Duration) (float64, error) {
	address, err := benchtest.FreeAddress()
	if err != nil {
		return 0, err
	}
	t := &tracker{address: address, cmd: exec.Command(os.Args[0], "bare", "-listen", address)}
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := t.cmd.Start(); err != nil {
		return 0, err
	}
	defer t.kill()
	for range 500 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	attack, report := program("junk-no-key", address, length, 0)
	before := cpu(t.cmd.Process.Pid)
	if err := attack.Run(); err != nil {
		return 0, fmt.Errorf("the attacker: %w", err)
	}
	var done harm
	if err := json.Unmarshal([]byte(report.String()), &done); err != nil {
		return 0, err
	}
	return (cpu(t.cmd.Process.Pid) - before) / float64(max(done.Rejected, 1)) * 1e6, nil
}

func runBare(args []string) (any, error) {
	set := flags("bare")
	listen := set.String("listen", "", "")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	ap, err := netip.ParseAddrPort(*listen)
	if err != nil {
		return nil, err
	}
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(unix.Bind(ln, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}), unix.Listen(ln, 4096)); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for {
		fd, _, err := unix.Accept(ln)
		if err != nil {
			continue
		}
		unix.Read(fd, buf)                                                              //nolint:errcheck // whoever it is
		unix.Write(fd, []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")) //nolint:errcheck // likewise
		unix.Close(fd)
	}
}

// count looks at whom the residents know in the end.
func (s *siege) count(residents []*neighbour, probes []announce.PeerID, honest map[announce.PeerID]bool) {
	for _, id := range probes {
		honest[id] = true
	}
	friends, all := 0, 0
	s.FewestHonest = len(residents)
	for _, r := range residents {
		r.mu.Lock()
		mine := 0
		for id := range r.neighbours {
			if honest[id] {
				mine++
			}
		}
		friends, all = friends+mine, all+len(r.neighbours)
		s.FewestHonest = min(s.FewestHonest, mine)
		if r.ended {
			s.Expelled++
		}
		r.mu.Unlock()
	}
	s.HonestShare = float64(friends) / float64(max(all, 1))
	s.StillConnected = len(residents) - s.Expelled
}

// judge holds it to the bars that belong to the attack.
func (s *siege) judge() {
	s.Bars = []bar{
		atMost("honest join, from connecting to the first neighbour, p99, ms", s.MeetP99Ms, 500),
		atMost("honest joins that failed", float64(s.Failed), 0),
		atMost("honest residents that lost their visit", float64(s.Expelled), 0),
		atMost("growth of the tracker's memory, MB", float64(s.PeakBytes-s.BeforeBytes)/(1<<20), attackBytes>>20),
	}
	switch s.Attack {
	case "junk-bytes", "junk-path", "junk-metrics", "junk-no-key", "junk-token", "one-network", "replayed-token", "stolen-by-origin", "forged-by-key":
		s.Bars = append(s.Bars, atMost("the tracker's CPU for a request that is refused (of junk-metrics: answered), with the kernel's, µs", s.RejectMicros, 15),
			atMost("… in its own code, µs", s.OwnMicros, 15))
	case "harvest":
		s.Bars = append(s.Bars, atMost("addresses given to one token; 12 and as many who turn out to be of no use", float64(s.Attacker.PerToken), 24))
	case "sybils":
		s.Bars = append(s.Bars, atLeast("the fewest honest neighbours of an honest viewer", float64(s.FewestHonest), 1))
	}
}

// prober is honest viewers, ten a second, each of whom stays for two seconds.
type prober struct {
	tracker, channel string
	begun            int

	mu            sync.Mutex
	welcome, meet []time.Duration // from connecting on; of one who failed, until it gave up
	ids           []announce.PeerID
	failed        int
	why           string
}

const (
	probeEvery    = 100 * time.Millisecond
	probeStays    = 2 * time.Second
	probePatience = 5 * time.Second
)

func (p *prober) probe(ctx context.Context, length time.Duration) {
	var wg sync.WaitGroup
	every := time.NewTicker(probeEvery)
	defer every.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); <-every.C {
		p.begun++
		n := 4096 + p.begun
		wg.Go(func() { p.visit(ctx, n, end) })
	}
	wg.Wait()
}

func (p *prober) visit(ctx context.Context, n int, end time.Time) {
	patience, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	from := time.Now()
	m, err := join(patience, p.tracker, network(n), p.channel)
	welcome := time.Since(from)
	for met := false; err == nil && !met; {
		var message announce.Message
		if message, err = m.hear(patience); err == nil {
			err = m.answer(patience, message)
		}
		_, met = message.(announce.Neighbour)
	}
	meet := time.Since(from)
	p.mu.Lock()
	if err != nil {
		p.failed, p.why = p.failed+1, err.Error()
		meet, welcome = max(meet, probePatience), max(welcome, probePatience)
	} else {
		p.ids = append(p.ids, m.id)
	}
	p.welcome, p.meet = append(p.welcome, welcome), append(p.meet, meet)
	p.mu.Unlock()
	if m == nil {
		return
	}
	defer m.ws.CloseNow()
	stay, cancel := context.WithTimeout(ctx, min(probeStays, time.Until(end)))
	defer cancel()
	for err == nil {
		var message announce.Message
		if message, err = m.hear(stay); err == nil {
			err = m.answer(stay, message)
		}
	}
}

// Every attack, shortly: that honest viewers get in and stay, whatever the machine's load says about how fast.
func TestHonestViewersSurviveAttacks(t *testing.T) {
	for name := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := besiege(os.Args[0], name, course{200 * time.Millisecond, 12, 300, 0})
			if err != nil {
				t.Fatal(err)
			}
			if s.Joins == 0 || s.Failed > 0 {
				t.Errorf("%d of %d honest joins failed: %s", s.Failed, s.Joins, s.WhyFailed)
			}
			if s.Expelled > 1 || s.Expelled > 0 && name != "sybils" { // these are of more networks here than the honest
				t.Errorf("%d honest viewers lost their visit", s.Expelled)
			}
			if grown := s.PeakBytes - s.BeforeBytes; grown > attackBytes {
				t.Errorf("the tracker grew by %d MB", grown>>20)
			}
			if name == "harvest" && s.Attacker.PerToken > 24 {
				t.Errorf("one token got %d addresses", s.Attacker.PerToken)
			}
			if name != "nothing" && s.Attacker.Tries == 0 {
				t.Error("the attacker did nothing")
			}
		})
	}
}
