package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"
)

// SpeedConfig is what `slipstream sim speed` was asked for.
type SpeedConfig struct {
	ScenarioPath string
	ProfilePath  string // where to write a CPU profile; empty: nowhere
	Out          io.Writer
}

// speed is how fast the simulator was.
type speed struct {
	Scenario                  string  `json:"scenario"`
	Viewers                   int     `json:"viewers"`
	ViewerSeconds             float64 `json:"viewerSeconds"` // that were simulated
	WallSeconds               float64 `json:"wallSeconds"`
	CPUSeconds                float64 `json:"cpuSeconds"`
	ViewerSecondsPerCPUSecond float64 `json:"viewerSecondsPerCpuSecond"`
	Processors                int     `json:"processors"`
	MaxResidentBytes          int64   `json:"maxResidentBytes"`
	Hash                      string  `json:"hash"`
}

// Speed runs a scenario and tells how long it took, as one JSON object.
func Speed(ctx context.Context, cfg SpeedConfig) error {
	experiment, err := Load(cfg.ScenarioPath)
	if err != nil {
		return err
	}
	if cfg.ProfilePath != "" {
		file, err := os.Create(cfg.ProfilePath)
		if err != nil {
			return fmt.Errorf("the profile cannot be written: %w", err)
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("the profile cannot be written: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	begin, cpu := time.Now(), cpuSeconds()
	result, err := Simulate(ctx, experiment)
	if err != nil {
		return fmt.Errorf("the simulation of %s was interrupted: %w", cfg.ScenarioPath, err)
	}
	s := speed{
		Scenario: experiment.Name, Viewers: len(result.Viewers), Processors: runtime.GOMAXPROCS(0), Hash: result.Hash(),
		WallSeconds: time.Since(begin).Seconds(), CPUSeconds: cpuSeconds() - cpu, MaxResidentBytes: usage().Maxrss << 10,
	}
	for i := range result.Viewers {
		s.ViewerSeconds += float64(result.Viewers[i].PresentMs) / 1000
	}
	s.ViewerSecondsPerCPUSecond = s.ViewerSeconds / max(s.CPUSeconds, 1e-3)
	if err := json.NewEncoder(cfg.Out).Encode(&s); err != nil {
		return fmt.Errorf("the result cannot be written: %w", err)
	}
	return nil
}

func usage() (u syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for no argument of ours
	return u
}

// cpuSeconds is what this process has used of its processors.
func cpuSeconds() float64 {
	u := usage()
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
