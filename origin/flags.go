package origin

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"

	"slipstream/origin/certificate"
	"slipstream/origin/health"
	"slipstream/origin/transcode"
)

// Flags are how an origin is set up on the command line, by itself or within up.
type Flags struct {
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
	ACMEFlags

	FrameRate   int           `help:"Pictures a second of all renditions." default:"30" placeholder:"N"`
	PassThrough bool          `help:"Pass the publisher's picture on as it comes, as the rendition source, where its key frames allow it; smaller rungs are encoded."`
	DropRungs   bool          `help:"Where this machine is too slow for the ladder, make less of it."`
	Channels    settingsTable `help:"Channels with settings of their own, for the configuration file: rung, frame-rate, pass-through, drop-rungs, dvr and part-hold-back by channel." placeholder:"YAML"`
	MaxChannels int           `help:"Channels at once, with those that publishers make whose token says so." default:"16" placeholder:"N"`
	PublishKey  string        `help:"Key that publishing tokens are checked with: Ed25519 (PEM, private or public), or a secret of 32 bytes and more; default: keys/publish.key in the data directory." placeholder:"FILE"`

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

// ACMEFlags are whom an origin asks for certificates.
type ACMEFlags struct {
	ACMEDomain []string `name:"acme-domain" help:"Domain to get a certificate for by ACME, kept and renewed without a restart; its port 443 must lead to this server's TLS. Who gives it agrees to the authority's terms; repeatable." placeholder:"DOMAIN"`
	ACMEEmail  string   `name:"acme-email" help:"Where the authority may write to; default: nowhere." placeholder:"ADDRESS"`
	ACMECA     string   `name:"acme-ca" help:"Directory of the authority (URL); default: Let's Encrypt." placeholder:"URL"`
	ACMERoot   string   `name:"acme-root" help:"Certificate (PEM) of a private authority's own server, or of who issued it; default: those that the system knows." placeholder:"FILE"`
}

func (f ACMEFlags) acme() certificate.ACME {
	return certificate.ACME{Domains: f.ACMEDomain, Email: f.ACMEEmail, CA: f.ACMECA, Root: f.ACMERoot}
}

// Pages makes the handlers of the web player, by http.ServeMux pattern, which look up channels' ids.
type Pages func(id func(channel string) (id string, known bool)) map[string]http.Handler

// Config describes the origin that the flags ask for; ready is told when it listens.
func (f Flags) Config(pages Pages, log *slog.Logger, ready func(Ready)) (Config, error) {
	var ids sync.Map
	made := func(channel Channel) { ids.Store(channel.Name, channel.ID.String()) }
	known := func(channel string) (string, bool) {
		id, ok := ids.Load(channel)
		if !ok {
			return "", false
		}
		return id.(string), true
	}
	ladder, err := f.ladder()
	return Config{
		HTTP: f.HTTP, HTTPS: f.HTTPS, HTTP3: f.HTTP3, RTMP: f.RTMP, RTMPS: f.RTMPS, SRT: f.SRT, WHIP: f.WHIP, WHIPHost: f.WHIPHost,
		TLSCert: f.TLSCert, TLSKey: f.TLSKey, TLSSelfSigned: f.TLSSelfSigned, ACME: f.acme(),
		DataDir: f.Data, Channels: f.Channel, Settings: f.Channels, MaxChannels: f.MaxChannels, PublishKey: f.PublishKey,
		Window: f.Window, DVR: f.DVR, Ladder: ladder, FrameRate: f.FrameRate, PassThrough: f.PassThrough, DropRungs: f.DropRungs,
		LowLatency: f.LowLatency, HoldBack: f.PartHoldBack, CDNs: f.CDN, FailOver: f.failOver(),
		Backup: f.Backup, Slate: f.slate(), SlateFor: f.SlateFor, InputLost: f.InputLost, InputSteady: f.InputSteady,
		Pull: f.Pull, PullOnce: f.PullOnce, Mounts: pages(known), Made: made, Logger: log,
		Ready: func(at Ready) {
			for _, channel := range at.Channels {
				made(channel)
			}
			ready(at)
		},
	}, err
}

func (f Flags) slate() string {
	if f.Slate == "off" {
		return ""
	}
	return f.Slate
}

func (f Flags) failOver() (p health.Policy) {
	if slices.Contains(f.FailOver, "stale") {
		p.StaleMs = health.StaleMs
	}
	p.Incomplete = slices.Contains(f.FailOver, "incomplete")
	p.Slate = slices.Contains(f.FailOver, "slate")
	return p
}

// ladder reads the rungs; none stands for the origin's own.
func (f Flags) ladder() (ladder []transcode.Rung, err error) {
	for _, text := range f.Rung {
		rung, err := transcode.ParseRung(text)
		if err != nil {
			return nil, err
		}
		ladder = append(ladder, rung)
	}
	return ladder, nil
}

// settingsTable are settings by channel: a table of the configuration file, or the same in YAML.
type settingsTable map[string]Settings

// Decode implements kong.MapperValue.
func (t *settingsTable) Decode(ctx *kong.DecodeContext) error {
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
