// Package sim answers "what if": what a swarm of so many viewers with such lines
// would do. It runs the code that ships, package peer/sched in every viewer and
// package tracker/swarm as the tracker, in virtual time.
//
//	clock     a timing wheel: what happens when
//	draw      randomness that is looked up, not consumed
//	network   fluid links and the CDN
//	world     viewers, players, the tracker: one run
//	scenario  experiments in YAML
//	oracle    what theory allows
//	report    results in numbers, beside that
//
// Run runs one scenario; Validate holds the engine to theory, Bars to what was
// promised, and Speed tells how fast all this is.
//
// The same scenario and seed give the same result, on any number of processors.
package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipstream/sim/report"
	"slipstream/sim/scenario"
	"slipstream/sim/scenarios"
	"slipstream/sim/world"
)

// Config is what `slipstream sim run` was asked for.
type Config struct {
	ScenarioPath string  // a file, or the name of a built-in scenario
	Seed         *uint64 // instead of the scenario's
	JSON         bool    // one JSON object instead of text
	Out          io.Writer
	Logger       *slog.Logger // tells the wall time; nil: nobody
}

// More than any experiment needs to say, and than a million visits.
const (
	maxScenario = 1 << 20
	maxTrace    = 64 << 20
)

// Run runs one scenario and writes its report. Its errors are sentences. A run
// in which something happened that must never happen is an error too, after its
// report is written.
func Run(ctx context.Context, cfg Config) error {
	experiment, err := Load(cfg.ScenarioPath)
	if err != nil {
		return err
	}
	if cfg.Seed != nil {
		experiment.Seed = *cfg.Seed
	}
	begin := time.Now()
	result, err := Simulate(ctx, experiment)
	if err != nil {
		return fmt.Errorf("the simulation of %s was interrupted: %w", cfg.ScenarioPath, err)
	}
	if cfg.Logger != nil {
		cfg.Logger.Info("simulated", "scenario", experiment.Name, "viewers", experiment.Viewers, "wallMs", time.Since(begin).Milliseconds())
	}
	r := report.New(result)
	if cfg.JSON {
		err = r.WriteJSON(cfg.Out)
	} else {
		err = r.WriteText(cfg.Out)
	}
	if err == nil && len(r.Failures) > 0 {
		err = fmt.Errorf("the simulation of %s broke %d rules that must always hold; the report names them", cfg.ScenarioPath, len(r.Failures))
	}
	return err
}

// Load reads a scenario from a file or, if there is no such file, from those
// built in, whose names are those of their files.
func Load(path string) (world.Config, error) {
	text, err := readScenario(path)
	if err != nil {
		return world.Config{}, err
	}
	beside := filepath.Dir(path)
	cfg, err := scenario.Parse(text, func(name string) ([]byte, error) { return readFile(filepath.Join(beside, name), maxTrace) })
	if err != nil {
		return world.Config{}, fmt.Errorf("%s cannot be run: %w", path, err)
	}
	if cfg.Name == "" {
		cfg.Name = strings.TrimSuffix(filepath.Base(path), ".yaml")
	}
	return cfg, nil
}

func readScenario(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		base := strings.TrimSuffix(filepath.Base(path), ".yaml")
		for _, dir := range []string{"", "bars/"} {
			if text, err := scenarios.Files.ReadFile(dir + base + ".yaml"); err == nil {
				return text, nil
			}
		}
		return nil, fmt.Errorf("there is no scenario file %s; built in are %s", path, strings.Join(scenarios.Names(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("the scenario cannot be opened: %w", err)
	}
	file.Close()
	text, err := readFile(path, maxScenario)
	if err != nil {
		return nil, fmt.Errorf("the scenario cannot be read: %w", err)
	}
	return text, nil
}

func readFile(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s is longer than %d MiB", path, most>>20)
	}
	return text, nil
}
