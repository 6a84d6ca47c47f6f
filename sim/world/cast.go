package world

import "slipstream/sim/draw"

// Role is who a viewer or seeder is and when it comes and goes: everything about it
// that is drawn before anything happens. An emulation with real programs takes it
// from here, so that the same seed gives it the same lines and lives.
type Role struct {
	Number                                 int64
	Seeder                                 bool
	UplinkBytesPerSec, DownlinkBytesPerSec int64 // of the line; 0: unlimited
	NoUpload                               bool
	NAT                                    NATKind
	JoinMs, LeaveMs                        int64 // after the start; beyond the end is never
	Crash                                  bool

	v *viewer
}

// Cast is all roles of a run, in the order of the scenario.
type Cast struct {
	Roles []Role
	w     *world
}

// NewCast draws them. Config is one that package scenario has checked.
func NewCast(cfg Config) *Cast {
	c := &Cast{w: &world{clusters: 1, cfg: cfg, draw: draw.New(cfg.Seed)}}
	poisson := 0.0
	for i := range cfg.Viewers {
		if cfg.Arrival.PerSecond > 0 {
			poisson += c.w.draw.Exponential(1000/cfg.Arrival.PerSecond, int64(i), drawJoin, 0)
		}
		c.add(int64(i), c.w.arrivalMs(i, poisson))
	}
	for i := range cfg.Seeders.Count {
		v := c.w.newViewer(seederNumber+int64(i), 0, true)
		c.Roles = append(c.Roles, Role{Number: v.number, Seeder: true, UplinkBytesPerSec: v.uplink, LeaveMs: cfg.DurationMs, v: v})
	}
	return c
}

// add is a viewer and, in a room that stays as large, those who follow it.
func (c *Cast) add(number, joinMs int64) {
	v := c.w.newViewer(number, joinMs, false)
	up := v.uplink
	if up == 0 {
		up = v.up.BytesPerSec // it passes nothing on, but has requests to send
	}
	r := Role{
		Number: number, UplinkBytesPerSec: up, DownlinkBytesPerSec: v.down.BytesPerSec,
		NoUpload: v.noUpload, NAT: v.nat, JoinMs: joinMs, LeaveMs: c.w.cfg.DurationMs, v: v,
	}
	stayMs, crash := c.w.stay(number)
	if stayMs > 0 {
		r.leave(joinMs+stayMs, crash)
	}
	sentAway := false
	for n, exit := range c.w.cfg.Exits {
		if exit.AtMs >= joinMs && exit.AtMs < r.LeaveMs && c.w.draw.Unit(number, drawExit, int64(n)) < exit.Share {
			r.leave(exit.AtMs, exit.Crash)
			sentAway = true
		}
	}
	c.Roles = append(c.Roles, r)
	if c.w.cfg.Replace && !sentAway && r.LeaveMs < c.w.cfg.DurationMs {
		c.add(number+generation, r.LeaveMs+1)
	}
}

// leave keeps the first reason to go.
func (r *Role) leave(atMs int64, crash bool) {
	if atMs < r.LeaveMs {
		r.LeaveMs, r.Crash = atMs, crash
	}
}

// DelayUs is one way between two of them.
func (c *Cast) DelayUs(a, b int) int64 { return c.w.delayUs(c.Roles[a].v, c.Roles[b].v) }

// Unlucky tells whether two of them can never connect, whatever their NATs.
func (c *Cast) Unlucky(a, b int) bool { return c.w.unlucky(c.Roles[a].Number, c.Roles[b].Number) }
