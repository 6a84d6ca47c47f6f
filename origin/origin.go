package origin

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"slipstream/origin/certificate"
	"slipstream/origin/durable"
	"slipstream/origin/health"
	"slipstream/origin/hls"
	"slipstream/origin/ingest"
	"slipstream/origin/keys"
	"slipstream/origin/manifest"
	"slipstream/origin/permit"
	"slipstream/origin/server"
	"slipstream/origin/store"
	"slipstream/origin/transcode"
	"slipstream/origin/web"
)

// Config describes an origin. Zero values stand for the defaults named.
type Config struct {
	HTTP     string           // address to listen on; ":8080"
	RTMP     string           // likewise; ":1935"
	SRT      string           // likewise; "" for no SRT
	HTTPS    string           // likewise, for HTTP/1.1 and HTTP/2 over TLS; "" for no HTTPS
	HTTP3    bool             // HTTP/3 over the UDP port of HTTPS's number
	RTMPS    string           // likewise; "" for no RTMPS
	WHIP     string           // address for the media of WHIP (UDP); "" for no WHIP
	WHIPHost []string         // IP addresses that publishers reach it at, if they are not the machine's own
	DataDir  string           // keys and signed heads; "data"
	Channels []string         // names, beside those in Settings; "demo" if there are none
	Window   time.Duration    // time-shift window; 60 s
	DVR      time.Duration    // longer window, on disk; 0: none
	Ladder   []transcode.Rung // transcode.DefaultLadder
	// FrameRate is that of all rungs, a whole number that divides 90000; 30.
	FrameRate int
	// PassThrough passes the publisher's picture on in the place of the rungs that are as large, where it fits.
	PassThrough bool
	// DropRungs lets a machine that is too slow for its ladder make less of it.
	DropRungs bool
	// Settings are those of single channels, which they declare, too.
	Settings map[string]Settings
	// MaxChannels bounds the channels, those included that publishers make; 16.
	MaxChannels int
	// PublishKey is the file with the key of publishing tokens (package permit); one of the origin's own in the data directory.
	PublishKey string
	// Made is called when a publisher has made a channel.
	Made func(Channel)
	// Pull says which channels the origin fetches by itself, and where: the path of a file, which is looped, or an http or https URL.
	// PullOnce is likewise for files that are played once. Such a channel has no other publisher.
	Pull, PullOnce map[string]string
	// Backup names the channels that take a second publisher, with a stream key of its own, for when the first is lost.
	Backup []string
	// Slate is shown while a channel that was on the air has no input: playout.Black or the path of a picture; "": it goes off the air.
	// SlateFor bounds that; 24 h.
	Slate    string
	SlateFor time.Duration
	// InputLost is how long an input may give no picture before another one, or slate, takes its place; 1 s. InputSteady is how long the
	// first publisher must be back before the backup gives way to it; 10 s.
	InputLost, InputSteady time.Duration
	// Role is which part of an origin's work this one does; "" for all of it.
	Role Role
	// Region tells origins apart that publish the same channels side by side: at most 16 of a-z, 0-9, - and _.
	Region string
	// Push says where else the segments of each channel are packaged: addresses such as http://packager.example:8080/ingest/<stream key>.
	Push map[string][]string
	// CDNs are where viewers find the channels, as hls.ParseCDN reads them, the preferred one first; none: here.
	CDNs []string
	cdns []hls.CDN
	// LowLatency publishes half-second parts of segments ahead of them (LL-HLS).
	LowLatency bool
	// HoldBack is how many part targets players are to stay behind the newest part; hls.DefaultHoldBack.
	HoldBack float64
	// FailOver says when a channel's playlists answer 404, so that a CDN asks another region.
	FailOver health.Policy
	// TLSCert and TLSKey are PEM files, read again when they change; TLSSelfSigned makes a certificate instead.
	TLSCert, TLSKey string
	TLSSelfSigned   bool
	// ACME names domains that an authority issues certificates for; its Dir is in the data directory.
	ACME certificate.ACME
	// Tracker is the URL or absolute path of the tracker's WebSocket, as viewers are told; "" for no peer-to-peer.
	Tracker string
	// Mounts are further handlers on the HTTP address, by http.ServeMux pattern. See server.Config.
	Mounts map[string]http.Handler
	// Register adds the metrics of what is mounted to the origin's.
	Register func(prometheus.Registerer) error
	Logger   *slog.Logger // nil: nothing is logged
	// Ready is called once, when all addresses are bound and before anything is served.
	Ready func(Ready)
}

