package world

import (
	"context"
	"slices"

	"slipstream/peer/sched"
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
	drawLot
)

// world is one run of one cluster.
type world struct {
	cluster, clusters int

	cfg   Config
	draw  draw.Source
	nowMs int64
	endMs int64

	stream  stream
	edge    edge
	cdn     network.CDN
	loss    network.Loss
	tracker tracker

	viewers []*viewer // by index
	slab    []viewer  // where the next ones are to lie
	pieces  []uint32  // scratch: of a HAVE that is sent
	heard   []uint32  // likewise: of one that comes
	batches batches
	scratch sched.Scratch
	horizon

	audit audit
}

// Clusters is into how many the tracker splits the channel. Viewers of one never
// hear of those of another, so each can be run by itself, on any processor.
func Clusters(cfg *Config) int {
	if cfg.RoomOf != nil {
		return int(slices.Max(cfg.RoomOf)) + 1
	}
	if cfg.ClusterViewers <= 0 {
		return 1
	}
	return max((cfg.Viewers+cfg.ClusterViewers-1)/cfg.ClusterViewers, 1)
}

// Run runs an experiment to its end, or until ctx ends: all clusters, one after
// the other.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg = cfg.WithRooms()
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
	return newWorld(cfg, cluster).run(ctx)
}

func newWorld(cfg Config, cluster int) *world {
	w := &world{
		cluster: cluster, clusters: Clusters(&cfg),
		cfg: cfg, draw: draw.New(cfg.Seed), nowMs: startMs - 1, endMs: startMs + cfg.DurationMs,
		cdn:     network.CDN{OneWayMs: cfg.CDN.OneWayMs, ServerMs: cfg.CDN.ServerMs, BytesPerSec: cfg.CDN.BytesPerSec},
		loss:    network.NewLoss(cfg.Network.Loss),
		horizon: newHorizon(&cfg),
	}
	w.stream = newStream(cfg)
	w.startTracker()
	w.scheduleViewers()
	w.scheduleExits()
	return w
}

func (w *world) run(ctx context.Context) (*Part, error) {
	for n := 0; ; n++ {
		if n%16 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !w.window() {
			break
		}
	}
	w.nowMs = w.endMs
	for _, v := range w.viewers {
		v.settle()
	}
	return w.part(), nil
}

func (w *world) scheduleExits() {
	for n, exit := range w.cfg.Exits {
		w.shared.At(startMs+exit.AtMs, func() {
			for _, v := range w.viewers {
				if v.present() && !v.seeder && w.draw.Unit(v.number, drawExit, int64(n)) < exit.Share {
					v.leave(exit.Crash)
				}
			}
		})
	}
}
