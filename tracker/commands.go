package tracker

import (
	"context"
	"io"
	"log/slog"
	"time"

	"slipstream/tracker/cluster"
	"slipstream/tracker/geo"
	"slipstream/tracker/token"
	"slipstream/tracker/top"
)

// Commands are those of `slipstream tracker`.
type Commands struct {
	Serve   serveCommand   `cmd:"" default:"withargs" help:"Run a tracker (the default)."`
	Token   tokenCommands  `cmd:"" help:"Tokens that viewers join with."`
	Channel channelCommand `cmd:"" help:"Set how the viewers of a channel may meet and what they upload at most, for a whole cluster that keeps such things."`
	Top     topCommand     `cmd:"" help:"Show in the terminal how a tracker fares."`
	Geo     geoCommands    `cmd:"" help:"Databases that tell where addresses are: get one, measure one."`
}

type channelCommand struct {
	ID           string        `arg:"" help:"The channel's id."`
	Sharing      string        `help:"relay: through the relay only; off: not at all; default: as tokens say." enum:",relay,off" default:""`
	UploadCap    float64       `help:"Cap on each of its viewers' uploads in Mb/s; 0: none." placeholder:"MBPS"`
	TokenKey     string        `help:"File with the token secret, the same as the trackers'." default:"data/keys/token.key" placeholder:"FILE"`
	Cluster      string        `help:"Name of the cluster." required:"" placeholder:"NAME"`
	ClusterRoute []string      `help:"Address (--cluster-listen) of a tracker of it; repeatable." placeholder:"ADDR"`
	NATS         string        `name:"nats" help:"URLs of the NATS servers, where the trackers have none of their own." placeholder:"URL,…"`
	Within       time.Duration `help:"How long to try." default:"30s" placeholder:"TIME"`
}

func (c channelCommand) Run(ctx context.Context, log *slog.Logger) error {
	secret, err := ReadSecret(c.TokenKey)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Within)
	defer cancel()
	return cluster.SetChannel(ctx, cluster.Config{Name: c.Cluster, URL: c.NATS, Routes: c.ClusterRoute, Secret: secret, Log: log},
		c.ID, cluster.Settings{Sharing: token.Sharing(c.Sharing), UploadBps: bitsPerSec(c.UploadCap)})
}

type topCommand struct {
	URL   string        `arg:"" optional:"" help:"The tracker, or its statistics." default:"http://localhost:8081"`
	Once  bool          `help:"Print one frame and end."`
	Every time.Duration `help:"Time between frames, at least 1s." default:"2s" placeholder:"TIME"`
	Rows  int           `help:"Channels that are listed, the largest." default:"20" placeholder:"N"`
}

func (c topCommand) Run(ctx context.Context, out io.Writer) error {
	return top.Run(ctx, top.Config{URL: c.URL, Once: c.Once, Every: c.Every, Rows: c.Rows, Out: out})
}

type geoCommands struct {
	Fetch geoFetchCommand `cmd:"" help:"Tell where there are databases, or download one from where you say."`
	Check geoCheckCommand `cmd:"" help:"Measure databases: ranges, memory, time of a look-up, what they know of a list of addresses."`
}

type geoFetchCommand struct {
	URL string `help:"Where to download it; without, tell where there are databases and under which licences." placeholder:"URL"`
	To  string `help:"File to keep it in; a bad download leaves that as it is." placeholder:"FILE"`
}

func (c geoFetchCommand) Run(ctx context.Context, out io.Writer) error {
	return geo.Fetch(ctx, geo.FetchConfig{URL: c.URL, To: c.To, Out: out})
}

type geoCheckCommand struct {
	Files     []string `arg:"" help:"Databases, MaxMind format or CSV." name:"file"`
	Addresses string   `help:"File with addresses, one a line." placeholder:"FILE"`
	JSON      bool     `help:"Print one JSON object."`
}

func (c geoCheckCommand) Run(out io.Writer) error {
	return geo.Check(geo.CheckConfig{Files: c.Files, Addresses: c.Addresses, JSON: c.JSON, Out: out})
}
