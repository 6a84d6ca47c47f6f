package seeder

import (
	"context"
	"log/slog"
)

// Command is `slipstream seeder`.
type Command struct {
	URL      string  `arg:"" help:"The channel's multivariant playlist."`
	ID       string  `help:"Channel id; default: the one that the playlist claims." placeholder:"ID"`
	TokenKey string  `help:"File with the token secret; without it the seeder is an ordinary viewer to the tracker." placeholder:"FILE"`
	Memory   int64   `help:"MiB for the live window." default:"256" placeholder:"MIB"`
	Upload   float64 `help:"Cap on the uplink in Mb/s; 0: none." placeholder:"MBPS"`
}

// ReadSecret reads a file with a token secret, as trackers do.
type ReadSecret func(file string) ([]byte, error)

func (c Command) Run(ctx context.Context, read ReadSecret, log *slog.Logger) error {
	cfg := Config{
		URL: c.URL, Channel: c.ID, StoreBytes: c.Memory << 20, UploadBytesPerSec: int64(c.Upload * 1e6 / 8), Log: log,
	}
	if c.TokenKey != "" {
		secret, err := read(c.TokenKey)
		if err != nil {
			return err
		}
		cfg.TokenSecret = secret
	}
	return Run(ctx, cfg)
}
