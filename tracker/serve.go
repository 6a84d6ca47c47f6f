package tracker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"slipstream/tracker/cluster"
	"slipstream/tracker/relay"
	"slipstream/tracker/server"
	"slipstream/tracker/token"
)

// serveCommand is `slipstream tracker` itself.
type serveCommand struct {
	Listen    string                   `help:"Address to listen on." default:":8081" placeholder:"ADDR"`
	TokenKey  string                   `help:"File with the token secret, the same as the origin's." default:"data/keys/token.key" placeholder:"FILE"`
	TokenKeys string                   `help:"File with the keys of others who mint tokens (YAML list of kid, key, channels, origins, viewers, unbound, sharing)." placeholder:"FILE"`
	Allow     []string                 `help:"Web origins whose pages may connect, as patterns; default: any." placeholder:"ORIGIN"`
	Sharing   map[string]token.Sharing `help:"How viewers of a channel, by its id, or of all (*) may meet: through the relay only, or not at all; repeatable." placeholder:"CHANNEL=relay|off"`
	UploadCap map[string]float64       `help:"Cap in Mb/s on the uploads of each viewer of a channel, by its id, or of all (*); repeatable." placeholder:"CHANNEL=MBPS"`
	Geo       []string                 `help:"Database of operators or countries by address (MaxMind format or CSV), read again when it changes; repeatable; default: the network's number tells who is near." placeholder:"FILE"`
	Relay     string                   `help:"UDP address for an embedded STUN and TURN server, such as 203.0.113.5:3478; default: none." placeholder:"ADDR"`
	RelayHost string                   `help:"IP address at which viewers reach the relay; default: that of --relay." placeholder:"IP"`
	CertificateFlags

	DebugListen   string `help:"Address for profiles of the running program (pprof), such as 127.0.0.1:6060; default: none." placeholder:"ADDR"`
	DebugAnywhere bool   `help:"That address may be one that other machines reach."`

	Trust             []netip.Prefix `help:"Networks of terminators whose X-Forwarded-For is believed." placeholder:"PREFIX"`
	ProxyProtocol     bool           `help:"These terminators begin each connection with the PROXY protocol (version 1 or 2), as TCP proxies do that cannot add X-Forwarded-For."`
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

	WebTorrentFlags
}

// CertificateFlags say where the tracker's certificate comes from: files, or an authority; all empty: it has none.
type CertificateFlags struct {
	TLSCert    string   `help:"Certificate for TLS (PEM, with its chain); read again when it changes. Without it a terminator (nginx, haproxy) is expected before." placeholder:"FILE"`
	TLSKey     string   `help:"Its private key (PEM)." placeholder:"FILE"`
	ACMEDomain []string `name:"acme-domain" help:"Domain to get a certificate for by ACME, kept and renewed without a restart; its port 443 must lead to this server's TLS. Who gives it agrees to the authority's terms; repeatable." placeholder:"DOMAIN"`
	ACMEEmail  string   `name:"acme-email" help:"Where the authority may write to; default: nowhere." placeholder:"ADDRESS"`
	ACMECA     string   `name:"acme-ca" help:"Directory of the authority (URL); default: Let's Encrypt." placeholder:"URL"`
	ACMERoot   string   `name:"acme-root" help:"Certificate (PEM) of a private authority's own server, or of who issued it; default: those that the system knows." placeholder:"FILE"`
	ACMEData   string   `name:"acme-data" help:"Where to keep what the authority issues; an origin on this machine may use the same." default:"data/acme" placeholder:"DIR"`
}

// Certificate is how to serve TLS. Keep is Config.Listening.
type Certificate struct {
	TLS  *tls.Config // nil: there is none
	Keep func(ctx context.Context, at net.Addr) (stop func())
}

// OpenCertificate opens it, wherever it comes from; what it says later goes to the log.
type OpenCertificate func(f CertificateFlags, log *slog.Logger) (Certificate, error)

// Again reads the command line and the configuration file again.
type Again func() (Commands, error)

func (c serveCommand) Run(ctx context.Context, certificate OpenCertificate, again Again, log *slog.Logger) error {
	policy, err := c.policy()
	if err != nil {
		return err
	}
	ice, err := readRelay(c.Relay, c.RelayHost)
	if err != nil {
		return err
	}
	cfg := Config{
		ICE: ice, Listen: c.Listen, Geo: c.Geo, Log: log, ClientAddr: server.Forwarded(c.Trust),
		Debug: c.DebugListen, DebugAnywhere: c.DebugAnywhere, WebTorrent: c.Announcing(),
		Cluster: cluster.Config{Name: c.Cluster, Node: c.Node, URL: c.NATS, Listen: c.ClusterListen, Routes: c.ClusterRoute, Data: c.ClusterData},
	}
	cfg.Use(policy)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	cfg.Hangup = hangup
	cfg.Reread = func() (server.Policy, error) {
		now, err := again()
		if err != nil {
			return server.Policy{}, err
		}
		return now.Serve.policy()
	}
	if c.ProxyProtocol {
		if len(c.Trust) == 0 {
			return errors.New("the PROXY protocol is believed only from known networks: name those of the terminators by --trust")
		}
		cfg.Terminators = c.Trust
	}
	if c.DebugListen == "" {
		runtime.MemProfileRate = 0 // nobody will ask for the profile, which is a megabyte or two
	}
	proof, err := certificate(c.CertificateFlags, server.Discreet(log))
	if err != nil {
		return err
	}
	cfg.TLS, cfg.Listening = proof.TLS, proof.Keep
	return Run(ctx, cfg)
}

// policy is what SIGHUP reads again.
func (c serveCommand) policy() (p server.Policy, err error) {
	if p.Secret, err = ReadSecret(c.TokenKey); err != nil {
		return p, err
	}
	if p.Keys, err = readKeys(c.TokenKeys); err != nil {
		return p, err
	}
	p.Sharing, p.Caps, p.Origins = c.Sharing, map[string]int64{}, c.Allow
	for channel, mbps := range c.UploadCap {
		p.Caps[channel] = bitsPerSec(mbps)
	}
	p.Limits = server.Limits{
		Connections: c.Connections, RoomViewers: c.RoomViewers,
		PrefixConnections: c.PrefixConnections, PrefixRate: c.PrefixRate, PrefixBurst: c.PrefixBurst,
	}
	return p, nil
}

func bitsPerSec(megabits float64) int64 { return int64(megabits * 1e6) }

// readRelay reads the address of the embedded STUN and TURN server, and that at which viewers reach it; both may be "".
func readRelay(listen, public string) (c relay.Config, err error) {
	c.Listen = listen
	if public != "" {
		if c.Public, err = netip.ParseAddr(public); err != nil {
			return c, fmt.Errorf("%q is not the IP address at which viewers reach the relay", public)
		}
	}
	return c, nil
}
