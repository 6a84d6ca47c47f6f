package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"runtime/pprof"
	"time"

	"slipstream/peer"
)

// profileViewers lets viewers watch a channel in this process and writes where their time goes (go tool pprof): for
// people who make viewers cheaper.
func profileViewers(args []string) (any, error) {
	var cfg peer.Config
	f := flags("profile")
	kbps := f.Int("kbps", 500, "bitrate")
	cpu := f.String("cpu", "cpu.pprof", "where the CPU profile goes")
	heap := f.String("heap", "", "where a heap profile goes")
	f.IntVar(&cfg.Viewers, "n", 60, "viewers")
	f.DurationVar(&cfg.Ramp, "ramp", 50*time.Millisecond, "between one viewer's joining and the next's")
	f.DurationVar(&cfg.Warmup, "warmup", 12*time.Second, "from the start until the profile begins")
	f.DurationVar(&cfg.Duration, "duration", 32*time.Second, "from the start to the end")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	s, err := openStage(*kbps, 1)
	if err != nil {
		return nil, err
	}
	defer s.close()
	out, err := os.Create(*cpu)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	var before, after usage
	var packets int64
	warm := time.AfterFunc(cfg.Warmup, func() {
		before = used(os.Getpid())
		packets = datagrams()
		_ = pprof.StartCPUProfile(out)
	})
	defer warm.Stop()
	ending := time.AfterFunc(cfg.Duration-time.Second, func() {
		pprof.StopCPUProfile()
		after = used(os.Getpid())
		packets = datagrams() - packets
		if *heap != "" {
			if out, err := os.Create(*heap); err == nil {
				_ = pprof.Lookup("heap").WriteTo(out, 0)
				out.Close()
			}
		}
	})
	defer ending.Stop()
	var printed bytes.Buffer
	cfg.URL, cfg.Out, cfg.JSON = s.url, &printed, true
	if err := peer.Run(context.Background(), cfg); err != nil {
		return nil, err
	}
	var sum peer.Summary
	if err := json.Unmarshal(printed.Bytes(), &sum); err != nil {
		return nil, err
	}
	watched := float64(cfg.Viewers) * (cfg.Duration - cfg.Warmup - time.Second).Seconds()
	return map[string]any{
		"offload":                sum.Offload,
		"stalls":                 sum.Stalls,
		"messagesPerSecond":      messagesPerSecond([]peer.Summary{sum}, cfg.Duration-cfg.Warmup),
		"cpuPerViewer":           (after.cpuSeconds - before.cpuSeconds) / watched,
		"cpuSecondsPerGB":        (after.cpuSeconds - before.cpuSeconds) / (watched * float64(*kbps) * 125 / 1e9),
		"packetsPerViewerSecond": float64(packets) / watched,
		"socketsPerViewer":       float64(after.sockets) / float64(cfg.Viewers),
		"rssPerViewerMiB":        float64(after.rssBytes) / float64(cfg.Viewers) / (1 << 20),
	}, nil
}

// messagesPerSecond is what each viewer said in a second of the counted time, by type, and in how many messages of the data
// channel.
func messagesPerSecond(sums []peer.Summary, counted time.Duration) map[string]float64 {
	viewers, bundles := 0, int64(0)
	said := make(map[string]int64)
	for _, sum := range sums {
		viewers += sum.Viewers
		bundles += sum.Bundles
		for kind, n := range sum.Messages {
			said[kind] += n
		}
	}
	perSecond := func(n int64) float64 { return math.Round(float64(n)/float64(viewers)/counted.Seconds()*100) / 100 }
	rates := map[string]float64{"bundles": perSecond(bundles)}
	for kind, n := range said {
		rates[kind] = perSecond(n)
	}
	return rates
}
