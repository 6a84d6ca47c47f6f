// Slipstream delivers live HLS to large audiences by letting viewers carry it for
// each other. This program is all of it: see `slipstream --help`.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"golang.org/x/sync/errgroup"

	"slipstream/origin"
	"slipstream/origin/certificate"
	"slipstream/origin/health"
	"slipstream/origin/keys"
	"slipstream/origin/permit"
	"slipstream/origin/publish"
	"slipstream/origin/transcode"
	"slipstream/peer"
	"slipstream/player"
	"slipstream/seeder"
	"slipstream/sim"
	"slipstream/sim/emulate"
	"slipstream/tracker"
	"slipstream/tracker/cluster"
	"slipstream/tracker/geo"
	trackerserver "slipstream/tracker/server"
	"slipstream/tracker/token"
	"slipstream/tracker/top"
)

// Exit codes: 0 success, 1 it did not work, 2 it was called wrongly.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	exited := -1
	parser := func(cli *commands) (*kong.Kong, error) {
		return kong.New(cli,
			kong.Name("slipstream"),
			kong.Description("Live HLS that viewers carry for each other."),
			kong.Configuration(readConfig),
			kong.DefaultEnvars("SLIPSTREAM"),
			kong.Writers(stdout, stderr),
			kong.Exit(func(code int) { exited = code }),
			kong.UsageOnError(),
			kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		)
	}
	var cli commands
	first, err := parser(&cli)
	if err != nil {
		fmt.Fprintln(stderr, "slipstream:", err)
		return exitUsage
	}
	command, err := first.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "slipstream: %v (see slipstream --help)\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	level := slog.LevelWarn
	if cli.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	command.BindTo(ctx, (*context.Context)(nil))
	again := func() (now commands, err error) {
		p, err := parser(&now)
		if err == nil {
			_, err = p.Parse(args)
		}
		return now, err
	}
	if err := command.Run(streams{stdout, log, again}); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "slipstream:", err)
		return exitFailed
	}
	return 0
}

// streams is where a command writes, and how it reads the command line and the configuration file again.
type streams struct {
	out   io.Writer
	log   *slog.Logger
	again func() (commands, error)
}

// commands is the command line. Every flag is an environment variable too
// (SLIPSTREAM_HTTP for --http) and a key of the configuration file.
type commands struct {
	Config  kong.ConfigFlag `help:"Configuration file (YAML): flags by name, at the top or under their command." placeholder:"FILE"`
	Verbose bool            `help:"Log what happens, not only what goes wrong." short:"v"`

	Up      upCommand       `cmd:"" help:"A whole channel in one process: origin, tracker, one seeder, a test picture."`
	Origin  originCommands  `cmd:"" help:"Take a live stream in, sign it, serve it as HLS; or verify a channel from outside."`
	Tracker trackerCommands `cmd:"" help:"Bring viewers together."`
	Seeder  seederCommand   `cmd:"" help:"Keep a channel's live window and serve it to viewers."`
	Peer    peerCommand     `cmd:"" help:"Watch a channel with headless viewers and report what they saw."`
	Sim     simCommands     `cmd:"" help:"Ask what a large audience would do."`
}

