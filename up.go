package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"

	"golang.org/x/sync/errgroup"

	"slipstream/origin"
	"slipstream/origin/keys"
	"slipstream/origin/publish"
	"slipstream/origin/transcode"
	"slipstream/player"
	"slipstream/seeder"
	"slipstream/tracker"
)

type upCommand struct {
	origin.Flags
	tracker.WebTorrentFlags
	Source string `help:"What to show on the first channel if it is not pulled: test, none (leave the ingest free, for OBS), or a file to loop or a URL, as for --pull." default:"test" placeholder:"test|none|FILE|URL"`
}

// source says whether the test picture is to be published. A file is pulled.
func (c *upCommand) source() (test bool, err error) {
	channel := origin.ChannelNames(c.Channel, c.Channels)[0]
	pulled := c.Pull[channel] != "" || c.PullOnce[channel] != ""
	switch {
	case c.Source == "none":
	case c.Source == "test":
		return !pulled, nil
	case pulled:
		return false, fmt.Errorf("both --source and --pull say what the channel %s shows: choose one", channel)
	case c.Pull == nil:
		c.Pull = map[string]string{channel: c.Source}
	default:
		c.Pull[channel] = c.Source
	}
	return false, nil
}

// Run composes what would be several machines: origin, tracker, seeder and a
// publisher that pushes real RTMP.
func (c upCommand) Run(ctx context.Context, out io.Writer, log *slog.Logger) error {
	secret, err := keys.Token(c.Data)
	if err != nil {
		return err
	}
	meeting, err := tracker.NewHandler(tracker.Config{Secret: secret, WebTorrent: c.Announcing(), Log: log})
	if err != nil {
		return err
	}
	defer meeting.Close()
	test, err := c.source()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	var seed func(origin.Channel) // known when the origin listens
	cfg, err := c.Config(player.Pages, log, func(at origin.Ready) {
		tell(out, at)
		seed = func(channel origin.Channel) {
			group.Go(func() error {
				return seeder.Run(ctx, seeder.Config{
					URL: web(at) + "/live/" + channel.Name + "/index.m3u8", Channel: channel.ID.String(),
					TokenSecret: secret, Log: log,
				})
			})
		}
		for _, channel := range at.Channels {
			seed(channel)
		}
		if test {
			group.Go(func() error {
				return publish.Run(ctx, publish.Config{URL: rtmp(at) + "/" + at.Channels[0].StreamKey, Logger: log})
			})
		}
	})
	if err != nil {
		return err
	}
	if len(cfg.Ladder) == 0 { // this machine has the viewers too
		cfg.Ladder = transcode.DemonstrationLadder()
	}
	made := cfg.Made
	cfg.Made = func(channel origin.Channel) {
		made(channel)
		seed(channel)
	}
	cfg.Tracker = "/tracker"
	cfg.Register = meeting.Register
	maps.Copy(cfg.Mounts, meeting.Mounts())
	group.Go(func() error { return origin.Run(ctx, cfg) })
	return group.Wait()
}

// tell says where the first channel is, and how things go.
func tell(out io.Writer, at origin.Ready) {
	channel := at.Channels[0]
	fmt.Fprintf(out, "Watch       %s/watch/%s\n", web(at), channel.Name)
	if at.HTTPS != "" {
		fmt.Fprintf(out, "            https://%s/watch/%s\n", origin.Reachable(at.HTTPS), channel.Name)
	}
	fmt.Fprintf(out, "Publish     %s  stream key %s\n", rtmp(at), channel.StreamKey)
	if channel.BackupKey != "" {
		fmt.Fprintf(out, "            backup: stream key %s\n", channel.BackupKey)
	}
	for _, address := range at.AlsoPublishTo(channel) {
		fmt.Fprintf(out, "            %s\n", address)
	}
	fmt.Fprintf(out, "Statistics  %s/stats\n", web(at))
}

func web(at origin.Ready) string  { return "http://" + origin.Reachable(at.HTTP) }
func rtmp(at origin.Ready) string { return "rtmp://" + origin.Reachable(at.RTMP) + "/live" }
