//go:build linux

package bench

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// crowd is what a flash crowd met.
type crowd struct {
	Rate            int            `json:"joinsPerSecond"`
	Seconds         float64        `json:"seconds"`
	HoldSeconds     float64        `json:"holdSeconds"`
	Begun           int            `json:"begun"`
	Welcomed        int            `json:"welcomed"`
	Refused         int            `json:"refused"`
	Lost            int            `json:"lost"`
	Why             map[string]int `json:"why,omitempty"`
	JoinP50Ms       float64        `json:"joinToNeighbourP50Ms"`
	JoinP95Ms       float64        `json:"joinToNeighbourP95Ms"`
	JoinP99Ms       float64        `json:"joinToNeighbourP99Ms"`
	JoinMaxMs       float64        `json:"joinToNeighbourMaxMs"`
	ConnectP99Ms    float64        `json:"connectToNeighbourP99Ms"`
	FewestAtLeaving int            `json:"fewestNeighboursAtLeaving"`
	WithSix         float64        `json:"shareWithSixNeighbours"`
	JoinBytes       float64        `json:"joinBytes"`
	HandshakeBytes  float64        `json:"handshakeBytes"`
	TrackerMicros   float64        `json:"trackerCpuMicrosPerVisit"`
	TrackerCores    float64        `json:"trackerCores"`
	CrowdCores      float64        `json:"crowdCores"`
	PeakBytes       int64          `json:"trackerPeakBytes"`
	CrowdLagMs      float64        `json:"crowdLagMs"`
	Bars            []bar          `json:"bars,omitempty"`
}

func benchCrowd(args []string) (any, error) {
	set := flags("crowd")
	slipstream := set.String("slipstream", "bin/slipstream", "the program")
	rate := set.Int("rate", 5000, "joins a second")
	seconds := set.Int("seconds", 60, "for how long")
	hold := set.Duration("hold", 3200*time.Millisecond, "how long each viewer stays; rate times hold must fit into the limit of open files")
	channels := set.Int("channels", 1, "channels that they join in turn")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-tracker-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	t, err := startTracker(*slipstream, dir)
	if err != nil {
		return nil, err
	}
	defer t.kill()
	c, err := rush(t, *rate, time.Duration(*seconds)*time.Second, *hold, *channels)
	if err != nil {
		return nil, err
	}
	c.Bars = []bar{
		atMost("join to first neighbour, p99, ms", c.JoinP99Ms, 100),
		atLeast("joins a second", float64(c.Begun)/c.Seconds, 0.99*float64(c.Rate)),
		atMost("viewers refused or lost", float64(c.Refused+c.Lost), 0),
		atLeast("share of viewers with six neighbours", c.WithSix, 1),
		atMost("bytes of a join both ways, up to the sixth neighbour, without the handshake", c.JoinBytes, 1024),
	}
	return c, nil
}

// rush has viewers come at a rate.
func rush(t *tracker, rate int, length, hold time.Duration, channels int) (*crowd, error) {
	if most := allFiles(); uint64(rate)*uint64(hold/time.Millisecond)/1000 > most*9/10 {
		return nil, fmt.Errorf("%d viewers a second that stay for %v are more than %d open files", rate, hold, most)
	}
	vs, err := newViewers(t.address, hold, func(n int) string { return channelID(n % channels) })
	if err != nil {
		return nil, err
	}
	defer vs.close()
	vs.mint(rate, length)
	events := make([]unix.EpollEvent, 512)
	before, mine, from := cpu(t.cmd.Process.Pid), cpu(os.Getpid()), time.Now()
	var peak int64
	looked := 0 // at the tracker's memory, when so many had come
	for now := from; now.Sub(from) < length+hold; now = time.Now() {
		elapsed := now.Sub(from)
		if elapsed < length {
			due := int(float64(rate) * elapsed.Seconds())
			for range min(due-vs.begun, 100) {
				err := vs.begin(now)
				if errors.Is(err, unix.EMFILE) {
					break // too many wait already: who comes now comes late, and not at all in the end
				}
				if err != nil {
					return nil, err
				}
			}
		}
		if vs.begun-looked >= 1000 {
			looked = vs.begun
			peak = max(peak, resident(t.cmd.Process.Pid))
		}
		rest(time.Millisecond)               // what happens in one is served in one turn: the tracker shall have the processor
		vs.turn(events, 0, elapsed < length) // the last crowd stays together until it is counted
	}
	vs.leaveAll()
	for goodbye := time.Now().Add(10 * time.Second); vs.live > 0 && time.Now().Before(goodbye); {
		vs.turn(events, 10, true)
	}
	took := time.Since(from).Seconds()
	used := cpu(t.cmd.Process.Pid) - before
	r := &vs.results
	r.lost += vs.live // never said goodbye
	c := &crowd{
		Rate: rate, Seconds: length.Seconds(), HoldSeconds: hold.Seconds(), Begun: vs.begun, Welcomed: r.welcomed, Refused: r.refused, Lost: r.lost, Why: r.why,
		JoinP50Ms: quantileMs(r.sinceJoin, 0.5), JoinP95Ms: quantileMs(r.sinceJoin, 0.95), JoinP99Ms: quantileMs(r.sinceJoin, 0.99),
		JoinMaxMs: quantileMs(r.sinceJoin, 1), ConnectP99Ms: quantileMs(r.sinceBegin, 0.99),
		TrackerMicros: used * 1e6 / float64(max(vs.begun, 1)), TrackerCores: used / took, CrowdCores: (cpu(os.Getpid()) - mine) / took,
		PeakBytes: peak, CrowdLagMs: float64(r.lag.Microseconds()) / 1000,
	}
	if n := float64(r.welcomed); n > 0 {
		c.HandshakeBytes = float64(r.handshake) / n
	}
	for _, n := range r.joinBytes {
		c.JoinBytes += float64(n) / float64(len(r.joinBytes))
	}
	if n := len(r.neighbours); n > 0 {
		c.FewestAtLeaving = slices.Min(r.neighbours)
		six := 0
		for _, k := range r.neighbours {
			if k >= enough {
				six++
			}
		}
		c.WithSix = float64(six) / float64(n)
	}
	return c, nil
}

func quantileMs(d []time.Duration, q float64) float64 {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return float64(d[int(q*float64(len(d)-1))].Microseconds()) / 1000
}

func TestACrowdMeetsItsNeighbours(t *testing.T) {
	tracker, err := startTracker(os.Args[0], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tracker.kill()
	c, err := rush(tracker, 300, time.Second, 2500*time.Millisecond, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c.Begun < 100 || c.Welcomed != c.Begun || c.Refused+c.Lost > 0 {
		t.Errorf("of %d viewers %d were welcomed, %d refused, %d lost: %v", c.Begun, c.Welcomed, c.Refused, c.Lost, c.Why)
	}
	if c.WithSix < 1 {
		t.Errorf("%.3f of the viewers have six neighbours, the worst %d", c.WithSix, c.FewestAtLeaving)
	}
	if c.JoinBytes == 0 || c.JoinBytes > 1024 {
		t.Errorf("a join is %.0f bytes, the limit is 1,024", c.JoinBytes)
	}
}
