package tracker

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// How much of a heap is spare between two collections (GOGC) is a matter of what is allocated: in a rush, collecting often
// costs more than all else; when viewers only stay, nothing is allocated, and spare memory is just lost. So it follows the
// rate: as many percent that marking costs about a tenth of a core at any rate, within bounds. At rest everything that is free is
// given back now and then as well.
const (
	leastSpare, mostSpare = 10, 100 // percent of what is alive
	sparePerMega          = 2       // percent for each megabyte allocated in a second
	thriftEvery           = 250 * time.Millisecond
	tidyEvery             = 40 // of those
)

// spare is for what was allocated in a span of time, and what there was before. It grows at once and shrinks slowly, for a rush
// has pauses.
func spare(before int, bytes uint64, in time.Duration) int {
	perSecond := float64(bytes) / max(in.Seconds(), 1e-3)
	wanted := min(max(int(perSecond*sparePerMega/1e6), leastSpare), mostSpare)
	return max(wanted, before*7/8)
}

// startThrift keeps the heap small until it is stopped. Who sets GOGC knows better and is left alone.
func startThrift() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	ctx, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { beThrifty(ctx) })
	return func() {
		end()
		wg.Wait()
	}
}

func beThrifty(ctx context.Context) {
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(allocated)
	percent, rest, last, at := mostSpare, 0, allocated[0].Value.Uint64(), time.Now()
	defer debug.SetGCPercent(debug.SetGCPercent(percent))
	tick := time.NewTicker(thriftEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(allocated)
		sum, now := allocated[0].Value.Uint64(), time.Now()
		if next := spare(percent, sum-last, now.Sub(at)); next != percent {
			percent, rest = next, 0
			debug.SetGCPercent(percent)
		}
		if rest++; percent == leastSpare && rest%tidyEvery == 1 {
			debug.FreeOSMemory()
		}
		last, at = sum, now
	}
}