// serving is how an origin is set up, by itself or within up.
type serving struct {
	HTTP    string        `help:"Address for HTTP." default:":8080" placeholder:"ADDR"`
	RTMP    string        `help:"Address for RTMP." default:":1935" placeholder:"ADDR"`
	SRT     string        `help:"Address for SRT, such as :8890; default: none." placeholder:"ADDR"`
	HTTPS   string        `help:"Address for HTTPS (HTTP/1.1 and HTTP/2), such as :8443; default: none." placeholder:"ADDR"`
	HTTP3   bool          `help:"HTTP/3 too, over UDP at the port of HTTPS." name:"http3" env:"SLIPSTREAM_HTTP3"`
	RTMPS   string        `help:"Address for RTMPS, such as :1936; default: none." placeholder:"ADDR"`
	Data    string        `help:"Directory for keys, signed heads and the DVR window." default:"data" placeholder:"DIR"`
	Channel []string      `help:"Channel name; default: demo, or those of --channels." placeholder:"NAME"`
	Window  time.Duration `help:"Time-shift window." default:"60s" placeholder:"TIME"`
	DVR     time.Duration `help:"Longer window, such as 2h, kept on disk and listed at /live/<channel>/dvr.m3u8; default: none." placeholder:"TIME"`
	Rung    []string      `help:"Rendition of the ladder, of sound alone without a size; default: 1080p, 720p, 480p and 360p, of which none is larger than what is published (up: 360p and 180p)." placeholder:"NAME[:WxH:VIDEOKBPS]:AUDIOKBPS"`

	TLSCert       string `help:"Certificate for HTTPS and RTMPS (PEM, with its chain); read again when it changes." placeholder:"FILE"`
	TLSKey        string `help:"Its private key (PEM)." placeholder:"FILE"`
	TLSSelfSigned bool   `help:"For trials: a certificate of this origin's own, kept in the data directory."`

	FrameRate   int          `help:"Pictures a second of all renditions." default:"30" placeholder:"N"`
	PassThrough bool         `help:"Pass the publisher's picture on as it comes, as the rendition source, where its key frames allow it; smaller rungs are encoded."`
	DropRungs   bool         `help:"Where this machine is too slow for the ladder, make less of it."`
	Channels    channelTable `help:"Channels with settings of their own, for the configuration file: rung, frame-rate, pass-through, drop-rungs, dvr and part-hold-back by channel." placeholder:"YAML"`
	MaxChannels int          `help:"Channels at once, with those that publishers make whose token says so." default:"16" placeholder:"N"`
	PublishKey  string       `help:"Key that publishing tokens are checked with: Ed25519 (PEM, private or public), or a secret of 32 bytes and more; default: keys/publish.key in the data directory." placeholder:"FILE"`

	LowLatency   bool    `help:"Publish half-second parts of segments ahead of them (LL-HLS)."`
	PartHoldBack float64 `help:"How many parts behind the newest players of LL-HLS stay, 2 to 12; less is nearer to live and stalls sooner." default:"3" placeholder:"N"`

	CDN []string `help:"CDN that has what this origin serves below /live/, preferred to those named after it; viewers go from one to the other by themselves (Content Steering). With weights they are spread, and CDNs without one are for when those have failed; repeatable." placeholder:"NAME[:WEIGHT]=URL"`

	WHIP     string   `help:"UDP address for the media of WHIP, such as :8189; offers go to /whip/<channel> on the HTTP address; default: none." placeholder:"ADDR"`
	WHIPHost []string `name:"whip-host" help:"IP address that WHIP publishers reach this machine at, behind address translation; default: its own." placeholder:"IP"`

	FailOver []string `help:"When playlists answer 404, so that a CDN asks another region: stale (no new segment in time), incomplete (one is missing), slate (one shows slate)." enum:"stale,incomplete,slate" placeholder:"WHEN"`

	Backup      []string      `help:"Channel that takes a second publisher, with a stream key of its own, for when the first is lost; repeatable." placeholder:"NAME"`
	Slate       string        `help:"What to show, with silence, while a channel that was on the air has no publisher: off (it goes off the air), black, or a picture." default:"off" placeholder:"off|black|PICTURE"`
	SlateFor    time.Duration `help:"How long slate is shown at most." default:"24h" placeholder:"TIME"`
	InputLost   time.Duration `help:"How long a publisher may send no picture before the backup or slate takes its place." default:"1s" placeholder:"TIME"`
	InputSteady time.Duration `help:"How long the first publisher must be back before the backup gives way to it." default:"10s" placeholder:"TIME"`

	Pull     map[string]string `help:"Fetch a channel from a file, in a loop, or from an http(s) URL such as another origin's playlist, over and over; repeatable." placeholder:"CHANNEL=FILE|URL"`
	PullOnce map[string]string `help:"Play a file into a channel once; repeatable." placeholder:"CHANNEL=FILE"`
}

// config describes the origin; ready is told when it listens.
func (s serving) config(log *slog.Logger, ready func(origin.Ready)) (origin.Config, error) {
	ids := &sync.Map{}
	made := func(channel origin.Channel) { ids.Store(channel.Name, channel.ID.String()) }
	ladder, err := s.ladder()
	return origin.Config{
		HTTPS: s.HTTPS, HTTP3: s.HTTP3, RTMPS: s.RTMPS, TLSCert: s.TLSCert, TLSKey: s.TLSKey, TLSSelfSigned: s.TLSSelfSigned,
		HTTP: s.HTTP, RTMP: s.RTMP, SRT: s.SRT, DataDir: s.Data, Channels: s.Channel, Settings: s.Channels, MaxChannels: s.MaxChannels, PublishKey: s.PublishKey, Window: s.Window, DVR: s.DVR, Ladder: ladder, FrameRate: s.FrameRate,
		PassThrough: s.PassThrough, DropRungs: s.DropRungs, LowLatency: s.LowLatency, HoldBack: s.PartHoldBack, Made: made, Pull: s.Pull, PullOnce: s.PullOnce, FailOver: s.failOver(), Logger: log, Mounts: pages(ids),
		WHIP: s.WHIP, WHIPHost: s.WHIPHost, CDNs: s.CDN,
		Backup: s.Backup, Slate: s.slate(), SlateFor: s.SlateFor, InputLost: s.InputLost, InputSteady: s.InputSteady,
		Ready: func(at origin.Ready) {
			for _, channel := range at.Channels {
				made(channel)
			}
			ready(at)
		},
	}, err
}

