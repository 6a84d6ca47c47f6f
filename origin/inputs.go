package origin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipstream/origin/child"
	"slipstream/origin/playout"
)

const (
	minInputLost = 200 * time.Millisecond // on a bad line pictures are that far apart
	maxInputWait = time.Hour
	maxSlateFor  = 30 * 24 * time.Hour
)

// checkInputs says in a sentence what is wrong with how the loss of inputs is to be met.
func (cfg Config) checkInputs() error {
	for _, name := range cfg.Backup {
		if !slices.Contains(cfg.Channels, name) {
			return fmt.Errorf("a backup is wanted for the channel %q, which does not exist: the channels are %q", name, cfg.Channels)
		}
	}
	switch {
	case cfg.InputLost < minInputLost || cfg.InputLost > maxInputWait:
		return fmt.Errorf("an input cannot count as lost after %v: choose %v to %v", cfg.InputLost, minInputLost, maxInputWait)
	case cfg.InputSteady < 0 || cfg.InputSteady > maxInputWait:
		return fmt.Errorf("an input cannot count as steady after %v: choose a time up to %v", cfg.InputSteady, maxInputWait)
	case cfg.SlateFor < 0 || cfg.SlateFor > maxSlateFor:
		return fmt.Errorf("slate cannot be shown for %v: choose a time up to %v", cfg.SlateFor, maxSlateFor)
	}
	return nil
}

// makeSlate encodes the slate in the size of the largest rung; nil if there is none to be.
func (cfg Config) makeSlate(ctx context.Context) (*playout.Slate, error) {
	if cfg.Slate == "" {
		return nil, nil
	}
	width, height := 0, 0
	for _, rung := range cfg.Ladder {
		width, height = max(width, rung.Width), max(height, rung.Height)
	}
	slate, err := playout.NewSlate(ctx, cfg.Slate, width, height)
	missing := (*child.MissingError)(nil)
	switch {
	case errors.As(err, &missing):
		return nil, setup(ErrNoFFmpeg, err)
	case err != nil:
		return nil, setup(ErrConfig, err)
	}
	return slate, nil
}
