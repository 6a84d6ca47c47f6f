package origin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"slipstream/origin/child"
	"slipstream/origin/ingest"
	"slipstream/origin/pull"
)

// pulls reads what the origin fetches by itself, by channel or the place of its backup.
func (cfg Config) pulls() (map[string]pull.Source, error) {
	sources := make(map[string]pull.Source)
	for _, from := range []struct {
		table map[string]string
		parse func(string) (pull.Source, error)
	}{{cfg.Pull, pull.Parse}, {cfg.PullOnce, pull.ParseOnce}} {
		for channel, text := range from.table {
			if name, _ := ingest.SplitPlace(channel); !slices.Contains(cfg.Channels, name) {
				// The name is not repeated: if the channel was forgotten, it is part of a URL.
				return nil, fmt.Errorf("a source is to be pulled into a channel that does not exist: say CHANNEL=FILE or CHANNEL=URL, where the channel is one of %q", cfg.Channels)
			}
			if _, twice := sources[channel]; twice {
				return nil, fmt.Errorf("the channel %q is pulled from two sources: choose one", channel)
			}
			source, err := from.parse(text)
			if err != nil {
				return nil, fmt.Errorf("the channel %q cannot be pulled: %w", channel, err)
			}
			sources[channel] = source
		}
	}
	return sources, nil
}

// checkPulls looks into the files among the sources.
func checkPulls(ctx context.Context, sources map[string]pull.Source) error {
	for channel, source := range sources {
		err := source.Check(ctx)
		missing := (*child.MissingError)(nil)
		switch {
		case errors.As(err, &missing):
			return setup(ErrNoFFmpeg, err)
		case err != nil:
			return setup(ErrConfig, fmt.Errorf("the channel %q cannot be pulled: %w", channel, err))
		}
	}
	return nil
}

// reserve takes the channels that are pulled, before any publisher can.
func reserve(ctx context.Context, publishers *ingest.Server, sources map[string]pull.Source) (map[string]*ingest.Input, error) {
	inputs := make(map[string]*ingest.Input)
	for channel, source := range sources {
		input, err := publishers.Reserve(ctx, channel, source.Protocol(), source.String())
		if err != nil {
			return nil, err
		}
		inputs[channel] = input
	}
	return inputs, nil
}

// startPulls has each source fetched until ctx ends, or until it is done for good.
func startPulls(ctx context.Context, group *errgroup.Group, cfg Config, sources map[string]pull.Source, inputs map[string]*ingest.Input) {
	for channel, source := range sources {
		group.Go(func() error {
			defer inputs[channel].Release()
			pull.Run(ctx, pull.Config{Source: source, Input: inputs[channel], Logger: cfg.Logger.With("channel", channel)})
			return nil
		})
	}
}
