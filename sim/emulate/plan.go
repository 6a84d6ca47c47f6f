package emulate

import (
	"fmt"
	"net/netip"

	"slipstream/sim/emulate/link"
	"slipstream/sim/world"
)

// plan is a scenario turned into hosts and visits. It is a function of the scenario
// and the number of viewers to a host. Lines and lives are the simulator's: viewer 7
// has the same uplink and comes at the same time in both.
type plan struct {
	cfg    world.Config
	cast   *world.Cast
	hosts  []host // of viewers, then of seeders, then origin and tracker
	visits []visit
}

// host is a machine with its access line.
type host struct {
	name     string
	addr     netip.Addr
	up, down int64 // bytes per second; 0: unlimited
	nat      link.NAT
	viewers  int // that are there at one time or another; 0: a seeder's, the origin's or the tracker's
	role     int // in the cast: whose line it is
}

// visit is a viewer: where it is, from when to when, and how it goes. Times are
// after the start; beyond the end of the run they have no meaning.
type visit struct {
	host            int
	joinMs, leaveMs int64
	crash           bool
	noUpload        bool
}

// maxHosts is what one machine can hold: each has a thread and some processes.
const maxHosts = 400

func newPlan(cfg world.Config, perHost int) (*plan, error) {
	if err := emulable(cfg); err != nil {
		return nil, err
	}
	p := &plan{cfg: cfg, cast: world.NewCast(cfg)}
	for i, r := range p.cast.Roles {
		h := host{role: i, up: r.UplinkBytesPerSec, down: r.DownlinkBytesPerSec}
		if len(cfg.NATs) > 0 && !r.Seeder {
			h.nat = nats[r.NAT]
		}
		switch {
		case r.Seeder:
			h.name = fmt.Sprintf("seeder-%d", i-len(p.visits))
			p.hosts = append(p.hosts, h)
			continue
		case len(p.visits)%perHost == 0:
			h.name = fmt.Sprintf("host-%d", len(p.hosts))
			p.hosts = append(p.hosts, h)
		}
		at := len(p.hosts) - 1
		p.hosts[at].viewers++
		p.visits = append(p.visits, visit{at, r.JoinMs, r.LeaveMs, r.Crash, r.NoUpload})
	}
	if len(p.hosts) > maxHosts {
		return nil, fmt.Errorf("%d hosts are more than one machine can emulate: at most %d; lower viewers.count or let several viewers share a host", len(p.hosts), maxHosts)
	}
	// Each host has a /24 of its own: to a tracker that spreads neighbours over
	// networks they are as far apart as strangers are.
	for i := range p.hosts {
		p.hosts[i].addr = netip.AddrFrom4([4]byte{10, byte(64 + i/250), byte(1 + i%250), 2})
	}
	p.hosts = append(p.hosts,
		host{name: "origin", addr: netip.AddrFrom4([4]byte{10, 0, 1, 2})},
		host{name: "tracker", addr: netip.AddrFrom4([4]byte{10, 0, 2, 2})})
	return p, nil
}

func (p *plan) origin() int  { return len(p.hosts) - 2 }
func (p *plan) tracker() int { return len(p.hosts) - 1 }

// nats are the simulator's kinds.
var nats = map[world.NATKind]link.NAT{
	world.EndpointIndependent:     link.EndpointIndependent,
	world.AddressDependent:        link.AddressDependent,
	world.AddressAndPortDependent: link.AddressAndPortDependent,
	world.Symmetric:               link.Symmetric,
	world.Blocked:                 link.Blocked,
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
			Addr: h.addr, NAT: h.nat,
			Up:   link.Line{BytesPerSec: h.up, QueueUs: queueUs},
			Down: link.Line{BytesPerSec: h.down, QueueUs: queueUs},
		})
	}
	return link.New(c)
}

// delayUs is one way between two hosts: the simulator's between viewers and seeders,
// what the scenario says to the CDN and to the tracker, and next to nothing between
// those two.
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
	return p.cast.DelayUs(p.hosts[from].role, p.hosts[to].role)
}

// severed tells pairs of viewers that can never connect.
func (p *plan) severed(from, to int) bool {
	return max(from, to) < p.origin() && p.cfg.Network.ConnectFailures > 0 &&
		p.cast.Unlucky(p.hosts[from].role, p.hosts[to].role)
}

// presentMs is how long each viewer is there after a time.
func (p *plan) presentMs(afterMs int64) []int64 {
	present := make([]int64, len(p.visits))
	for i, v := range p.visits {
		present[i] = max(min(v.leaveMs, p.cfg.DurationMs)-max(v.joinMs, afterMs), 0)
	}
	return present
}
