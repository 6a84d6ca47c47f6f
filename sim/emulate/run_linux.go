package emulate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

var errRoot = errors.New("emulation needs root: it makes network namespaces and TUN devices")

// Run emulates a scenario and writes its report. Its errors are sentences.
func Run(ctx context.Context, cfg Config) error {
	stage, services, err := begin(ctx, &cfg)
	if err != nil {
		return err
	}
	defer stage.close()
	a := &audience{stage: stage, services: services}
	if err := a.play(ctx); err != nil {
		return err
	}
	r := newReport(a)
	if cfg.JSON {
		err = r.writeJSON(cfg.Out)
	} else {
		err = r.writeText(cfg.Out)
	}
	if err == nil && len(r.Failures) > 0 {
		err = fmt.Errorf("%d viewers of the emulation failed; the report names them", len(r.Failures))
	}
	return err
}

// begin is what Run and Keep have in common: everything but the viewers.
func begin(ctx context.Context, cfg *Config) (*stage, *services, error) {
	if cfg.PerHost == 0 {
		cfg.PerHost = 1
	}
	if cfg.PerHost < 0 || cfg.PerHost > maxPerHost {
		return nil, nil, fmt.Errorf("%d viewers cannot share a host: choose 1 to %d", cfg.PerHost, maxPerHost)
	}
	p, err := newPlan(cfg.Scenario, cfg.PerHost)
	if err != nil {
		return nil, nil, err
	}
	if os.Geteuid() != 0 {
		return nil, nil, errRoot
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s, err := newStage(p)
	if err != nil {
		return nil, nil, err
	}
	cfg.Log.Info("the hosts are up", "hosts", len(p.hosts), "directory", s.dir)
	v, err := s.startServices(ctx, cfg.Program)
	if err == nil {
		// As in the simulator, the channel has been on the air for a while.
		err = v.waitForSegments(ctx, int64(cfg.Scenario.Stream.HoldBackSegments)+2)
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	cfg.Log.Info("the channel is on the air", "playlist", v.playlist)
	return s, v, nil
}