func (s serving) slate() string {
	if s.Slate == "off" {
		return ""
	}
	return s.Slate
}

func (s serving) failOver() (p health.Policy) {
	if slices.Contains(s.FailOver, "stale") {
		p.StaleMs = health.StaleMs
	}
	p.Incomplete = slices.Contains(s.FailOver, "incomplete")
	p.Slate = slices.Contains(s.FailOver, "slate")
	return p
}

// ladder reads the rungs; none stands for the origin's own.
func (s serving) ladder() (ladder []transcode.Rung, err error) {
	for _, text := range s.Rung {
		rung, err := transcode.ParseRung(text)
		if err != nil {
			return nil, err
		}
		ladder = append(ladder, rung)
	}
	return ladder, nil
}

// pages mounts the web player. A watch page names the channel's id, so that a
// playlist of another owner, wherever it comes from, does not play on it.
func pages(ids *sync.Map) map[string]http.Handler {
	assets := player.Assets()
	watch := func(w http.ResponseWriter, r *http.Request) {
		id, known := ids.Load(r.PathValue("channel"))
		html, err := fs.ReadFile(assets, "watch.html")
		if !known || err != nil {
			http.Error(w, "There is no such channel here.", http.StatusNotFound)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(bytes.Replace(html, []byte("<slipstream-player"), []byte(`<slipstream-player channel="`+id.(string)+`"`), 1))
	}
	page := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, assets, name)
		})
	}
	return map[string]http.Handler{
		"GET /{$}":             page("index.html"),
		"GET /watch/{channel}": http.HandlerFunc(watch),
		"GET /stats":           page("stats.html"),
		"GET /player/":         http.StripPrefix("/player/", http.FileServerFS(assets)),
	}
}

