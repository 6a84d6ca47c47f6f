package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"slipstream/sim/draw"
	"slipstream/sim/oracle"
	"slipstream/sim/report"
	"slipstream/sim/scenario"
	"slipstream/sim/world"
)

// ValidateConfig is what `slipstream sim validate` was asked for.
type ValidateConfig struct {
	Short  bool // smaller rooms
	JSON   bool
	Out    io.Writer
	Logger *slog.Logger // tells of each run; nil: nobody
}

// Validate holds the engine and the simulator to what theory says. It is an error,
// after the table is written, if a law is broken.
func Validate(ctx context.Context, cfg ValidateConfig) error {
	v := &validation{barRun{cfg: BarsConfig{Logger: cfg.Logger}}, cfg.Short}
	begin := time.Now()
	for _, oracle := range []func(context.Context) error{v.floor, v.deadline, v.spread, v.election, v.processors} {
		if err := oracle(ctx); err != nil {
			return err
		}
	}
	v.checks.Runs = nil
	v.checks.WallMs = time.Since(begin).Milliseconds()
	if err := v.checks.write(cfg.Out, cfg.JSON); err != nil {
		return err
	}
	return v.checks.missed()
}

type validation struct {
	barRun
	short bool
}

// room is N viewers on equal lines that upload ratio × 1 Mb/s, and D as small as it
// gets with two segments of hold-back.
func (v *validation) room(viewers int, ratio float64, stream string) (world.Config, error) {
	text := fmt.Sprintf(`
name: %d viewers, u/r %g
duration: 50s
measureAfter: 16s
stream: { %s }
viewers: { count: %d, arriveOver: 4s, lines: [{ uplink: %gkbps }] }
`, viewers, ratio, stream, viewers, 1000*ratio)
	return scenario.Parse([]byte(text), nil)
}

func (v *validation) sizes() []int {
	if v.short {
		return []int{20}
	}
	return []int{20, 100, 400}
}

// floor: the CDN sends no less than it must, and not much more. Where uplinks are short
// the engine still wastes some of them (DESIGN.md); the factor keeps it from getting worse.
func (v *validation) floor(ctx context.Context) error {
	for _, n := range v.sizes() {
		for _, c := range []struct{ ratio, most float64 }{{0, 1.001}, {0.5, 1.7}, {2, 1.15}} {
			cfg, err := v.room(n, c.ratio, "holdBackSegments: 3")
			if err != nil {
				return err
			}
			cfg.Classes[0].NoUpload = c.ratio == 0
			_, r, err := v.simulate(ctx, cfg)
			if err != nil {
				return err
			}
			floor := oracle.CDNFloor(r.Bound.N, 1, r.Bound.N*r.Bound.UplinkBps/r.Bound.RateBps)
			name := fmt.Sprintf("CDN floor: copies sent to %d viewers at u/r = %g", n, c.ratio)
			v.add(
				atLeast(name, r.CDNCopies, 0.999*floor, "max(1, N − Σu/r), a law"),
				atMost(name, r.CDNCopies, c.most*floor, fmt.Sprintf("%g times that, what the engine may cost", c.most)),
			)
		}
	}
	return nil
}

// deadline: what comes from neighbours has had the time to come.
func (v *validation) deadline(ctx context.Context) error {
	for _, n := range v.sizes() {
		for _, holdBack := range []int{1, 2} {
			cfg, err := v.room(n, 1.2, fmt.Sprintf("segment: 4s, holdBackSegments: %d", holdBack))
			if err != nil {
				return err
			}
			cfg.DurationMs = 80_000
			result, r, err := v.simulate(ctx, cfg)
			if err != nil {
				return err
			}
			d := result.Measured.SlackMs
			bound := oracle.Offload(r.Bound.N, 1, r.Bound.UplinkBps/r.Bound.RateBps, d, float64(r.Bound.T0Ms), float64(r.Bound.TMs))
			v.add(atMost(fmt.Sprintf("deadline: offload of %d viewers, hold-back of %d × 4 s, u/r = 1.2", n, holdBack), r.Offload, bound,
				fmt.Sprintf("min(1 − 1/N, u/r · min(1, (D − t0)/T)), D %.0f ms on average, a law", d)))
		}
	}
	return nil
}

