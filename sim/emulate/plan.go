package emulate

import (
	"fmt"
	"net/netip"
	"reflect"

	"slipstream/sim/draw"
	"slipstream/sim/emulate/link"
	"slipstream/sim/scenario"
	"slipstream/sim/world"
)

// plan is a scenario turned into hosts and visits. It is a function of the scenario
// and the number of viewers to a host, and takes the same draws as the simulator
// does: viewer 7 has the same line and comes at the same time in both.
type plan struct {
	cfg    world.Config
	hosts  []host // of viewers, then of seeders, then origin and tracker
	visits []visit
}

// host is a machine with its access line. Rates of 0 are unlimited.
type host struct {
	Name     string
	Addr     netip.Addr
	Up, Down int64 // bytes per second
	NAT      link.NAT
	NoUpload bool
	Viewers  int // places for viewers; 0: a seeder's, the origin's or the tracker's

	accessUs int64 // its half of the way to another viewer
}

// visit is a viewer: where it is, from when to when, and how it goes. Times are
// after the start; beyond the end of the run they have no meaning.
type visit struct {
	host            int
	joinMs, leaveMs int64
	crash           bool
}

// Purposes of draws, as in package world (a test holds them together).
const (
	drawJoin    draw.Purpose = 1
	drawStay    draw.Purpose = 2
	drawCrash   draw.Purpose = 3
	drawClass   draw.Purpose = 4
	drawUplink  draw.Purpose = 5
	drawDelay   draw.Purpose = 6
	drawConnect draw.Purpose = 11
	drawExit    draw.Purpose = 12
)

const (
	// maxHosts is what one machine can hold: each has a thread and some processes.
	maxHosts = 400
	// controlBytesPerSec is the uplink of a line that passes nothing on, as in
	// package world: requests and acknowledgements.
	controlBytesPerSec = 32_000
)

func newPlan(cfg world.Config, perHost int) (*plan, error) {
	if err := emulable(cfg); err != nil {
		return nil, err
	}
	p := &plan{cfg: cfg}
	source := draw.New(cfg.Seed)
	for first := 0; first < cfg.Viewers; first += perHost {
		h := viewerHost(cfg, source, int64(first))
		h.Name = fmt.Sprintf("host-%d", len(p.hosts))
		h.Viewers = min(perHost, cfg.Viewers-first)
		p.hosts = append(p.hosts, h)
	}
	for i := range cfg.Seeders.Count {
		p.hosts = append(p.hosts, host{
			Name: fmt.Sprintf("seeder-%d", i), Up: cfg.Seeders.UplinkBytesPerSec,
			accessUs: accessUs(cfg, source, int64(cfg.Viewers+i)),
		})
	}
	if len(p.hosts) > maxHosts {
		return nil, fmt.Errorf("%d hosts are more than one machine can emulate: at most %d; lower viewers.count or let several viewers share a host", len(p.hosts), maxHosts)
	}
	// Each host has a /24 of its own: to a tracker that spreads neighbours over
	// networks they are as far apart as strangers are.
	for i := range p.hosts {
		p.hosts[i].Addr = netip.AddrFrom4([4]byte{10, byte(64 + i/250), byte(1 + i%250), 2})
	}
	p.hosts = append(p.hosts,
		host{Name: "origin", Addr: netip.AddrFrom4([4]byte{10, 0, 1, 2})},
		host{Name: "tracker", Addr: netip.AddrFrom4([4]byte{10, 0, 2, 2})})
	p.schedule(source, perHost)
	return p, nil
}

func (p *plan) origin() int  { return len(p.hosts) - 2 }
func (p *plan) tracker() int { return len(p.hosts) - 1 }

func viewerHost(cfg world.Config, source draw.Source, who int64) host {
	at, sum, class := source.Spread(who, drawClass), 0.0, len(cfg.Classes)-1
	for i, c := range cfg.Classes {
		if sum += c.Share; at < sum {
			class = i
			break
		}
	}
	c := &cfg.Classes[class]
	h := host{
		Up:   max(int64(float64(c.UplinkBytesPerSec)*source.LogNormal(c.UplinkSpread, who, drawUplink, 0)), 1),
		Down: c.DownlinkBytesPerSec, NoUpload: c.NoUpload, accessUs: accessUs(cfg, source, who),
	}
	if h.NoUpload {
		h.Up = max(h.Up, controlBytesPerSec)
	}
	return h
}

func accessUs(cfg world.Config, source draw.Source, who int64) int64 {
	return int64(float64(cfg.Network.OneWayMs*500) * source.LogNormal(cfg.Network.OneWaySpread, who, drawDelay, 0))
}

