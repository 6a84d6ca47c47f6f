package emulate

import (
	"context"
	"errors"
	"fmt"
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
