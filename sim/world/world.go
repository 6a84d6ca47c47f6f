package world

import (
	"context"
	"math/bits"

	"slipstream/peer/sched"
	"slipstream/sim/clock"
	"slipstream/sim/draw"
	"slipstream/sim/network"
)

// startMs is when the first viewer comes, in epoch ms. Any time would do; this
// one is on the grid of every whole number of seconds up to a minute.
const startMs = 1_760_000_040_000

// Purposes of draws.
const (
	drawJoin draw.Purpose = iota + 1
	drawStay
	drawCrash
	drawClass
	drawUplink
	drawDelay
	drawPhase
	drawTick
	drawSeed
	drawID
	drawConnect
	drawExit
	drawRejoin
	drawOrigin
	drawCrashRate
	drawDownlink
	drawHostile
	drawHostileKind
	drawPlace
	drawNAT
	drawLoss
	drawCDNError
	drawNoUpload
	drawPosition
)

// world is one run of one cluster.
type world struct {
	cluster, clusters int

	cfg   Config
	draw  draw.Source
	wheel *clock.Wheel[event]
	nowMs int64
	endMs int64

	stream  stream
	edge    edge
	cdn     network.CDN
	loss    network.Loss
	tracker tracker

	viewers []*viewer     // by index
	slab    []viewer      // where the next ones are to lie
	woken   []uint64      // a bit for each viewer with something in the inbox
	acting  bool          // the second half of the millisecond
	inbox   []letter      // of this millisecond
	events  []sched.Event // scratch: one viewer's
	pieces  []byte        // scratch: of a HAVE

	batches batches
	calls   []func()
	idle    []int32 // places in calls to use again

	audit audit
}

// Clusters is into how many the tracker splits the channel. Viewers of one never
// hear of those of another, so each can be run by itself, on any processor.
func Clusters(cfg *Config) int {
	if cfg.ClusterViewers <= 0 {
		return 1
	}
	return max((cfg.Viewers+cfg.ClusterViewers-1)/cfg.ClusterViewers, 1)
}

// Run runs an experiment to its end, or until ctx ends: all clusters, one after
// the other.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	parts := make([]*Part, Clusters(&cfg))
	for i := range parts {
		var err error
		if parts[i], err = RunCluster(ctx, cfg, i); err != nil {
			return nil, err
		}
	}
	return Merge(cfg, parts), nil
}

// RunCluster runs one of them. Merge makes a result of the parts.
func RunCluster(ctx context.Context, cfg Config, cluster int) (*Part, error) {
	w := &world{
		cluster: cluster, clusters: Clusters(&cfg),
		cfg: cfg, draw: draw.New(cfg.Seed), wheel: clock.New[event](startMs - 1), nowMs: startMs - 1,
		endMs: startMs + cfg.DurationMs,
		cdn:   network.CDN{OneWayMs: cfg.CDN.OneWayMs, ServerMs: cfg.CDN.ServerMs, BytesPerSec: cfg.CDN.BytesPerSec},
		loss:  network.NewLoss(cfg.Network.Loss),
	}
	w.stream = newStream(cfg)
	w.startTracker()
	w.scheduleViewers()
	w.scheduleExits()
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		atMs, ok := w.wheel.NextMs()
		if !ok || atMs > w.endMs {
			break
		}
		w.nowMs = atMs
		w.millisecond()
	}
	w.nowMs = w.endMs
	for _, v := range w.viewers {
		v.settle()
	}
	return w.part(), nil
}

// millisecond lets everything happen that happens now.
func (w *world) millisecond() {
	for e, ok := w.wheel.Take(w.nowMs); ok; e, ok = w.wheel.Take(w.nowMs) {
		w.dispatch(&e)
	}
	w.acting = true
	for i, word := range w.woken {
		if word == 0 {
			continue
		}
		w.woken[i] = 0
		for ; word != 0; word &= word - 1 {
			w.viewers[i<<6|bits.TrailingZeros64(word)].run()
		}
	}
	w.inbox, w.acting = w.inbox[:0], false
}

func (w *world) dispatch(e *event) {
	if e.kind == eventCall {
		call := w.calls[e.batch]
		w.calls[e.batch] = nil
		w.idle = append(w.idle, e.batch)
		call()
		return
	}
	v := w.viewers[e.viewer]
	if v.gone {
		w.batches.release(e)
		return
	}
	switch e.kind {
	case eventTick:
		v.tick()
	case eventArrives:
		v.arrives(e)
	case eventThrough:
		v.through(e)
	case eventLow:
		v.bufferRanLow(e.end)
	case eventChunk:
		v.chunkArrives(e)
	case eventFetched:
		v.chunkThrough(e)
	}
}

// after calls f in some milliseconds, at least one.
func (w *world) after(ms int64, f func()) { w.at(w.nowMs+max(ms, 1), f) }

func (w *world) at(atMs int64, f func()) {
	ref := int32(len(w.calls))
	if n := len(w.idle); n > 0 {
		ref = w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.calls[ref] = f
	} else {
		w.calls = append(w.calls, f)
	}
	w.wheel.At(atMs, event{kind: eventCall, batch: ref})
}

func (w *world) scheduleExits() {
	for n, exit := range w.cfg.Exits {
		w.at(startMs+exit.AtMs, func() {
			for _, v := range w.viewers {
				if v.present() && !v.seeder && w.draw.Unit(v.number, drawExit, int64(n)) < exit.Share {
					v.leave(exit.Crash)
				}
			}
		})
	}
}
