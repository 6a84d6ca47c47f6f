package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"slipstream/sim/emulate"
)

// Commands are those of `slipstream sim`.
type Commands struct {
	Run      runCommand      `cmd:"" help:"Simulate a scenario."`
	Emulate  emulateCommand  `cmd:"" help:"Run a scenario with real viewers behind emulated links (Linux, root)."`
	Validate validateCommand `cmd:"" help:"Hold the engine to what theory says; exit code 1 if it breaks a law."`
	Bars     barsCommand     `cmd:"" help:"Hold the engine to its bars in simulation; exit code 1 if it misses one."`
	Speed    speedCommand    `cmd:"" help:"Simulate a scenario and tell how fast that was."`
}

type runCommand struct {
	Scenario string  `arg:"" help:"Scenario file (YAML)."`
	Seed     *uint64 `help:"Seed instead of the scenario's." placeholder:"N"`
	JSON     bool    `help:"Print one JSON object."`
}

func (c runCommand) Run(ctx context.Context, out io.Writer, log *slog.Logger) error {
	return Run(ctx, Config{ScenarioPath: c.Scenario, Seed: c.Seed, JSON: c.JSON, Out: out, Logger: log})
}

type barsCommand struct {
	Only  string `help:"Only these: rooms, hostile, steady, churn, tight or matching." placeholder:"GROUP"`
	Short bool   `help:"Fewer viewers, shorter."`
	JSON  bool   `help:"Print one JSON object."`
}

func (c barsCommand) Run(ctx context.Context, out io.Writer, log *slog.Logger) error {
	return Bars(ctx, BarsConfig{Only: c.Only, Short: c.Short, JSON: c.JSON, Out: out, Logger: log})
}

type validateCommand struct {
	Short bool `help:"Smaller rooms only."`
	JSON  bool `help:"Print one JSON object."`
}

func (c validateCommand) Run(ctx context.Context, out io.Writer, log *slog.Logger) error {
	return Validate(ctx, ValidateConfig{Short: c.Short, JSON: c.JSON, Out: out, Logger: log})
}

type speedCommand struct {
	Scenario string `arg:"" default:"thousand" help:"Scenario file (YAML), or the name of a built-in one."`
	Profile  string `help:"Write a CPU profile to this file." placeholder:"FILE"`
}

func (c speedCommand) Run(ctx context.Context, out io.Writer) error {
	return Speed(ctx, SpeedConfig{ScenarioPath: c.Scenario, ProfilePath: c.Profile, Out: out})
}

type emulateCommand struct {
	runCommand `embed:""`
	PerHost    int  `help:"Viewers that share a host and its line." default:"1" placeholder:"N"`
	Keep       bool `help:"Start no viewers: print where the hosts are (JSON) and keep them until standard input ends."`
}

func (c emulateCommand) Run(ctx context.Context, out io.Writer, log *slog.Logger) error {
	experiment, err := Load(c.Scenario)
	if err != nil {
		return err
	}
	if c.Seed != nil {
		experiment.Seed = *c.Seed
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("this program cannot find itself, which it would start viewers from: %w", err)
	}
	cfg := emulate.Config{
		Scenario: experiment, Program: program, PerHost: c.PerHost, JSON: c.JSON, In: os.Stdin, Out: out, Log: log,
	}
	if c.Keep {
		return emulate.Keep(ctx, cfg)
	}
	return emulate.Run(ctx, cfg)
}
