package sim

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"slipstream/sim/world"
)

// Simulate runs an experiment, each cluster on a processor of its own as long as
// there are any. The result is that of world.Run.
func Simulate(ctx context.Context, cfg world.Config) (*world.Result, error) {
	// Little is thrown away, and what is kept is small: it need not be looked through often.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	cfg = cfg.WithRooms()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := make([]*world.Part, world.Clusters(&cfg))
	errs := make([]error, len(parts))
	var next atomic.Int32
	var running sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(parts)) {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(parts); i = int(next.Add(1)) - 1 {
				if parts[i], errs[i] = world.RunCluster(ctx, cfg, i); errs[i] != nil {
					cancel()
				}
			}
		})
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return world.Merge(cfg, parts), nil
}