// Ready says where a started origin can be reached.
type Ready struct {
	HTTP, RTMP, SRT string // bound addresses, host:port; RTMP and SRT may be empty
	HTTPS, RTMPS    string // likewise; may be empty
	WHIP            string // likewise: UDP
	Channels        []Channel
}

// Channel is what an operator needs to know of a channel.
type Channel struct {
	Name      string
	ID        manifest.Hash
	StreamKey string
	BackupKey string // "" for a channel that takes no backup
}

func (cfg Config) withDefaults() (Config, error) {
	if cfg.HTTP == "" {
		cfg.HTTP = ":8080"
	}
	if cfg.RTMP == "" {
		cfg.RTMP = ":1935"
	}
	if cfg.DataDir == "" {
		cfg.DataDir = "data"
	}
	cfg.Channels = ChannelNames(cfg.Channels, cfg.Settings)
	if cfg.MaxChannels == 0 {
		cfg.MaxChannels = 16
	}
	if cfg.Made == nil {
		cfg.Made = func(Channel) {}
	}
	if len(cfg.Ladder) == 0 {
		cfg.Ladder = transcode.DefaultLadder()
	}
	if cfg.FrameRate == 0 {
		cfg.FrameRate = 30
	}
	cfg.SlateFor, cfg.InputLost = cmp.Or(cfg.SlateFor, 24*time.Hour), cmp.Or(cfg.InputLost, time.Second)
	cfg.HoldBack = cmp.Or(cfg.HoldBack, hls.DefaultHoldBack)
	cfg.InputSteady = cmp.Or(cfg.InputSteady, 10*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Ready == nil {
		cfg.Ready = func(Ready) {}
	}
	if err := cfg.checkChannels(); err != nil {
		return cfg, setup(ErrConfig, err)
	}
	if err := cmp.Or(cfg.checkInputs(), cfg.checkTLS(), cfg.checkRole()); err != nil {
		return cfg, setup(ErrConfig, err)
	}
	var err error
	if cfg.cdns, err = hls.ParseCDNs(cfg.CDNs); err != nil {
		return cfg, setup(ErrConfig, err)
	}
	if cfg.Window != 0 && (cfg.Window.Milliseconds() < store.MinWindowMs || cfg.Window.Milliseconds() > store.MaxWindowMs) {
		return cfg, setup(ErrConfig, fmt.Errorf("a time-shift window of %v is not possible: choose %d s to %d s",
			cfg.Window, store.MinWindowMs/1000, store.MaxWindowMs/1000))
	}
	if err := store.CheckDVR(cfg.DVR.Milliseconds(), cfg.Window.Milliseconds()); err != nil {
		return cfg, setup(ErrConfig, err)
	}
	return cfg, nil
}

// Run is an origin, until ctx ends or something breaks. When it returns, all that it started has ended. Errors from the
// start match ErrConfig, ErrNoFFmpeg, ErrDataDir or ErrPortInUse; after ctx has ended the error is nil.
func Run(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	sources, err := cfg.pulls()
	if err != nil {
		return setup(ErrConfig, err)
	}
	if err := transcode.Check(); err != nil && cfg.Role != RolePackage {
		return setup(ErrNoFFmpeg, err)
	}
	if err := checkPulls(ctx, sources); err != nil {
		return err
	}
	slate, err := cfg.makeSlate(ctx)
	if err != nil {
		return err
	}
	release, err := durable.Lock(cfg.DataDir)
	if err != nil {
		return setup(ErrDataDir, err)
	}
	defer release()
	secret, err := keys.Token(cfg.DataDir)
	if err != nil {
		return setup(ErrDataDir, err)
	}
	permits, err := openPermits(cfg)
	if err != nil {
		return setup(ErrDataDir, err)
	}
	channels, err := openChannels(cfg, permits)
	if err != nil {
		return setup(ErrDataDir, err)
	}
	certificates, err := openTLS(cfg)
	if err != nil {
		return err
	}
	var secure *tls.Config
	if certificates != nil {
		secure = certificates.TLS
	}
	publishers, err := ingest.Listen(newIngest(cfg, channels, secure))
	if err != nil {
		return listenError(err)
	}
	defer publishers.Close()
	cfg.Mounts = maps.Clone(cfg.Mounts)
	if cfg.Mounts == nil {
		cfg.Mounts = make(map[string]http.Handler)
	}
	cfg.Mounts["/ingest/"] = publishers.CMAF()
	if whip := publishers.WHIP(); whip != nil {
		cfg.Mounts["/whip/"] = whip
	}
	if cfg.Role == RoleEncode {
		cfg.Mounts["/live/"] = http.HandlerFunc(notServed)
	}
	handler, err := newServer(cfg, channels, secret)
	if err != nil {
		return setup(ErrConfig, err)
	}
	channels.site = handler
	site, err := web.Listen(web.Config{HTTP: cfg.HTTP, HTTPS: cfg.HTTPS, HTTP3: cfg.HTTP3, TLS: secure, Handler: handler, Lane: handler, Logger: cfg.Logger})
	if err != nil {
		return listenError(err)
	}
	defer site.Close()
	inputs, err := reserve(ctx, publishers, sources)
	if err != nil {
		return setup(ErrConfig, err)
	}
	ready := Ready{HTTP: site.Addr().String()}
	if publishers.Addr() != nil {
		ready.RTMP = publishers.Addr().String()
	}
	if publishers.SRTAddr() != nil {
		ready.SRT = publishers.SRTAddr().String()
	}
	if site.SecureAddr() != nil {
		ready.HTTPS = site.SecureAddr().String()
	}
	if publishers.SecureAddr() != nil {
		ready.RTMPS = publishers.SecureAddr().String()
	}
	if publishers.WHIPAddr() != nil {
		ready.WHIP = publishers.WHIPAddr().String()
	}
	for _, name := range cfg.Channels {
		ready.Channels = append(ready.Channels, channels.named(name).described())
	}
	cfg.Ready(ready)
	group, ctx := errgroup.WithContext(ctx)
	channels.serve(func(ch *channel) {
		ch.open(ctx, cfg, slate)
		group.Go(func() error { return ch.playout.Run(ctx) })
	})
	group.Go(func() error { return publishers.Serve(ctx) })
	group.Go(func() error { return site.Serve(ctx) })
	defer certificates.Keep(ctx, site.SecureAddr())()
	startPulls(ctx, group, cfg, sources, inputs)
	startPushes(ctx, group, cfg, channels)
	return group.Wait()
}

// openPermits reads the key that publishing tokens are checked with.
func openPermits(cfg Config) (permit.Key, error) {
	if cfg.PublishKey != "" {
		return permit.Read(cfg.PublishKey)
	}
	return permit.Open(cfg.DataDir)
}

func newServer(cfg Config, channels *channels, secret []byte) (*server.Server, error) {
	config := server.Config{TokenSecret: secret, Mounts: cfg.Mounts, Register: cfg.Register, FailOver: cfg.FailOver, Logger: cfg.Logger, Now: nowMs}
	for _, name := range cfg.Channels {
		config.Channels = append(config.Channels, channels.named(name).served(cfg))
	}
	return server.New(config)
}

func newIngest(cfg Config, channels *channels, secure *tls.Config) ingest.Config {
	config := ingest.Config{
		Address: cfg.RTMP, SRT: cfg.SRT, RTMPS: cfg.RTMPS, WHIP: cfg.WHIP, WHIPHost: cfg.WHIPHost, TLS: secure,
		Authorize: channels.authorize, Start: channels.start, Dir: filepath.Join(cfg.DataDir, "ingest"), Logger: cfg.Logger,
	}
	if cfg.Role == RolePackage {
		config.Package = func(name string) (ingest.Packaging, error) { return channels.named(name).packaged(cfg.LowLatency), nil }
	}
	return config
}

func nowMs() int64 { return time.Now().UnixMilli() }
