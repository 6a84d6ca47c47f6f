package bench

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"slipstream/tracker/announce"
)

// alliance is three trackers, each a process on a host of its own, and what leads viewers to them.
type alliance struct {
	plan       clusterPlan
	stage      *stage
	front      *balancer
	crowd      *crowd
	hosts      []*host // of the trackers
	operations *host   // where the operator sits, and NATS if it is outside
	nats       *process
	nodes      []*process
}

// serveNATS is a NATS server in a process of its own: its address and its folder are the arguments.
func serveNATS(args []string) (any, error) {
	host, port, err := net.SplitHostPort(args[0])
	if err != nil {
		return nil, err
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, err
	}
	s, err := natsserver.NewServer(&natsserver.Options{Host: host, Port: n, NoLog: true, JetStream: true, StoreDir: args[1], SyncAlways: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	s.WaitForShutdown()
	return nil, nil
}

// await returns when something listens at the address that is the argument.
func await(args []string) (any, error) {
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", args[0])
		if err == nil {
			return nil, conn.Close()
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("nothing listens on %s: %w", args[0], err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p clusterPlan) open() (a *alliance, err error) {
	a = &alliance{plan: p}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if err := openSwitches(); err != nil {
		return nil, err
	}
	if a.operations, err = newHost(9); err != nil {
		return nil, err
	}
	var addresses []string
	for i := range 3 {
		h, err := newHost(i)
		if err != nil {
			return nil, err
		}
		a.hosts, addresses = append(a.hosts, h), append(addresses, h.address(front)+":80")
	}
	if a.stage, err = openStageWith(p.kbps, 1, "ws://"+trackers+"/tracker"); err != nil {
		return nil, err
	}
	if p.nats == "outside" {
		if a.nats, err = a.operations.start(os.Args[0], "nats", a.natsAddress(), filepath.Join(a.stage.dir, "nats")); err != nil {
			return nil, err
		}
		listens, err := a.operations.start(os.Args[0], "await", a.natsAddress())
		if err == nil {
			err = listens.wait(patience)
		}
		if err != nil {
			return nil, err
		}
	}
	a.front = newBalancer(addresses)
	for i := range a.hosts {
		a.nodes = append(a.nodes, nil)
		if err := a.begin(i); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *alliance) natsAddress() string { return a.operations.address(back) + ":4222" }

// cluster is how a program finds the cluster, besides a tracker that is itself a part of it.
func (a *alliance) cluster(self int) (args []string) {
	args = []string{"--token-key", filepath.Join(a.stage.dir, "keys", "token.key"), "--cluster", "bench"}
	if a.plan.nats == "outside" {
		return append(args, "--nats", "nats://"+a.natsAddress())
	}
	for i, h := range a.hosts {
		if i != self {
			args = append(args, "--cluster-route", h.address(back)+":6222")
		}
	}
	return args
}

// begin starts a tracker and waits until it is ready.
func (a *alliance) begin(i int) (err error) {
	h, name := a.hosts[i], fmt.Sprint("node-", i)
	args := append([]string{
		"tracker", "--listen", h.address(front) + ":80", "--trust", "10.1.0.1/32", "--proxy-protocol", "--node", name,
	}, a.cluster(i)...)
	if a.plan.nats != "outside" {
		args = append(args, "--cluster-listen", h.address(back)+":6222", "--cluster-data", filepath.Join(a.stage.dir, name))
	}
	if a.nodes[i], err = h.start(a.plan.slipstream, args...); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); !a.front.isReady(i); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("tracker %d is not ready within %v; the trackers said: %s", i, patience, a.words())
		}
	}
	return nil
}

// drain ends a tracker as an operator would, and waits for it.
func (a *alliance) drain(i int) error {
	if err := a.nodes[i].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return a.nodes[i].wait(patience)
}

// words are the last ones of each tracker, which ends with it.
func (a *alliance) words() string {
	var words []string
	for _, n := range a.nodes {
		if n != nil {
			n.kill()
			lines := strings.Split(strings.TrimSpace(n.err.String()), "\n")
			words = append(words, lines[max(len(lines)-3, 0):]...)
		}
	}
	return strings.Join(words, "; ")
}

func (a *alliance) close() {
	if a.front != nil {
		a.front.close()
	}
	for _, p := range append(a.nodes, a.nats) {
		if p != nil {
			p.kill()
		}
	}
	for _, h := range append(a.hosts, a.operations) {
		if h != nil {
			h.close()
		}
	}
	if a.stage != nil {
		a.stage.close()
	}
}

// accident is something that happens to a tracker, the one with the most viewers.
type accident struct {
	what string
	// unheard says that viewers cannot notice for a while that they have lost their tracker, so the time counts that
	// has gone by since the accident.
	unheard bool
	happen  func(a *alliance, node int) (*split, error)
}

// accidents happen one after the other.
var accidents = []accident{
	{what: "one is killed", happen: func(a *alliance, node int) (*split, error) {
		a.nodes[node].kill()
		time.Sleep(a.plan.after / 2)
		return nil, a.begin(node)
	}},
	{what: "one is cut off from the others, but not from viewers", happen: (*alliance).halve},
	{what: "one is cut off from everybody", unheard: true, happen: func(a *alliance, node int) (*split, error) {
		if err := a.hosts[node].unplug(front, back); err != nil {
			return nil, err
		}
		time.Sleep(a.plan.after / 2)
		return nil, a.hosts[node].plug(front, back)
	}},
	{what: "one is stopped for four seconds and goes on", happen: func(a *alliance, node int) (*split, error) {
		if err := a.nodes[node].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return nil, err
		}
		time.Sleep(4 * time.Second)
		return nil, a.nodes[node].cmd.Process.Signal(syscall.SIGCONT)
	}},
	{what: "one is drained", happen: func(a *alliance, node int) (*split, error) {
		if err := a.drain(node); err != nil {
			return nil, err
		}
		time.Sleep(a.plan.after / 2)
		return nil, a.begin(node)
	}},
	{what: "all are restarted, one after the other", happen: func(a *alliance, _ int) (*split, error) {
		for i := range a.nodes {
			if err := errors.Join(a.drain(i), a.begin(i)); err != nil {
				return nil, err
			}
			time.Sleep(a.plan.after / 12)
		}
		return nil, nil
	}},
}

// split is what there is to know about a cluster in two halves.
type split struct {
	Real    bool    `json:"real"`    // what the others were told did not cross
	Kept    bool    `json:"kept"`    // what was set before held on both sides
	ToldIn  float64 `json:"toldIn"`  // seconds that it took an operator, during the cut, until another knew
	HeardIn float64 `json:"heardIn"` // seconds from the healing until the cut one knew
}

func (s *split) bars(what string) []bar {
	held := 0.0
	if s.Real && s.Kept {
		held = 1
	}
	return []bar{
		atLeast(what+": an operator's word held on both sides, and a new one did not cross", held, 1),
		atMost(what+": seconds during the cut until those with the majority knew it", s.ToldIn, 30),
		atMost(what+": seconds from the healing until all did", s.HeardIn, 30),
	}
}

// Channels in which nobody may meet: one from the beginning, one from the cut on.
var (
	forbidden = strings.Repeat("B", 43)
	forbidNow = strings.Repeat("C", 43)
)

// set forbids viewers of a channel to meet, as an operator does.
func (a *alliance) set(channel string) error {
	p, err := a.operations.start(a.plan.slipstream, append([]string{"tracker", "channel", "--sharing", "off", channel}, a.cluster(-1)...)...)
	if err != nil {
		return err
	}
	return p.wait(patience)
}

// halve cuts a tracker off from the others, while its viewers still reach it.
func (a *alliance) halve(cut int) (*split, error) {
	other := (cut + 1) % len(a.hosts)
	if err := a.hosts[cut].unplug(back); err != nil {
		return nil, err
	}
	began := time.Now()
	time.Sleep(a.plan.after / 12)
	s := &split{}
	told := time.Now()
	if err := a.set(forbidNow); err != nil {
		return nil, err
	}
	for ; a.crowd.ask(other, forbidNow) != announce.CodeSharingOff; time.Sleep(100 * time.Millisecond) {
		if time.Since(told) > patience {
			break
		}
	}
	s.ToldIn = time.Since(told).Seconds()
	time.Sleep(time.Until(began.Add(a.plan.after / 2)))
	s.Real = a.crowd.ask(cut, forbidNow) == ""
	s.Kept = a.crowd.ask(cut, forbidden) == announce.CodeSharingOff && a.crowd.ask(other, forbidden) == announce.CodeSharingOff
	if err := a.hosts[cut].plug(back); err != nil {
		return nil, err
	}
	for healed := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		s.HeardIn = time.Since(healed).Seconds()
		if a.crowd.ask(cut, forbidNow) == announce.CodeSharingOff || s.HeardIn > patience.Seconds() {
			return s, nil
		}
	}
}
