package emulate

import (
	"context"
	"strings"
	"testing"

	"slipstream/sim/emulate/link"
	"slipstream/sim/scenario"
	"slipstream/sim/world"
)

func parse(t *testing.T, text string) world.Config {
	t.Helper()
	cfg, err := scenario.Parse([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// The point of emulating a scenario is to compare it with its simulation, so both
// must speak of the same viewers.
func TestEmulatedViewersAreTheSimulatorsViewers(t *testing.T) {
	cfg := parse(t, `
duration: 30s
measureAfter: 5s
viewers:
  count: 30
  arrivePerSecond: 1.5
  stay: 20s
  lines:
    - { share: 70%, uplink: 3Mbps, uplinkSpread: 0.5, downlink: 20Mbps }
    - { share: 30%, uplink: 500kbps }
seeders: { count: 1, uplink: 7Mbps }
`)
	p, err := newPlan(cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	result, err := world.Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range result.Viewers {
		v := &result.Viewers[i]
		if v.Seeder {
			if p.hosts[i].up != v.UplinkBytesPerSec || p.hosts[i].viewers != 0 {
				t.Errorf("a seeder with %+v", p.hosts[i])
			}
			continue
		}
		visit := p.visits[i]
		if up := p.hosts[visit.host].up; up != v.UplinkBytesPerSec {
			t.Errorf("viewer %d: %d bytes/s up, simulated %d", i, up, v.UplinkBytesPerSec)
		}
		came := visit.joinMs
		if came > cfg.DurationMs {
			came = -1
		}
		if came != v.JoinMs {
			t.Errorf("viewer %d comes at %d ms, simulated at %d", i, came, v.JoinMs)
		}
		if present := p.presentMs(0)[i]; v.JoinMs >= 0 && present != v.PresentMs {
			t.Errorf("viewer %d is there for %d ms, simulated for %d", i, present, v.PresentMs)
		}
	}
}

func TestWhoGoesIsFollowedAndWhoCrashesIsKnown(t *testing.T) {
	p, err := newPlan(parse(t, `
duration: 60s
viewers: { count: 4, stayFixed: 25s, crashes: 100%, replace: true }
`), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.visits) != 12 {
		t.Fatalf("%d visits in 60 s by fours who stay 25 s, want 12", len(p.visits))
	}
	for i, v := range p.visits[:3] {
		if v.joinMs != int64(i)*25_001 || v.crash != (i < 2) {
			t.Errorf("visit %d: %+v", i, v)
		}
	}
}

func TestExitsTakeTheirShare(t *testing.T) {
	p, err := newPlan(parse(t, `
duration: 60s
viewers: { count: 200, exits: [{ at: 20s, share: 40%, crash: true }, { at: 30s }] }
`), 1)
	if err != nil {
		t.Fatal(err)
	}
	crashed := 0
	for _, v := range p.visits {
		if v.crash {
			crashed++
		}
		if want := map[bool]int64{true: 20_000, false: 30_000}[v.crash]; v.leaveMs != want {
			t.Errorf("goes at %d ms, crash %v", v.leaveMs, v.crash)
		}
	}
	if crashed < 60 || crashed > 100 {
		t.Errorf("%d of 200 crashed, want about 80", crashed)
	}
}

func TestHostsAreAsFarApartAsTheScenarioSays(t *testing.T) {
	p, err := newPlan(parse(t, `
viewers: { count: 5 }
network:
  oneWay: 30ms
  connectFailures: 100%
  nat: [{ kind: symmetric, share: 100% }]
cdn: { oneWay: 12ms }
tracker: { oneWay: 40ms }
`), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.hosts) != 5 || p.hosts[2].viewers != 1 || p.visits[3].host != 1 {
		t.Fatalf("hosts %+v", p.hosts)
	}
	for _, c := range []struct {
		from, to int
		wantUs   int64
		severed  bool
	}{
		{0, 1, 30_000, true}, {2, 0, 30_000, true},
		{1, p.origin(), 12_000, false}, {p.origin(), 1, 12_000, false},
		{p.tracker(), 2, 40_000, false},
	} {
		if got := p.delayUs(c.from, c.to); got != c.wantUs {
			t.Errorf("%d µs from %d to %d, want %d", got, c.from, c.to, c.wantUs)
		}
		if got := p.severed(c.from, c.to); got != c.severed {
			t.Errorf("from %d to %d severed: %v", c.from, c.to, got)
		}
	}
	if p.hosts[0].nat != link.Symmetric || p.hosts[p.origin()].nat != link.Open {
		t.Error("the routers are not where they should be")
	}
	networks := map[[3]byte]bool{}
	for _, h := range p.hosts {
		a := h.addr.As4()
		networks[[3]byte(a[:3])] = true
	}
	if len(networks) != len(p.hosts) {
		t.Error("two hosts share a /24")
	}
}

func TestWhatCannotBeEmulatedIsSaid(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"stream: { segment: 4s }", "stream.segment"},
		{"stream: { holdBackSegments: 2 }", "holdBackSegments"},
		{"stream: { publishDelay: 1s }", "publishDelay"},
		{"stream: { bitrate: 100kbps }", "bitrate"},
		{"stream: { recordedSegments: 40 }", "only bitrate"},
		{"stream: { blockingReload: true }", "only bitrate"},
		{"hostile: { share: 30% }", "hostile"},
		{"cdn: { server: 50ms }", "cdn.server"},
		{"cdn: { responseRate: 1Mbps }", "responseRate"},
		{"cdn: { playlistAge: 1s }", "playlistAge"},
		{"cdn: { errors: 1% }", "cdn.errors"},
		{"network: { connectRoundTrips: 3 }", "connectRoundTrips"},
		{"network: { packetOverhead: 0 }", "packetOverhead"},
		{"network: { crashNotice: 1s }", "crashNotice"},
		{"scheduler: { marginMs: 1 }", "scheduler"},
		{"viewers: { count: 500 }", "500 hosts"},
	} {
		if _, err := newPlan(parse(t, c.text), 1); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want a sentence with %q", c.text, err, c.says)
		}
	}
}