// spread: a leaf does not reach viewers faster than those who have it can send.
func (v *validation) spread(ctx context.Context) error {
	for _, n := range v.sizes() {
		cfg, err := v.room(n, 2, "holdBackSegments: 3")
		if err != nil {
			return err
		}
		cfg.Watch = true
		result, _, err := v.simulate(ctx, cfg)
		if err != nil {
			return err
		}
		leafMs := 16384 * 1000 / float64(cfg.Classes[0].UplinkBytesPerSec)
		least, most, segments := 0.0, 0.0, 0
		for _, leaf := range result.Watched {
			if len(leaf.HeldMs) < n {
				continue
			}
			segments++
			slices.Sort(leaf.HeldMs)
			first := leaf.HeldMs[0]
			copies := float64(max(leaf.Copies, 1))
			took := float64(leaf.HeldMs[n-1]-first) + 1 // the grid of time is a millisecond
			if bound := oracle.SpreadMs(float64(n), copies, leafMs); bound > 0 {
				ratio := took / bound
				if least == 0 || ratio < least {
					least = ratio
				}
			}
			for i, atMs := range leaf.HeldMs {
				steps := int(float64(atMs-first+1) / leafMs)
				most = max(most, float64(i+1)/(copies*oracle.Reach(min(steps, 40), maxNeighbours)))
			}
		}
		v.add(
			atLeast(fmt.Sprintf("delay: time until all %d have a leaf, in units of (p/u)·⌈log2(N/k)⌉", n), least, 1, fmt.Sprintf("the least of %d segments, a law", segments)),
			atMost(fmt.Sprintf("fan-out: viewers of %d that have a leaf, in units of k·Σ F_K(i)", n), most, 1, fmt.Sprintf("the most at any time, K = %d, a law", maxNeighbours)),
		)
	}
	return nil
}

// maxNeighbours is what the tracker gives a viewer at most (swarm.Config.MaxDegree).
const maxNeighbours = 12

// election: duties by exact rank cost one copy; had each viewer fetched what no
// neighbour of lower number would, it would have been Σ 1/(d+1).
func (v *validation) election(ctx context.Context) error {
	for _, n := range v.sizes() {
		cfg, err := v.room(n, 2, "holdBackSegments: 3")
		if err != nil {
			return err
		}
		cfg.Watch = true
		result, r, err := v.simulate(ctx, cfg)
		if err != nil {
			return err
		}
		degrees := make([]int, len(result.Graph))
		for i, neighbours := range result.Graph {
			degrees[i] = len(neighbours)
		}
		theory := oracle.LocalElection(degrees)
		measured := localElection(result.Graph)
		v.add(
			atMost(fmt.Sprintf("election: copies by local minimum among %d, off theory by", n), relative(measured, theory), 0.05,
				fmt.Sprintf("counter-example: %.2f copies, Σ 1/(d+1) = %.2f, at most %.1f %% offload", measured, theory, 100*(1-theory/float64(n)))),
			atMost(fmt.Sprintf("election: copies by duty among %d", n), r.CDNCopies, max(1.15, theory/2), "exact rank, with all rescues"),
		)
		cfg.Tracker.Duties = false
		if _, r, err = v.simulate(ctx, cfg); err != nil {
			return err
		}
		v.add(atMost(fmt.Sprintf("election: copies among %d without duties", n), r.CDNCopies, max(1.15, theory/2), "whoever rescued goes on, and stands back now and then"))
	}
	return nil
}

// localElection counts those who draw the least among their neighbours, over many draws.
func localElection(graph [][]int32) (mean float64) {
	const draws = 400
	source := draw.New(1)
	for n := range int64(draws) {
		for i, neighbours := range graph {
			mine, least := source.Bits(int64(i), 1, n), true
			for _, j := range neighbours {
				least = least && mine < source.Bits(int64(j), 1, n)
			}
			if least {
				mean += 1.0 / draws
			}
		}
	}
	return mean
}

func relative(a, b float64) float64 { return max(a-b, b-a) / b }

// processors: clusters in parallel give what they give one after the other.
func (v *validation) processors(ctx context.Context) error {
	cfg, err := v.room(60, 2, "holdBackSegments: 3")
	if err != nil {
		return err
	}
	cfg.ClusterViewers = 20
	parallel, _, err := v.simulate(ctx, cfg)
	if err != nil {
		return err
	}
	serial, err := world.Run(ctx, cfg)
	if err != nil {
		return fmt.Errorf("the simulation of %s was interrupted: %w", cfg.Name, err)
	}
	differences := 0.0
	if parallel.Hash() != serial.Hash() {
		differences = 1
	}
	v.add(atMost("processors: results that differ from those of one processor", differences, 0, "hash "+report.New(serial).Hash))
	return nil
}
