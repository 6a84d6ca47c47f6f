package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"slipstream/sim/report"
	"slipstream/sim/world"
)

// BarsConfig is what `slipstream sim bars` was asked for.
type BarsConfig struct {
	Only   string // a group of bars; empty: all
	Short  bool   // a tenth of the viewers for a minute, instead of what the bars say
	JSON   bool
	Out    io.Writer
	Logger *slog.Logger // tells of each run; nil: nobody
}

// bars are the groups, in the order in which they run.
var bars = []struct {
	name string
	run  func(context.Context, *barRun) error
}{
	{"rooms", roomBars},
	{"hostile", hostileBars},
	{"steady", steadyBar},
	{"churn", churnBar},
	{"tight", tightBar},
	{"matching", matchingBar},
}

// Bars runs the scenarios that the engine is held to, and says what it reached. It
// is an error, after the table is written, if that is not enough.
func Bars(ctx context.Context, cfg BarsConfig) error {
	b := &barRun{cfg: cfg}
	begin := time.Now()
	found := false
	for _, group := range bars {
		if cfg.Only != "" && cfg.Only != group.name {
			continue
		}
		found = true
		if err := group.run(ctx, b); err != nil {
			return err
		}
	}
	if !found {
		var names []string
		for _, group := range bars {
			names = append(names, group.name)
		}
		return fmt.Errorf("there are no bars called %s; there are %s", cfg.Only, strings.Join(names, ", "))
	}
	b.checks.WallMs = time.Since(begin).Milliseconds()
	if err := b.checks.write(cfg.Out, cfg.JSON); err != nil {
		return err
	}
	return b.checks.missed()
}

type barRun struct {
	cfg    BarsConfig
	checks Checks
}

func (b *barRun) add(checks ...Check) { b.checks.Checks = append(b.checks.Checks, checks...) }

// simulate runs a scenario and keeps its report.
func (b *barRun) simulate(ctx context.Context, cfg world.Config) (*world.Result, *report.Report, error) {
	begin := time.Now()
	result, err := Simulate(ctx, cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("the simulation of %s was interrupted: %w", cfg.Name, err)
	}
	r := report.New(result)
	b.checks.Runs = append(b.checks.Runs, r)
	if len(r.Failures) > 0 {
		return nil, nil, fmt.Errorf("the simulation of %s broke a rule that must always hold: %s", cfg.Name, r.Failures[0])
	}
	if b.cfg.Logger != nil {
		b.cfg.Logger.Info("simulated", "scenario", cfg.Name, "viewers", cfg.Viewers, "wallMs", time.Since(begin).Milliseconds(),
			"offload", r.Offload, "boundShare", r.BoundShare, "copies", r.CDNCopies, "stalls", r.Stalls)
	}
	return result, r, nil
}

// large loads one of the scenarios of ten thousand.
func (b *barRun) large(name string) (world.Config, error) {
	cfg, err := Load(name)
	if b.cfg.Short {
		cfg.Viewers /= 10
		cfg.DurationMs = 60_000
	}
	return cfg, err
}

func steadyBar(ctx context.Context, b *barRun) error {
	return b.offload(ctx, "ten-thousand", "steady", 0.95)
}

func churnBar(ctx context.Context, b *barRun) error {
	return b.offload(ctx, "ten-thousand-churn", "churn", 0.90)
}

func tightBar(ctx context.Context, b *barRun) error {
	return b.offload(ctx, "ten-thousand-tight", "tight", 0.85)
}

// matchingBar holds the tracker that knows where viewers are beside one that does not.
func matchingBar(ctx context.Context, b *barRun) error {
	cfg, err := b.large("ten-thousand-isps")
	if err != nil {
		return err
	}
	if b.cfg.Short {
		cfg.ClusterViewers /= 10
	}
	_, matched, err := b.simulate(ctx, cfg)
	if err != nil {
		return err
	}
	cfg.Tracker.Blind = true
	cfg.Name += ", matched at random"
	_, random, err := b.simulate(ctx, cfg)
	if err != nil {
		return err
	}
	b.add(
		atLeast("matching: share of the bytes that could stay inside an ISP that did", matched.SameISP, 0.8,
			fmt.Sprintf("of what came from neighbours %.4f; at random %.4f and %.4f", matched.SameISPP2P, random.SameISP, random.SameISPP2P)),
		atLeast("matching: largest component of the worst room", matched.LargestComponent, 0.999, ""),
		atLeast("matching: offload beside matching at random", matched.Offload-random.Offload, -0.01,
			fmt.Sprintf("%.4f and %.4f; %d and %d stalls", matched.Offload, random.Offload, matched.Stalls, random.Stalls)),
	)
	return nil
}