type upCommand struct {
	serving
	announcing
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
func (c upCommand) Run(ctx context.Context, io streams) error {
	secret, err := keys.Token(c.Data)
	if err != nil {
		return err
	}
	meeting, err := tracker.NewHandler(tracker.Config{Secret: secret, WebTorrent: c.webtorrent(), Log: io.log})
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
	cfg, err := c.config(io.log, func(at origin.Ready) {
		channel := at.Channels[0]
		web, rtmp := "http://"+reachable(at.HTTP), "rtmp://"+reachable(at.RTMP)+"/live"
		fmt.Fprintf(io.out, "Watch       %s/watch/%s\n", web, channel.Name)
		if at.HTTPS != "" {
			fmt.Fprintf(io.out, "            https://%s/watch/%s\n", reachable(at.HTTPS), channel.Name)
		}
		fmt.Fprintf(io.out, "Publish     %s  stream key %s\n", rtmp, channel.StreamKey)
		if channel.BackupKey != "" {
			fmt.Fprintf(io.out, "            backup: stream key %s\n", channel.BackupKey)
		}
		for _, address := range alsoPublishTo(at, channel) {
			fmt.Fprintf(io.out, "            %s\n", address)
		}
		fmt.Fprintf(io.out, "Statistics  %s/stats\n", web)
		seed = func(channel origin.Channel) {
			group.Go(func() error {
				return seeder.Run(ctx, seeder.Config{
					URL: web + "/live/" + channel.Name + "/index.m3u8", Channel: channel.ID.String(),
					TokenSecret: secret, Log: io.log,
				})
			})
		}
		for _, channel := range at.Channels {
			seed(channel)
		}
		if test {
			group.Go(func() error {
				return publish.Run(ctx, publish.Config{URL: rtmp + "/" + channel.StreamKey, Logger: io.log})
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

// alsoPublishTo is where a channel is published besides RTMP.
func alsoPublishTo(at origin.Ready, channel origin.Channel) (addresses []string) {
	if at.RTMPS != "" {
		addresses = append(addresses, "rtmps://"+reachable(at.RTMPS)+"/live")
	}
	if at.SRT != "" {
		addresses = append(addresses, "srt://"+reachable(at.SRT)+"?streamid=live/"+channel.StreamKey)
	}
	if at.WHIP != "" {
		addresses = append(addresses, "http://"+reachable(at.HTTP)+"/whip/"+channel.Name+"  bearer token "+channel.StreamKey)
	}
	return addresses
}

// reachable turns a bound address into one to connect to.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

type originCommands struct {
	Serve  originCommand `cmd:"" default:"withargs" help:"Run an origin (the default)."`
	Verify verifyCommand `cmd:"" help:"Check a channel's whole live window from outside."`
	Token  tokenCommand  `cmd:"" help:"Sign a token that lets its bearer publish a channel."`
}

type originCommand struct {
	serving
	TrackerURL string   `help:"The tracker's WebSocket URL as viewers are told it; empty: no peer-to-peer." placeholder:"URL"`
	Role       string   `help:"both; encode: transcode and push, serve no viewer; package: sign and serve what is pushed here, encode nothing." enum:"both,encode,package" default:"both"`
	Push       []string `help:"Publishing point of an origin that packages what this one encodes, such as http://packager.example:8080/ingest/<stream key>; without CHANNEL= that of the first channel; repeatable." placeholder:"[CHANNEL=]URL"`
	Region     string   `help:"This origin's name among those that publish the same channels with the same root keys." placeholder:"NAME"`
}

// pushes reads what is pushed where.
func (c originCommand) pushes() map[string][]string {
	targets := make(map[string][]string)
	first := origin.ChannelNames(c.Channel, c.Channels)[0]
	for _, text := range c.Push {
		channel, target, named := strings.Cut(text, "=")
		if !named || strings.Contains(channel, "/") {
			channel, target = first, text
		}
		targets[channel] = append(targets[channel], target)
	}
	return targets
}

func (c originCommand) Run(ctx context.Context, io streams) error {
	cfg, err := c.config(io.log, func(at origin.Ready) {
		for _, channel := range at.Channels {
			fmt.Fprintf(io.out, "channel %s (%s)\n", channel.Name, channel.ID)
			fmt.Fprintf(io.out, "  watch    http://%s/watch/%s\n", reachable(at.HTTP), channel.Name)
			if at.HTTPS != "" {
				fmt.Fprintf(io.out, "  or       https://%s/watch/%s\n", reachable(at.HTTPS), channel.Name)
			}
			if at.RTMP == "" {
				fmt.Fprintf(io.out, "  push to  http://%s/ingest/%s\n", reachable(at.HTTP), channel.StreamKey)
				continue
			}
			fmt.Fprintf(io.out, "  publish  rtmp://%s/live  stream key %s\n", reachable(at.RTMP), channel.StreamKey)
			if channel.BackupKey != "" {
				fmt.Fprintf(io.out, "  backup   rtmp://%s/live  stream key %s\n", reachable(at.RTMP), channel.BackupKey)
			}
			for _, address := range alsoPublishTo(at, channel) {
				fmt.Fprintf(io.out, "  or       %s\n", address)
			}
		}
	})
	if err != nil {
		return err
	}
	cfg.Tracker = c.TrackerURL
	cfg.Role, cfg.Push, cfg.Region = origin.Role(c.Role), c.pushes(), c.Region
	return origin.Run(ctx, cfg)
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

func (c tokenCommand) Run(_ context.Context, io streams) error {
	right := permit.Permit{Channel: c.Channel, Backup: c.Backup, Create: c.Create, Address: c.Address}
	from := time.Now().Add(c.After)
	if c.After != 0 {
		right.From = from
	}
	if c.Valid != 0 {
		right.Until = from.Add(c.Valid)
	}
	token, err := origin.Token(c.Data, c.Key, right)
	if err == nil {
		fmt.Fprintln(io.out, token)
	}
	return err
}

type verifyCommand struct {
	URL string `arg:"" help:"Multivariant or media playlist."`
	ID  string `help:"Channel id that the playlist must belong to; default: the one that it claims." placeholder:"ID"`
}

func (c verifyCommand) Run(ctx context.Context, io streams) error {
	return origin.Verify(ctx, c.URL, c.ID, io.out)
}

type trackerCommands struct {
	Serve   trackerCommand    `cmd:"" default:"withargs" help:"Run a tracker (the default)."`
	Token   joinTokenCommands `cmd:"" help:"Tokens that viewers join with."`
	Channel channelCommand    `cmd:"" help:"Set how the viewers of a channel may meet, for a whole cluster that keeps such things."`
	Top     topCommand        `cmd:"" help:"Show in the terminal how a tracker fares."`
	Geo     geoCommands       `cmd:"" help:"Databases that tell where addresses are: get one, measure one."`
}

type channelCommand struct {
	ID           string        `arg:"" help:"The channel's id."`
	Sharing      string        `help:"relay: through the relay only; off: not at all; default: as tokens say." enum:",relay,off" default:""`
	TokenKey     string        `help:"File with the token secret, the same as the trackers'." default:"data/keys/token.key" placeholder:"FILE"`
	Cluster      string        `help:"Name of the cluster." required:"" placeholder:"NAME"`
	ClusterRoute []string      `help:"Address (--cluster-listen) of a tracker of it; repeatable." placeholder:"ADDR"`
	NATS         string        `name:"nats" help:"URLs of the NATS servers, where the trackers have none of their own." placeholder:"URL,…"`
	Within       time.Duration `help:"How long to try." default:"30s" placeholder:"TIME"`
}

func (c channelCommand) Run(ctx context.Context, io streams) error {
	secret, err := tracker.ReadSecret(c.TokenKey)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Within)
	defer cancel()
	return cluster.SetChannel(ctx, cluster.Config{Name: c.Cluster, URL: c.NATS, Routes: c.ClusterRoute, Secret: secret, Log: io.log},
		c.ID, cluster.Settings{Sharing: token.Sharing(c.Sharing)})
}

type topCommand struct {
	URL   string        `arg:"" optional:"" help:"The tracker, or its statistics." default:"http://localhost:8081"`
	Once  bool          `help:"Print one frame and end."`
	Every time.Duration `help:"Time between frames, at least 1s." default:"2s" placeholder:"TIME"`
	Rows  int           `help:"Channels that are listed, the largest." default:"20" placeholder:"N"`
}

func (c topCommand) Run(ctx context.Context, io streams) error {
	return top.Run(ctx, top.Config{URL: c.URL, Once: c.Once, Every: c.Every, Rows: c.Rows, Out: io.out})
}

type geoCommands struct {
	Fetch geoFetchCommand `cmd:"" help:"Tell where there are databases, or download one from where you say."`
	Check geoCheckCommand `cmd:"" help:"Measure databases: ranges, memory, time of a look-up, what they know of a list of addresses."`
}

type geoFetchCommand struct {
	URL string `help:"Where to download it; without, tell where there are databases and under which licences." placeholder:"URL"`
	To  string `help:"File to keep it in; a bad download leaves that as it is." placeholder:"FILE"`
}

func (c geoFetchCommand) Run(ctx context.Context, io streams) error {
	return geo.Fetch(ctx, geo.FetchConfig{URL: c.URL, To: c.To, Out: io.out})
}

type geoCheckCommand struct {
	Files     []string `arg:"" help:"Databases, MaxMind format or CSV." name:"file"`
	Addresses string   `help:"File with addresses, one a line." placeholder:"FILE"`
	JSON      bool     `help:"Print one JSON object."`
}

func (c geoCheckCommand) Run(_ context.Context, io streams) error {
	return geo.Check(geo.CheckConfig{Files: c.Files, Addresses: c.Addresses, JSON: c.JSON, Out: io.out})
}

type trackerCommand struct {
	Listen    string            `help:"Address to listen on." default:":8081" placeholder:"ADDR"`
	TokenKey  string            `help:"File with the token secret, the same as the origin's." default:"data/keys/token.key" placeholder:"FILE"`
	TokenKeys string            `help:"File with the keys of others who mint tokens (YAML list of kid, key, channels, origins, viewers, unbound, sharing)." placeholder:"FILE"`
	Allow     []string          `help:"Web origins whose pages may connect, as patterns; default: any." placeholder:"ORIGIN"`
	Sharing   map[string]string `help:"How viewers of a channel, by its id, or of all (*) may meet: through the relay only, or not at all; repeatable." placeholder:"CHANNEL=relay|off"`
	Geo       []string          `help:"Database of operators or countries by address (MaxMind format or CSV), read again when it changes; repeatable; default: the network's number tells who is near." placeholder:"FILE"`
	Relay     string            `help:"UDP address for an embedded STUN and TURN server, such as 203.0.113.5:3478; default: none." placeholder:"ADDR"`
	RelayHost string            `help:"IP address at which viewers reach the relay; default: that of --relay." placeholder:"IP"`
	TLSCert   string            `help:"Certificate for TLS (PEM, with its chain); read again when it changes. Without it a terminator (nginx, haproxy) is expected before." placeholder:"FILE"`
	TLSKey    string            `help:"Its private key (PEM)." placeholder:"FILE"`

	DebugListen   string `help:"Address for profiles of the running program (pprof), such as 127.0.0.1:6060; default: none." placeholder:"ADDR"`
	DebugAnywhere bool   `help:"That address may be one that other machines reach."`

	Trust             []netip.Prefix `help:"Networks of terminators whose X-Forwarded-For is believed." placeholder:"PREFIX"`
	Connections       int            `help:"Connections at a time." default:"10000" placeholder:"N"`
	RoomViewers       int            `help:"Clients of one channel at a time." default:"10000" placeholder:"N"`
	PrefixConnections int            `help:"Connections at a time from one /24 or /48." default:"1000" placeholder:"N"`
	PrefixRate        int            `help:"New connections a second from one /24 or /48." default:"20" placeholder:"N"`
	PrefixBurst       int            `help:"New connections at once from one /24 or /48." default:"200" placeholder:"N"`

	Cluster       string   `help:"Name of a cluster of trackers that this one is part of; empty: it is alone." placeholder:"NAME"`
	Node          string   `help:"This tracker's name in the cluster's logs; default: the host's." placeholder:"NAME"`
	ClusterListen string   `help:"Address on which the others of the cluster reach this one." default:":6222" placeholder:"ADDR"`
	ClusterRoute  []string `help:"Such an address of another tracker of the cluster; may be repeated. One that runs is enough to find all." placeholder:"ADDR"`
	ClusterData   string   `help:"Folder for this tracker's copy of what the cluster keeps: bans, settings of channels. Three trackers need one, and --node and --cluster-route of each other." placeholder:"DIR"`
	NATS          string   `name:"nats" help:"URLs of NATS servers that carry what the trackers tell each other, instead of one in each tracker." placeholder:"URL,…"`

	announcing
}

func (c trackerCommand) Run(ctx context.Context, io streams) error {
	policy, err := c.policy()
	if err != nil {
		return err
	}
	ice, err := tracker.ReadRelay(c.Relay, c.RelayHost)
	if err != nil {
		return err
	}
	cfg := tracker.Config{
		ICE: ice, Listen: c.Listen, Geo: c.Geo, Log: io.log, ClientAddr: trackerserver.Forwarded(c.Trust),
		Debug: c.DebugListen, DebugAnywhere: c.DebugAnywhere,
		Cluster: cluster.Config{Name: c.Cluster, Node: c.Node, URL: c.NATS, Listen: c.ClusterListen, Routes: c.ClusterRoute, Data: c.ClusterData}, WebTorrent: c.webtorrent(),
	}
	cfg.Use(policy)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	cfg.Hangup = hangup
	cfg.Reread = func() (trackerserver.Policy, error) {
		now, err := io.again()
		if err != nil {
			return trackerserver.Policy{}, err
		}
		return now.Tracker.Serve.policy()
	}
	if c.TLSCert != "" {
		files, err := certificate.Open(c.TLSCert, c.TLSKey, time.Now, io.log)
		if err != nil {
			return err
		}
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.Get}
	}
	return tracker.Run(ctx, cfg)
}

// policy is what SIGHUP reads again.
func (c trackerCommand) policy() (p trackerserver.Policy, err error) {
	if p.Secret, err = tracker.ReadSecret(c.TokenKey); err != nil {
		return p, err
	}
	if p.Keys, err = tracker.ReadKeys(c.TokenKeys); err != nil {
		return p, err
	}
	p.Sharing, p.Origins = tracker.ReadSharing(c.Sharing), c.Allow
	p.Limits = trackerserver.Limits{
		Connections: c.Connections, RoomViewers: c.RoomViewers,
		PrefixConnections: c.PrefixConnections, PrefixRate: c.PrefixRate, PrefixBurst: c.PrefixBurst,
	}
	return p, nil
}

// announcing is WebTorrent's announce protocol.
type announcing struct {
	WebTorrent            bool          `name:"webtorrent" help:"Speak WebTorrent's announce protocol too, at /announce, with whoever comes: it has no tokens."`
	WebTorrentConnections int           `name:"webtorrent-connections" help:"Its connections at a time." default:"10000" placeholder:"N"`
	WebTorrentSwarms      int           `name:"webtorrent-swarms" help:"Its swarms at a time." default:"100000" placeholder:"N"`
	WebTorrentPeers       int           `name:"webtorrent-peers" help:"Its peers in one swarm." default:"50000" placeholder:"N"`
	WebTorrentRate        int64         `name:"webtorrent-rate" help:"Its messages a second from one connection; ten times as many at once." default:"50" placeholder:"N"`
	WebTorrentInterval    time.Duration `name:"webtorrent-interval" help:"How often its clients are to announce themselves." default:"2m" placeholder:"TIME"`
}

func (a announcing) webtorrent() *tracker.WebTorrent {
	if !a.WebTorrent {
		return nil
	}
	w := &tracker.WebTorrent{Interval: a.WebTorrentInterval}
	w.Limits.Connections, w.Limits.Swarms, w.Limits.SwarmPeers = a.WebTorrentConnections, a.WebTorrentSwarms, a.WebTorrentPeers
	w.Limits.Visit.MessageRate, w.Limits.Visit.MessageBurst = a.WebTorrentRate, 10*a.WebTorrentRate
	return w
}

type joinTokenCommands struct {
	Mint  mintCommand     `cmd:"" help:"Make a token."`
	Check checkCommand    `cmd:"" help:"Tell what a token says, or why a tracker would refuse it."`
	Key   tokenKeyCommand `cmd:"" help:"Make a pair of keys for somebody who mints tokens."`
}

type mintCommand struct {
	ID          string        `arg:"" help:"The channel's id."`
	Key         string        `help:"File with the private key or secret." default:"data/keys/token.key" placeholder:"FILE"`
	Kid         string        `help:"The key's name in the tracker's file of keys; default: none, the origin's." placeholder:"NAME"`
	WebOrigin   string        `help:"Web origin of the page that it is for; default: none, a program." placeholder:"ORIGIN"`
	Role        string        `help:"viewer or seeder." enum:"viewer,seeder" default:"viewer"`
	Fingerprint string        `help:"Fingerprint of the viewer's certificate, as in session descriptions; default: none, unbound." placeholder:"\"sha-256 AB:CD:…\""`
	Life        time.Duration `help:"How long it is valid, at most 120s." default:"60s" placeholder:"TIME"`
	Sharing     string        `help:"relay: its viewer meets others through the relay only." enum:",relay,off" default:""`
}

func (c mintCommand) Run(_ context.Context, io streams) error {
	token, err := tracker.Mint(tracker.Minting{
		KeyFile: c.Key, Kid: c.Kid, Channel: c.ID, Origin: c.WebOrigin, Seeder: c.Role == "seeder", Fingerprint: c.Fingerprint, Life: c.Life, Sharing: c.Sharing,
	})
	if err == nil {
		fmt.Fprintln(io.out, token)
	}
	return err
}

type checkCommand struct {
	Token     string `arg:"" help:"The token."`
	TokenKey  string `help:"File with the origin's token secret; empty: none." default:"data/keys/token.key" placeholder:"FILE"`
	TokenKeys string `help:"The tracker's file of keys." placeholder:"FILE"`
	WebOrigin string `help:"Web origin of the page that shows it." placeholder:"ORIGIN"`
}

func (c checkCommand) Run(_ context.Context, io streams) error {
	return tracker.CheckToken(tracker.Checking{Token: c.Token, Origin: c.WebOrigin, SecretFile: c.TokenKey, KeyList: c.TokenKeys}, io.out)
}

type tokenKeyCommand struct {
	Name string `arg:"" help:"The key's name, the kid of its tokens."`
	Dir  string `help:"Where to put it." default:"." placeholder:"DIR"`
}

func (c tokenKeyCommand) Run(_ context.Context, io streams) error {
	return tracker.NewKeyFiles(c.Dir, c.Name, io.out)
}

type seederCommand struct {
	URL      string  `arg:"" help:"The channel's multivariant playlist."`
	ID       string  `help:"Channel id; default: the one that the playlist claims." placeholder:"ID"`
	TokenKey string  `help:"File with the token secret; without it the seeder is an ordinary viewer to the tracker." placeholder:"FILE"`
	Memory   int64   `help:"MiB for the live window." default:"256" placeholder:"MIB"`
	Upload   float64 `help:"Cap on the uplink in Mb/s; 0: none." placeholder:"MBPS"`
}

func (c seederCommand) Run(ctx context.Context, io streams) error {
	cfg := seeder.Config{
		URL: c.URL, Channel: c.ID, StoreBytes: c.Memory << 20, UploadBytesPerSec: bytesPerSec(c.Upload), Log: io.log,
	}
	if c.TokenKey != "" {
		secret, err := tracker.ReadSecret(c.TokenKey)
		if err != nil {
			return err
		}
		cfg.TokenSecret = secret
	}
	return seeder.Run(ctx, cfg)
}

type peerCommand struct {
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

func (c peerCommand) Run(ctx context.Context, io streams) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(viewerGCPercent)
	}
	return peer.Run(ctx, peer.Config{
		URL: c.URL, Channel: c.ID, Rendition: c.Rendition, Start: c.Start, Viewers: c.N, Ramp: c.Ramp, Duration: c.Duration,
		Warmup: c.Warmup, JSON: c.JSON, HTTPOnly: c.HTTPOnly, UploadBytesPerSec: bytesPerSec(c.Upload),
		NoUpload: c.NoUpload, CDNs: c.CDN, Out: io.out, Log: io.log,
	})
}

func bytesPerSec(megabitsPerSec float64) int64 { return int64(megabitsPerSec * 1e6 / 8) }

type simCommands struct {
	Run      simCommand         `cmd:"" help:"Simulate a scenario."`
	Emulate  emulateCommand     `cmd:"" help:"Run a scenario with real viewers behind emulated links (Linux, root)."`
	Validate simValidateCommand `cmd:"" help:"Hold the engine to what theory says; exit code 1 if it breaks a law."`
	Bars     simBarsCommand     `cmd:"" help:"Hold the engine to its bars in simulation; exit code 1 if it misses one."`
	Speed    simSpeedCommand    `cmd:"" help:"Simulate a scenario and tell how fast that was."`
}

type simCommand struct {
	Scenario string  `arg:"" help:"Scenario file (YAML)."`
	Seed     *uint64 `help:"Seed instead of the scenario's." placeholder:"N"`
	JSON     bool    `help:"Print one JSON object."`
}

func (c simCommand) Run(ctx context.Context, io streams) error {
	return sim.Run(ctx, sim.Config{ScenarioPath: c.Scenario, Seed: c.Seed, JSON: c.JSON, Out: io.out, Logger: io.log})
}

type simBarsCommand struct {
	Only  string `help:"Only these: rooms, hostile, steady, churn, tight or matching." placeholder:"GROUP"`
	Short bool   `help:"Fewer viewers, shorter."`
	JSON  bool   `help:"Print one JSON object."`
}

func (c simBarsCommand) Run(ctx context.Context, io streams) error {
	return sim.Bars(ctx, sim.BarsConfig{Only: c.Only, Short: c.Short, JSON: c.JSON, Out: io.out, Logger: io.log})
}

type simValidateCommand struct {
	Short bool `help:"Smaller rooms only."`
	JSON  bool `help:"Print one JSON object."`
}

func (c simValidateCommand) Run(ctx context.Context, io streams) error {
	return sim.Validate(ctx, sim.ValidateConfig{Short: c.Short, JSON: c.JSON, Out: io.out, Logger: io.log})
}

type simSpeedCommand struct {
	Scenario string `arg:"" default:"thousand" help:"Scenario file (YAML), or the name of a built-in one."`
	Profile  string `help:"Write a CPU profile to this file." placeholder:"FILE"`
}

func (c simSpeedCommand) Run(ctx context.Context, io streams) error {
	return sim.Speed(ctx, sim.SpeedConfig{ScenarioPath: c.Scenario, ProfilePath: c.Profile, Out: io.out})
}

type emulateCommand struct {
	simCommand `embed:""`
	PerHost    int  `help:"Viewers that share a host and its line." default:"1" placeholder:"N"`
	Keep       bool `help:"Start no viewers: print where the hosts are (JSON) and keep them until standard input ends."`
}

func (c emulateCommand) Run(ctx context.Context, io streams) error {
	experiment, err := sim.Load(c.Scenario)
	if err != nil {
		return err
	}
	if c.Seed != nil {
		experiment.Seed = *c.Seed
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("this program cannot find itself, which it would start viewers from: %w", err)
	}
	cfg := emulate.Config{
		Scenario: experiment, Program: program, PerHost: c.PerHost, JSON: c.JSON, In: os.Stdin, Out: io.out, Log: io.log,
	}
	if c.Keep {
		return emulate.Keep(ctx, cfg)
	}
	return emulate.Run(ctx, cfg)
}

// channelTable are settings by channel: a table of the configuration file, or the same in YAML.
type channelTable map[string]origin.Settings

// Decode implements kong.MapperValue.
func (t *channelTable) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("settings by channel")
	if err != nil {
		return err
	}
	text, isText := token.Value.(string)
	if !isText {
		raw, err := yaml.Marshal(token.Value)
		if err != nil {
			return err
		}
		text = string(raw)
	}
	if err := yaml.UnmarshalWithOptions([]byte(text), t, yaml.Strict()); err != nil {
		problem, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("the settings by channel are not understood: %s", problem)
	}
	return nil
}

// readConfig reads a YAML file whose keys are the flags' names, at the top level
// or under their command's name. A key that is no flag is an error.
func readConfig(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		problem, _, _ := strings.Cut(err.Error(), "\n") // below it is an excerpt of the file
		return nil, fmt.Errorf("the configuration file is not understood: %s", problem)
	}
	return configuration(values), nil
}

type configuration map[string]any

// Validate implements kong.Resolver.
func (c configuration) Validate(app *kong.Application) error {
	flags, tables, nodes := map[string]bool{}, map[string]bool{}, map[string]bool{}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		switch node := node.(type) {
		case *kong.Flag:
			flags[node.Name], tables[node.Name] = true, node.IsMap()
		case *kong.Command:
			nodes[node.Name] = true
		}
		return next(nil)
	})
	for key, value := range c {
		section, isSection := value.(map[string]any)
		if !isSection && !flags[key] || isSection && !nodes[key] && !tables[key] {
			return fmt.Errorf("the configuration file has the key %q, which is no flag and no command", key)
		}
		for flag := range section {
			if nodes[key] && !flags[flag] {
				return fmt.Errorf("the configuration file has the key %q under %q, which is no flag", flag, key)
			}
		}
	}
	return nil
}

// Resolve implements kong.Resolver.
func (c configuration) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for node := ctx.Selected(); node != nil; node = node.Parent {
		if section, ok := c[node.Name].(map[string]any); ok {
			if value, ok := section[flag.Name]; ok {
				return value, nil
			}
		}
	}
	return c[flag.Name], nil
}
