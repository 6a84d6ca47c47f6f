package bench

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"slipstream/origin/benchtest"
)

// mixes are what trackers are compared by: the one that is published for aquatic_ws, with descriptions of 47 bytes, and
// what players really send. Every peer announces again as soon as its last announce is done, but for one mix, which is
// paced. Swarms of 100 suit bittorrent-tracker, whose announces cost more the larger the swarm; the last mix is one large
// swarm.
var mixes = []mix{
	{Name: "parity", Peers: 1000, Swarm: 100, Offers: 10, SDP: 47, InFlight: 1000},
	{Name: "honest-1000", Peers: 1000, Swarm: 100, Offers: 5, SDP: 1000, InFlight: 1000},
	{Name: "honest-10000", Peers: 10000, Swarm: 100, Offers: 5, SDP: 1000, InFlight: 10000},
	{Name: "honest-paced", Peers: 1000, Swarm: 100, Offers: 5, SDP: 1000, InFlight: 1000, Rate: 500},
	{Name: "one-swarm", Peers: 5000, Swarm: 5000, Offers: 5, SDP: 1000, InFlight: 5000},
}

// bars are what is demanded of ours, by mix: CPU microseconds for a delivered message.
var bars = map[string]float64{"parity": 4, "honest-1000": 8, "honest-10000": 8}

type comparison struct {
	mix
	Ours  []outcome      `json:"ours"`
	Rival []outcome      `json:"bittorrentTracker,omitempty"`
	Bar   *benchtest.Bar `json:"bar,omitempty"`
}

// compare is the command "announce".
func compare(args []string) (any, error) {
	f := benchtest.Flags("announce")
	slipstream := f.String("slipstream", "bin/slipstream", "our binary")
	rival := f.String("rival", "", "a module that exports bittorrent-tracker's Server as default; without, only ours runs")
	only := f.String("only", "", "one mix instead of all")
	runs := f.Int("runs", 2, "of each tracker, in turns")
	seconds := f.Float64("seconds", 5, "of each run")
	f.Parse(args)
	var all []comparison
	for _, m := range mixes {
		if *only != "" && m.Name != *only {
			continue
		}
		m.Seconds = *seconds
		c := comparison{mix: m}
		for range *runs {
			o, err := against(ours(*slipstream), m)
			if err != nil {
				return nil, fmt.Errorf("%s, ours: %w", m.Name, err)
			}
			c.Ours = append(c.Ours, *o)
			if *rival == "" {
				continue
			}
			if o, err = against(theirs(*rival), m); err != nil {
				return nil, fmt.Errorf("%s, bittorrent-tracker: %w", m.Name, err)
			}
			c.Rival = append(c.Rival, *o)
		}
		if limit, ok := bars[m.Name]; ok {
			var micros []float64
			for _, o := range c.Ours {
				micros = append(micros, o.CPUMicros)
			}
			slices.Sort(micros)
			bar := benchtest.AtMost("CPU of ours for a delivered message, median, µs", micros[len(micros)/2], limit)
			c.Bar = &bar
		}
		all = append(all, c)
	}
	return all, nil
}

// tracker is a program that prints the address that it listens on.
type tracker struct {
	command []string
	path    string
}

func ours(binary string) tracker {
	return tracker{[]string{binary, "tracker", "--webtorrent", "--webtorrent-rate=1000000", "--webtorrent-connections=15000"}, "/announce"}
}

func theirs(module string) tracker {
	script := `const { default: Server } = await import(process.argv[1]);
const server = new Server({ udp: false, http: false, ws: true, stats: false, peersCacheLength: 1e6 });
server.on("warning", () => {});
server.listen(Number(process.argv[2]), "127.0.0.1");`
	return tracker{[]string{"node", "--input-type=module", "-e", script, "--", module}, "/"}
}

// against runs one mix against one tracker: that on core 0, the generator on core 1.
func against(t tracker, m mix) (*outcome, error) {
	directory, err := os.MkdirTemp("", "bench-announce")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)
	address, err := benchtest.FreeAddress()
	if err != nil {
		return nil, err
	}
	command := slices.Clone(t.command)
	if t.path == "/announce" {
		key := filepath.Join(directory, "token.key")
		secret := make([]byte, 32)
		rand.Read(secret)
		if err := os.WriteFile(key, secret, 0o600); err != nil {
			return nil, err
		}
		command = append(command, "--listen="+address, "--token-key="+key)
	} else {
		_, port, _ := net.SplitHostPort(address)
		command = append(command, port)
	}
	server := exec.Command("taskset", append([]string{"-c", "0"}, command...)...)
	server.Env = append(os.Environ(), "GOMAXPROCS=1")
	var complaints bytes.Buffer
	server.Stderr = &complaints
	if err := server.Start(); err != nil {
		return nil, err
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	if err := listens(address); err != nil {
		return nil, fmt.Errorf("%w: %s", err, complaints.String())
	}
	arg := func(name string, value any) string { return fmt.Sprintf("-%s=%v", name, value) }
	generator := exec.Command("taskset", "-c", "1", os.Args[0], "load", arg("address", address), arg("path", t.path), arg("pid", server.Process.Pid),
		arg("peers", m.Peers), arg("swarm", m.Swarm), arg("offers", m.Offers), arg("sdp", m.SDP), arg("inflight", m.InFlight), arg("rate", m.Rate), arg("seconds", m.Seconds))
	generator.Env = append(os.Environ(), "GOMAXPROCS=1")
	generator.Stderr = &complaints
	out, err := generator.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %.2000s", err, complaints.String())
	}
	var o outcome
	return &o, json.Unmarshal(out, &o)
}

func listens(address string) error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		nc, err := net.Dial("tcp", address)
		if err == nil {
			return nc.Close()
		}
		if time.Now().After(end) {
			return fmt.Errorf("the tracker does not listen on %s", address)
		}
	}
}
