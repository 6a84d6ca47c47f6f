package rtc

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// BenchmarkLossyNetwork is what minWindow was chosen by: one connection on networks with loss and delay, with pion's own
// window, ours and larger ones. It takes a few seconds for each row, however many rounds are asked for:
//
//	go test -bench LossyNetwork -benchtime 1x -run ^$ ./peer/rtc
func BenchmarkLossyNetwork(b *testing.B) {
	for _, network := range []struct {
		lossPercent int
		rtt         time.Duration
	}{{0, 100 * time.Millisecond}, {1, 50 * time.Millisecond}, {5, 100 * time.Millisecond}} {
		for _, windowKiB := range []uint32{0, 64, 128, 256} {
			b.Run(fmt.Sprintf("loss=%d%%/rtt=%v/window=%dKiB", network.lossPercent, network.rtt, windowKiB), func(b *testing.B) {
				for range b.N {
					pourFor(b, 4*time.Second, network.lossPercent, network.rtt, windowKiB<<10)
				}
			})
		}
	}
}

// pourFor sends messages of a leaf for that long and reports how many bytes a second arrived, and how long the slowest of
// them waited for its predecessor.
func pourFor(b *testing.B, length time.Duration, lossPercent int, rtt time.Duration, window uint32) {
	n := newNetwork(b, rtt/2)
	r := rand.New(rand.NewPCG(7, 7))
	n.lose(func() bool { return r.IntN(100) < lossPercent })
	engines := [2]*Engine{}
	for i := range engines {
		cfg := Config{Net: n.hosts[i]}
		engines[i] = newEngine(b, cfg)
		settings := newSettings(Config{Net: n.hosts[i], Logger: engines[i].log, LostTimeout: defaultLostTimeout})
		settings.SetSCTPMinCwnd(window)
		engines[i].offering = webrtc.NewAPI(webrtc.WithSettingEngine(settings),
			webrtc.WithMediaEngine(&webrtc.MediaEngine{}), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
		engines[i].answering = engines[i].offering
	}
	from, to := connected(b, engines[0], engines[1])
	stop := make(chan struct{})
	go func() {
		leaf := make([]byte, benchMessage)
		for from.conn.Send(leaf) == nil {
			for from.conn.BufferedAmount() > benchHigh {
				select {
				case <-from.low:
				case <-stop:
					return
				}
			}
		}
	}()
	received, longest := 0, time.Duration(0)
	began := time.Now()
	for previous := began; time.Since(began) < length; {
		received += len(wait(b, "a message", to.messages))
		longest = max(longest, time.Since(previous))
		previous = time.Now()
	}
	close(stop)
	b.ReportMetric(float64(received)/1e6/time.Since(began).Seconds(), "MB/s")
	b.ReportMetric(float64(longest.Milliseconds()), "longest-wait-ms")
	b.ReportMetric(0, "ns/op")
}