// schedule says who comes and goes when.
func (p *plan) schedule(source draw.Source, perHost int) {
	poisson, cfg := 0.0, &p.cfg
	for i := range cfg.Viewers {
		who := int64(i)
		v := visit{host: i / perHost, leaveMs: cfg.DurationMs}
		switch {
		case cfg.Arrival.PerSecond > 0:
			poisson += source.Exponential(1000/cfg.Arrival.PerSecond, who, drawJoin, 0)
			v.joinMs = int64(min(poisson, float64(2*cfg.DurationMs)))
		case cfg.Arrival.OverMs > 0:
			v.joinMs = int64(source.Spread(who, drawJoin) * float64(cfg.Arrival.OverMs))
		}
		if cfg.StayMs > 0 {
			stay := source.Exponential(float64(cfg.StayMs), who, drawStay, 0)
			v.leave(v.joinMs+max(int64(stay), 1), source.Unit(who, drawCrash, 0) < cfg.Crashes)
		}
		for n, exit := range cfg.Exits {
			if exit.AtMs >= v.joinMs && source.Unit(who, drawExit, int64(n)) < exit.Share {
				v.leave(exit.AtMs, exit.Crash)
			}
		}
		p.visits = append(p.visits, v)
	}
}

// leave keeps the first reason to go.
func (v *visit) leave(atMs int64, crash bool) {
	if atMs < v.leaveMs {
		v.leaveMs, v.crash = atMs, crash
	}
}

// fabric is the network of the plan.
func (p *plan) fabric() (*link.Fabric, error) {
	queueUs := p.cfg.Network.QueueMs * 1000
	c := link.Config{
		DelayUs: p.delayUs, Severed: p.severed,
		JitterUs: p.cfg.Network.JitterMs * 1000, Loss: p.cfg.Network.Loss, Seed: p.cfg.Seed,
	}
	for _, h := range p.hosts {
		c.Hosts = append(c.Hosts, link.Host{
			Addr: h.Addr, NAT: h.NAT,
			Up:   link.Line{BytesPerSec: h.Up, QueueUs: queueUs},
			Down: link.Line{BytesPerSec: h.Down, QueueUs: queueUs},
		})
	}
	return link.New(c)
}

// delayUs is one way between two hosts: what each brings among viewers and seeders,
// what the scenario says to the CDN and to the tracker, and next to nothing
// between those two.
func (p *plan) delayUs(from, to int) int64 {
	from, to = min(from, to), max(from, to)
	switch {
	case from == p.origin():
		return 1000
	case to == p.tracker():
		return p.cfg.Tracker.OneWayMs * 1000
	case to == p.origin():
		return p.cfg.CDN.OneWayMs * 1000
	}
	return p.hosts[from].accessUs + p.hosts[to].accessUs
}

// severed tells pairs of viewers that can never connect.
func (p *plan) severed(from, to int) bool {
	if max(from, to) >= p.origin() || p.cfg.Network.ConnectFailures == 0 {
		return false
	}
	pair := int64(min(from, to))<<24 | int64(max(from, to))
	return draw.New(p.cfg.Seed).Unit(pair, drawConnect, 0) < p.cfg.Network.ConnectFailures
}

// emulable says what of a scenario real processes cannot do. Where a default is
// named, the setting is the simulator's alone: its counterpart is real here.
func emulable(cfg world.Config) error {
	normal := scenario.Default()
	for _, c := range []struct {
		wrong bool
		say   string
	}{
		{cfg.Stream.SegmentMs != normal.Stream.SegmentMs, "stream.segment must be 2s: the origin cuts no others"},
		{cfg.Stream.HoldBackSegments != normal.Stream.HoldBackSegments, "stream.holdBackSegments must be 3: the viewer starts there"},
		{cfg.Stream.PublishDelayMs != normal.Stream.PublishDelayMs, "stream.publishDelay cannot be set: the origin takes the time that it takes"},
		{cfg.Stream.BytesPerSec < 200_000/8 || cfg.Stream.BytesPerSec > 20_000_000/8, "stream.bitrate must be from 200kbps to 20Mbps: an encoder runs beside the viewers"},
		{cfg.CDN.ServerMs != normal.CDN.ServerMs, "cdn.server cannot be set: the origin takes the time that it takes"},
		{cfg.CDN.BytesPerSec > 0, "cdn.responseRate cannot be emulated: the origin's line is unlimited"},
		{cfg.CDN.PlaylistAgeMs > 0, "cdn.playlistAge cannot be emulated: no cache stands before the origin"},
		{cfg.Network.ConnectRoundTrips != normal.Network.ConnectRoundTrips, "network.connectRoundTrips cannot be set: connections are real"},
		{cfg.Network.PacketOverhead != normal.Network.PacketOverhead, "network.packetOverhead cannot be set: packets are real"},
		{cfg.Network.CrashNoticeMs != normal.Network.CrashNoticeMs, "network.crashNotice cannot be set: WebRTC notices when it notices"},
		{!reflect.DeepEqual(cfg.Scheduler, normal.Scheduler), "the scheduler's numbers cannot be set: viewers use the built-in ones"},
	} {
		if c.wrong {
			return fmt.Errorf("this scenario can be simulated but not emulated: %s", c.say)
		}
	}
	return nil
}
