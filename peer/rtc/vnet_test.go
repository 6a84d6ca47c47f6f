package rtc

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v4/vnet"
)

// network is a virtual network with two hosts, behind which engines run.
type network struct {
	hosts [2]*vnet.Net

	mu   sync.Mutex
	drop func() bool // nil: no packet is lost
}

func newNetwork(t testing.TB, delay time.Duration) *network {
	t.Helper()
	router, err := vnet.NewRouter(&vnet.RouterConfig{
		CIDR: "10.0.0.0/24", MinDelay: delay, QueueSize: 4096, LoggerFactory: logging.NewDefaultLoggerFactory(),
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &network{}
	for i, address := range []string{"10.0.0.1", "10.0.0.2"} {
		if n.hosts[i], err = vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{address}}); err != nil {
			t.Fatal(err)
		}
		if err := router.AddNet(n.hosts[i]); err != nil {
			t.Fatal(err)
		}
	}
	router.AddChunkFilter(func(vnet.Chunk) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.drop == nil || !n.drop()
	})
	if err := router.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := router.Stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// lose makes the network lose packets from now on.
func (n *network) lose(drop func() bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = drop
}

func TestEverythingArrivesDespiteLossAndDelay(t *testing.T) {
	n := newNetwork(t, 10*time.Millisecond)
	r := rand.New(rand.NewPCG(7, 7))
	n.lose(func() bool { return r.IntN(100) < 2 })
	offering, answering := connected(t, newEngine(t, Config{Net: n.hosts[0]}), newEngine(t, Config{Net: n.hosts[1]}))
	pour(t, offering, answering, 500_000, 16384+11)
	pour(t, answering, offering, 100_000, 1000)
}

func TestARoundTripIsMeasured(t *testing.T) {
	n := newNetwork(t, 20*time.Millisecond)
	offering, answering := connected(t, newEngine(t, Config{Net: n.hosts[0]}), newEngine(t, Config{Net: n.hosts[1]}))
	for _, side := range []*side{offering, answering} {
		if rtt := side.conn.RTT(); rtt < 40*time.Millisecond { // how much longer it takes is the machine's matter
			t.Errorf("a round trip over twice 20 ms takes %v", rtt)
		}
	}
}

func TestANetworkThatDiesIsNoticed(t *testing.T) {
	n := newNetwork(t, 0)
	a := newEngine(t, Config{Net: n.hosts[0], LostTimeout: time.Second})
	b := newEngine(t, Config{Net: n.hosts[1], LostTimeout: time.Second})
	offering, answering := connected(t, a, b)
	n.lose(func() bool { return true })
	for name, s := range map[string]*side{"offering": offering, "answering": answering} {
		if reason := wait(t, name+" side notices", s.closed); !errors.Is(reason, ErrLost) {
			t.Errorf("the %s side closed because %v, want a lost connection", name, reason)
		}
	}
}
