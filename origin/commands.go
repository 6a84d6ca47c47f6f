package origin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"slipstream/origin/permit"
)

// Commands are those of `slipstream origin`.
type Commands struct {
	Serve  serveCommand  `cmd:"" default:"withargs" help:"Run an origin (the default)."`
	Verify verifyCommand `cmd:"" help:"Check a channel's whole live window from outside."`
	Token  tokenCommand  `cmd:"" help:"Sign a token that lets its bearer publish a channel."`
}

type serveCommand struct {
	Flags
	TrackerURL string   `help:"The tracker's WebSocket URL as viewers are told it; empty: no peer-to-peer." placeholder:"URL"`
	Role       string   `help:"both; encode: transcode and push, serve no viewer; package: sign and serve what is pushed here, encode nothing." enum:"both,encode,package" default:"both"`
	Push       []string `help:"Publishing point of an origin that packages what this one encodes, such as http://packager.example:8080/ingest/<stream key>; without CHANNEL= that of the first channel; repeatable." placeholder:"[CHANNEL=]URL"`
	Region     string   `help:"This origin's name among those that publish the same channels with the same root keys." placeholder:"NAME"`
}

// pushes reads what is pushed where.
func (c serveCommand) pushes() map[string][]string {
	targets := make(map[string][]string)
	first := ChannelNames(c.Channel, c.Channels)[0]
	for _, text := range c.Push {
		channel, target, named := strings.Cut(text, "=")
		if !named || strings.Contains(channel, "/") {
			channel, target = first, text
		}
		targets[channel] = append(targets[channel], target)
	}
	return targets
}

func (c serveCommand) Run(ctx context.Context, pages Pages, out io.Writer, log *slog.Logger) error {
	cfg, err := c.Config(pages, log, func(at Ready) { at.tell(out) })
	if err != nil {
		return err
	}
	cfg.Tracker = c.TrackerURL
	cfg.Role, cfg.Push, cfg.Region = Role(c.Role), c.pushes(), c.Region
	return Run(ctx, cfg)
}

// tell says where channels are watched and published.
func (at Ready) tell(out io.Writer) {
	for _, channel := range at.Channels {
		fmt.Fprintf(out, "channel %s (%s)\n", channel.Name, channel.ID)
		fmt.Fprintf(out, "  watch    http://%s/watch/%s\n", Reachable(at.HTTP), channel.Name)
		if at.HTTPS != "" {
			fmt.Fprintf(out, "  or       https://%s/watch/%s\n", Reachable(at.HTTPS), channel.Name)
		}
		if at.RTMP == "" {
			fmt.Fprintf(out, "  push to  http://%s/ingest/%s\n", Reachable(at.HTTP), channel.StreamKey)
			continue
		}
		fmt.Fprintf(out, "  publish  rtmp://%s/live  stream key %s\n", Reachable(at.RTMP), channel.StreamKey)
		if channel.BackupKey != "" {
			fmt.Fprintf(out, "  backup   rtmp://%s/live  stream key %s\n", Reachable(at.RTMP), channel.BackupKey)
		}
		for _, address := range at.AlsoPublishTo(channel) {
			fmt.Fprintf(out, "  or       %s\n", address)
		}
	}
}

type tokenCommand struct {
	Channel string        `arg:"" help:"The channel's name."`
	Create  bool          `help:"The bearer may make the channel, if there is none of that name."`
	Backup  bool          `help:"The bearer is the channel's backup publisher."`
	Address string        `help:"IP address or prefix that the publisher must come from; default: any." placeholder:"IP"`
	After   time.Duration `help:"How long from now the token becomes valid." placeholder:"TIME"`
	Valid   time.Duration `help:"For how long it is valid from then on; 0: for ever." default:"24h" placeholder:"TIME"`
	Key     string        `help:"Private key or secret to sign with; default: keys/publish.key in the data directory." placeholder:"FILE"`
	Data    string        `help:"Directory with the origin's keys." default:"data" placeholder:"DIR"`
}

func (c tokenCommand) Run(out io.Writer) error {
	right := permit.Permit{Channel: c.Channel, Backup: c.Backup, Create: c.Create, Address: c.Address}
	from := time.Now().Add(c.After)
	if c.After != 0 {
		right.From = from
	}
	if c.Valid != 0 {
		right.Until = from.Add(c.Valid)
	}
	token, err := Token(c.Data, c.Key, right)
	if err == nil {
		fmt.Fprintln(out, token)
	}
	return err
}

type verifyCommand struct {
	URL string `arg:"" help:"Multivariant or media playlist."`
	ID  string `help:"Channel id that the playlist must belong to; default: the one that it claims." placeholder:"ID"`
}

func (c verifyCommand) Run(ctx context.Context, out io.Writer) error {
	return Verify(ctx, c.URL, c.ID, out)
}
