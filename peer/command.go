package peer

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"
)

// Command is `slipstream peer`.
type Command struct {
	URL       string        `arg:"" help:"The channel's multivariant playlist."`
	N         int           `help:"Viewers." short:"n" default:"1"`
	ID        string        `help:"Channel id; default: the one that the playlist claims." placeholder:"ID"`
	Rendition string        `help:"Rendition to play, or auto to choose by throughput; default: the best." placeholder:"NAME"`
	Start     time.Duration `help:"Where to begin a recording, for example 10m." placeholder:"TIME"`
	Duration  time.Duration `help:"How long to watch; 0: until interrupted." placeholder:"TIME"`
	Warmup    time.Duration `help:"Count only what happens after this time." placeholder:"TIME"`
	Ramp      time.Duration `help:"Time between one viewer's joining and the next's." default:"50ms" placeholder:"TIME"`
	Upload    float64       `help:"Cap on each viewer's uplink in Mb/s; 0: none." placeholder:"MBPS"`
	NoUpload  bool          `help:"Pass nothing on, as viewers without consent or on metered lines."`
	HTTPOnly  bool          `help:"Play from the CDN alone, for comparison."`
	CDN       []string      `help:"The same playlist at another CDN, for when this one fails; repeatable." placeholder:"URL"`
	JSON      bool          `help:"Print one JSON object at the end instead of a line a second."`
}

// viewerGCPercent is the garbage collector's target for viewers, if GOGC does not say otherwise: of their memory most is
// allocated by WebRTC for one packet at a time, and to collect it half as often saves a twentieth of their CPU time.
const viewerGCPercent = 200

func (c Command) Run(ctx context.Context, out io.Writer, log *slog.Logger) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(viewerGCPercent)
	}
	return Run(ctx, Config{
		URL: c.URL, Channel: c.ID, Rendition: c.Rendition, Start: c.Start, Viewers: c.N, Ramp: c.Ramp, Duration: c.Duration,
		Warmup: c.Warmup, JSON: c.JSON, HTTPOnly: c.HTTPOnly, UploadBytesPerSec: int64(c.Upload * 1e6 / 8),
		NoUpload: c.NoUpload, CDNs: c.CDN, Out: out, Log: log,
	})
}