// offload holds a scenario to its share of the bound, and its viewers' stalls to
// those that they have on the CDN alone.
func (b *barRun) offload(ctx context.Context, name, group string, bar float64) error {
	cfg, err := b.large(name)
	if err != nil {
		return err
	}
	begin := time.Now()
	with, r, err := b.simulate(ctx, cfg)
	if err != nil {
		return err
	}
	seconds := time.Since(begin).Seconds()
	cfg.PeerToPeer = false
	cfg.Name += ", CDN alone"
	without, plain, err := b.simulate(ctx, cfg)
	if err != nil {
		return err
	}
	alone := make(map[int64]int64, len(without.Viewers))
	for i := range without.Viewers {
		alone[without.Viewers[i].Number] = without.Viewers[i].Stalls
	}
	extra := 0.0
	for i := range with.Viewers {
		extra += float64(max(with.Viewers[i].Stalls-alone[with.Viewers[i].Number], 0))
	}
	b.add(
		atLeast(group+": offload as a share of the bound", r.BoundShare, bar, fmt.Sprintf("offload %.4f, bound %.4f, %.2f copies", r.Offload, r.Bound.Offload, r.CDNCopies)),
		atMost(group+": stalls that the CDN alone would not have had", extra, 0, fmt.Sprintf("%d stalls, %d ms in all; on the CDN alone %d, %d ms", r.Stalls, r.StallMs, plain.Stalls, plain.StallMs)),
	)
	if group == "steady" && !b.cfg.Short {
		b.add(atMost("steady: seconds of wall time to simulate it", seconds, 60, fmt.Sprintf("%d processors", runtime.GOMAXPROCS(0))))
	}
	return nil
}

// smallRoomSeeds is over how many rooms the copies of a bar are the mean: in a room
// of two a single line decides.
const smallRoomSeeds = 8

// roomBars counts the copies that small rooms cost, with the hold-back of three segments
// that players have, and with two, where a viewer that comes at the wrong moment has but
// one segment's time.
func roomBars(ctx context.Context, b *barRun) error {
	for _, holdBack := range []int{3, 2} {
		for _, n := range []int{2, 3, 5, 8, 20, 100} {
			if err := b.room(ctx, n, holdBack); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *barRun) room(ctx context.Context, n, holdBack int) error {
	cfg, err := Load("small-room")
	if err != nil {
		return err
	}
	cfg.Viewers, cfg.Stream.HoldBackSegments = n, holdBack
	cfg.Name = fmt.Sprintf("a room of %d, hold-back of %d", n, holdBack)
	copies, bound, stalls := 0.0, 0.0, int64(0)
	seeds := smallRoomSeeds
	if b.cfg.Short {
		seeds = 2
	}
	for seed := range seeds {
		cfg.Seed = uint64(seed + 1)
		result, r, err := b.simulate(ctx, cfg)
		if err != nil {
			return err
		}
		m := &result.Measured
		copies += r.CDNCopies
		bound += max(1, m.ViewersMean*(1-m.UplinkMean/float64(cfg.Stream.BytesPerSec)))
		stalls += r.Stalls
	}
	b.add(atMost("rooms: copies in "+cfg.Name+", in units of max(1, N − Σu/r)", copies/bound, 1.15,
		fmt.Sprintf("%.3f copies, bound %.3f, %d stalls, %d seeds", copies/float64(seeds), bound/float64(seeds), stalls, seeds)))
	return nil
}

// hostileBars lets every kind of attacker loose on a room.
func hostileBars(ctx context.Context, b *barRun) error {
	cfg, err := Load("hostile-thousand")
	if err != nil {
		return err
	}
	if b.cfg.Short {
		cfg.Viewers /= 10
	}
	share := cfg.Hostile.Share
	cfg.Hostile.Share = 0
	cfg.Name = "nobody hostile"
	_, clean, err := b.simulate(ctx, cfg)
	if err != nil {
		return err
	}
	cfg.Hostile.Share = share
	for _, name := range slices.Sorted(maps.Keys(world.HostileKinds)) {
		cfg.Hostile.Kind = world.HostileKinds[name]
		cfg.Name = "hostile: " + name
		_, r, err := b.simulate(ctx, cfg)
		if err != nil {
			return err
		}
		b.add(
			atMost(cfg.Name+": bad bytes that a player got", float64(r.BadBytes), 0, fmt.Sprintf("%d bad leaves rejected, %d neighbours given up", r.RejectedLeaves, r.Dropped)),
			atLeast(cfg.Name+": offload, 0.7 × clean − 2 points", r.Offload, 0.7*clean.Offload-0.02, fmt.Sprintf("clean %.4f", clean.Offload)),
			atMost(cfg.Name+": rebuffering, clean + 0.1 points", r.Rebuffering, clean.Rebuffering+0.001, fmt.Sprintf("%d stalls, %d ms", r.Stalls, r.StallMs)),
		)
	}
	return nil
}
