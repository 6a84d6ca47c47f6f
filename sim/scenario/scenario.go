package scenario

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"slipstream/peer/sched"
	"slipstream/sim/network"
	"slipstream/sim/world"
)

// Default is the scenario that an empty file describes.
func Default() world.Config {
	return world.Config{
		Seed: 1, DurationMs: 60_000, MeasureAfterMs: 10_000, PeerToPeer: true,
		Stream: world.Stream{
			BytesPerSec: 1_000_000 / 8, SegmentMs: 2000, HoldBackSegments: 3, WindowSegments: 10, PublishDelayMs: 100, AheadMs: 30_000,
		},
		Viewers: 20, ClusterViewers: 1000, Stay: world.Stay{Spread: 1},
		Network: world.Network{
			OneWayMs: 30, ConnectRoundTrips: 5, PacketOverhead: network.DefaultPacketOverhead, CrashNoticeMs: 15_000,
			QueueMs: 200,
		},
		CDN:       world.CDN{OneWayMs: 20, ServerMs: 5},
		Tracker:   world.Tracker{OneWayMs: 25, Duties: true},
		Seeders:   world.Seeders{UplinkBytesPerSec: 100_000_000 / 8},
		Scheduler: sched.DefaultConfig(0),
	}
}

// defaultLine is what an entry of viewers.lines leaves out, and the only line if
// there are none.
func defaultLine() world.Class {
	return world.Class{Share: 1, UplinkBytesPerSec: 10_000_000 / 8, DownlinkBytesPerSec: 50_000_000 / 8}
}

// Parse reads a scenario. Its error is a sentence that names the line and the
// setting.
//
// Files that it names are read by open; nil if there are none.
func Parse(text []byte, open func(name string) ([]byte, error)) (world.Config, error) {
	cfg := Default()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return cfg, fmt.Errorf("this is not YAML: %s", first)
	}
	var root ast.Node
	if len(file.Docs) > 1 {
		return cfg, fmt.Errorf("one file holds one scenario, but this one has %d documents", len(file.Docs))
	}
	if len(file.Docs) == 1 {
		root = file.Docs[0].Body
	}
	fault := &fault{}
	f := section(root, "", fault)
	trace := read(f, &cfg)
	f.end()
	if fault.err != nil {
		return cfg, fault.err
	}
	if trace != "" {
		if err := readTrace(trace, open, &cfg); err != nil {
			return cfg, err
		}
	}
	if len(cfg.Classes) == 0 {
		cfg.Classes = []world.Class{defaultLine()}
	}
	return cfg, check(&cfg)
}

// read returns the name of the trace file that the scenario wants.
func read(f *fields, cfg *world.Config) (trace string) {
	f.text("name", &cfg.Name)
	seed := int64(cfg.Seed)
	f.integer("seed", &seed)
	cfg.Seed = uint64(seed)
	f.duration("duration", &cfg.DurationMs)
	f.duration("measureAfter", &cfg.MeasureAfterMs)
	f.flag("peerToPeer", &cfg.PeerToPeer)
	f.inner("stream", func(f *fields) {
		f.rate("bitrate", &cfg.Stream.BytesPerSec)
		f.duration("segment", &cfg.Stream.SegmentMs)
		f.count("holdBackSegments", &cfg.Stream.HoldBackSegments)
		f.count("windowSegments", &cfg.Stream.WindowSegments)
		f.duration("publishDelay", &cfg.Stream.PublishDelayMs)
		f.flag("blockingReload", &cfg.Stream.BlockingReload)
		f.flag("gossip", &cfg.Stream.Gossip)
		f.count("recordedSegments", &cfg.Stream.RecordedSegments)
		f.duration("ahead", &cfg.Stream.AheadMs)
		f.duration("positionsOver", &cfg.Stream.PositionsOverMs)
	})
	f.inner("viewers", func(f *fields) { trace = readViewers(f, cfg) })
	f.inner("hostile", func(f *fields) {
		cfg.Hostile.Kind = world.Mixed
		f.share("share", &cfg.Hostile.Share)
		oneOf(f, "kind", world.HostileKinds, &cfg.Hostile.Kind)
	})
	f.each("places", func(f *fields) { readPlace(f, cfg) })
	f.inner("seeders", func(f *fields) {
		f.count("count", &cfg.Seeders.Count)
		f.rate("uplink", &cfg.Seeders.UplinkBytesPerSec)
	})
	var placesOneWay []int64
	f.inner("network", func(f *fields) {
		f.duration("oneWay", &cfg.Network.OneWayMs)
		f.durations("placesOneWay", &placesOneWay)
		if n := len(placesOneWay); n != 0 && n != 3 {
			f.fault.at(f.nodes["placesOneWay"], "network.placesOneWay has %d entries; it needs three: within a place, to others of its region, to other regions", n)
		}
		f.number("oneWaySpread", &cfg.Network.OneWaySpread)
		f.integer("connectRoundTrips", &cfg.Network.ConnectRoundTrips)
		f.share("connectFailures", &cfg.Network.ConnectFailures)
		f.share("loss", &cfg.Network.Loss)
		f.each("nat", func(f *fields) {
			n := world.NAT{Share: 1}
			oneOf(f, "kind", natKinds, &n.Kind)
			f.share("share", &n.Share)
			cfg.NATs = append(cfg.NATs, n)
		})
		f.size("packetOverhead", &cfg.Network.PacketOverhead)
		f.duration("crashNotice", &cfg.Network.CrashNoticeMs)
		f.duration("jitter", &cfg.Network.JitterMs)
		f.duration("queue", &cfg.Network.QueueMs)
	})
	f.inner("cdn", func(f *fields) {
		f.duration("oneWay", &cfg.CDN.OneWayMs)
		f.duration("server", &cfg.CDN.ServerMs)
		f.rate("responseRate", &cfg.CDN.BytesPerSec)
		f.duration("playlistAge", &cfg.CDN.PlaylistAgeMs)
		f.share("errors", &cfg.CDN.Errors)
		f.each("outages", func(f *fields) { readOutage(f, &cfg.CDN.Outages) })
		f.each("slow", func(f *fields) {
			s := world.Slow{ServerMs: cfg.CDN.ServerMs, BytesPerSec: cfg.CDN.BytesPerSec}
			f.duration("from", &s.FromMs)
			f.duration("to", &s.ToMs)
			f.duration("server", &s.ServerMs)
			f.rate("responseRate", &s.BytesPerSec)
			cfg.CDN.Slow = append(cfg.CDN.Slow, s)
		})
	})
	f.inner("tracker", func(f *fields) {
		places := !cfg.Tracker.Blind
		f.flag("places", &places)
		cfg.Tracker.Blind = !places
		f.duration("oneWay", &cfg.Tracker.OneWayMs)
		f.flag("duties", &cfg.Tracker.Duties)
		f.each("outages", func(f *fields) { readOutage(f, &cfg.Tracker.Outages) })
	})
	f.inner("scheduler", func(f *fields) { readScheduler(f, &cfg.Scheduler) })
	if len(placesOneWay) == 3 {
		spreadOut(cfg.Places, placesOneWay)
	}
	return trace
}

// spreadOut says how far places are from each other that do not say it: those of a region, by their names, are nearer.
func spreadOut(places []world.Place, oneWayMs []int64) {
	region := func(p *world.Place) string {
		name, _, _ := strings.Cut(p.Name, "/")
		return name
	}
	for i := range places {
		if places[i].OneWayMs != nil {
			continue
		}
		for j := range places {
			far := 2
			if i == j {
				far = 0
			} else if region(&places[i]) == region(&places[j]) {
				far = 1
			}
			places[i].OneWayMs = append(places[i].OneWayMs, oneWayMs[far])
		}
	}
}

func readOutage(f *fields, into *[]world.Outage) {
	o := world.Outage{}
	f.duration("from", &o.FromMs)
	f.duration("to", &o.ToMs)
	*into = append(*into, o)
}

func readPlace(f *fields, cfg *world.Config) {
	p := world.Place{}
	f.text("name", &p.Name)
	f.share("share", &p.Share)
	f.durations("oneWay", &p.OneWayMs)
	cfg.Places = append(cfg.Places, p)
}

var natKinds = map[string]world.NATKind{
	"endpoint-independent": world.EndpointIndependent, "address-dependent": world.AddressDependent,
	"address-and-port-dependent": world.AddressAndPortDependent, "symmetric": world.Symmetric, "blocked": world.Blocked,
}

func readViewers(f *fields, cfg *world.Config) (trace string) {
	f.count("count", &cfg.Viewers)
	f.count("cluster", &cfg.ClusterViewers)
	f.duration("arriveOver", &cfg.Arrival.OverMs)
	f.number("arrivePerSecond", &cfg.Arrival.PerSecond)
	f.duration("arriveRamp", &cfg.Arrival.RampMs)
	f.duration("arriveFlash", &cfg.Arrival.FlashMs)
	f.text("trace", &trace)
	f.duration("stay", &cfg.StayMs)
	f.duration("stayMedian", &cfg.Stay.MedianMs)
	f.number("staySpread", &cfg.Stay.Spread)
	f.duration("stayFixed", &cfg.Stay.FixedMs)
	f.share("crashes", &cfg.Crashes)
	f.share("crashesPerMinute", &cfg.CrashRate)
	f.flag("replace", &cfg.Replace)
	f.share("noUpload", &cfg.NoUpload)
	mix := ""
	f.text("mix", &mix)
	if mix != "" {
		if cfg.Classes = mixes[mix]; cfg.Classes == nil {
			f.fault.at(f.nodes["mix"], "%smix: there is no mix %q; there are %s", f.path, mix, names(mixes))
		}
		cfg.Classes = slices.Clone(cfg.Classes)
	}
	f.each("lines", func(f *fields) {
		c := defaultLine()
		uploads := true
		f.share("share", &c.Share)
		f.rate("uplink", &c.UplinkBytesPerSec)
		f.number("uplinkSpread", &c.UplinkSpread)
		f.rate("downlink", &c.DownlinkBytesPerSec)
		f.number("downlinkSpread", &c.DownlinkSpread)
		f.flag("uploads", &uploads)
		c.NoUpload = !uploads
		cfg.Classes = append(cfg.Classes, c)
	})
	f.each("exits", func(f *fields) {
		e := world.Exit{Share: 1}
		f.duration("at", &e.AtMs)
		f.share("share", &e.Share)
		f.flag("crash", &e.Crash)
		cfg.Exits = append(cfg.Exits, e)
	})
	return trace
}

// readScheduler offers every number of sched.Config under its own name, unit
// included (MarginMs: marginMs), so that a new constant can be experimented with
// on the day it is made.
func readScheduler(f *fields, cfg *sched.Config) {
	v := reflect.ValueOf(cfg).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if name == "Seed" {
			continue // set per viewer
		}
		name = strings.ToLower(name[:1]) + name[1:]
		switch field := v.Field(i); field.Kind() {
		case reflect.Int, reflect.Int32, reflect.Int64:
			n := field.Int()
			f.integer(name, &n)
			field.SetInt(n)
		}
	}
}

// check says what no run could make sense of.
func check(cfg *world.Config) error {
	s := &cfg.Stream
	shares := 0.0
	for _, c := range cfg.Classes {
		shares += c.Share
		if c.DownlinkBytesPerSec < s.BytesPerSec {
			return fmt.Errorf("a downlink of %s cannot carry a stream of %s: raise viewers.lines downlink", mbps(c.DownlinkBytesPerSec), mbps(s.BytesPerSec))
		}
	}
	for _, o := range slices.Concat(cfg.Tracker.Outages, cfg.CDN.Outages) {
		if o.FromMs >= o.ToMs {
			return fmt.Errorf("an outage must end (to) after it begins (from)")
		}
	}
	places, nats := 0.0, 0.0
	for _, p := range cfg.Places {
		places += p.Share
		if len(p.OneWayMs) != len(cfg.Places) {
			return fmt.Errorf("place %q has %d entries in oneWay; it needs one for each of the %d places", p.Name, len(p.OneWayMs), len(cfg.Places))
		}
	}
	for _, n := range cfg.NATs {
		nats += n.Share
	}
	arrivals, stays := 0, 0
	for _, set := range []bool{cfg.Arrival.OverMs > 0, cfg.Arrival.PerSecond > 0, cfg.Arrival.RampMs > 0, cfg.Arrival.FlashMs > 0, len(cfg.Arrival.Visits) > 0} {
		if set {
			arrivals++
		}
	}
	for _, set := range []bool{cfg.StayMs > 0, cfg.Stay.MedianMs > 0, cfg.Stay.FixedMs > 0, len(cfg.Arrival.Visits) > 0} {
		if set {
			stays++
		}
	}
	for _, c := range []struct {
		wrong bool
		say   string
	}{
		{s.SegmentMs < 200 || s.SegmentMs > 30_000, "stream.segment must be from 200ms to 30s"},
		{s.BytesPerSec*s.SegmentMs/1000 < 1 || s.BytesPerSec*s.SegmentMs/1000 > 4096*16384, "a segment (stream.bitrate × stream.segment) must have from 1 byte to 64 MiB"},
		{s.WindowSegments < 2 || s.WindowSegments > 200, "stream.windowSegments must be from 2 to 200"},
		{s.HoldBackSegments < 1 || s.HoldBackSegments > s.WindowSegments, "stream.holdBackSegments must be from 1 to stream.windowSegments"},
		{s.RecordedSegments > 10_000, "stream.recordedSegments must be at most 10000"},
		{s.RecordedSegments > 0 && s.AheadMs < s.SegmentMs, "stream.ahead must be at least a segment"},
		{s.RecordedSegments > 0 && s.AheadMs/s.SegmentMs > 200, "stream.ahead must be at most 200 segments"},
		{s.PublishDelayMs >= 60_000, "stream.publishDelay must be below 1min"},
		{cfg.Viewers < 1 || cfg.Viewers > 1_000_000, "viewers.count must be from 1 to 1000000"},
		{cfg.Seeders.Count > 1000, "seeders.count must be at most 1000"},
		{cfg.DurationMs < 1000 || cfg.DurationMs > 20*24*3600_000, "duration must be from 1s to 480h"},
		{cfg.MeasureAfterMs+int64(s.HoldBackSegments+1)*s.SegmentMs > cfg.DurationMs, "nothing is left to measure: duration must exceed measureAfter by at least holdBackSegments + 1 segments"},
		{arrivals > 1, "viewers come in one way: arriveOver, arrivePerSecond, arriveRamp, arriveFlash or trace"},
		{stays > 1, "viewers stay in one way: stay, stayMedian, stayFixed or trace"},
		{len(cfg.Places) > 0 && math.Abs(places-1) > 0.001, fmt.Sprintf("the shares of places add up to %.1f%%, not to 100%%", 100*places)},
		{len(cfg.NATs) > 0 && math.Abs(nats-1) > 0.001, fmt.Sprintf("the shares of network.nat add up to %.1f%%, not to 100%%", 100*nats)},
		{cfg.Network.Loss > 0.5, "network.loss above 50% is no network"},
		{cfg.ClusterViewers > 0 && cfg.ClusterViewers < 2, "viewers.cluster must be at least 2, or 0 for one cluster"},
		{cfg.Hostile.Share > 0.95, "hostile.share must leave at least 5% honest"},
		{math.Abs(shares-1) > 0.001, fmt.Sprintf("the shares of viewers.lines add up to %.1f%%, not to 100%%", 100*shares)},
		{cfg.Network.OneWayMs > 10_000 || cfg.CDN.OneWayMs > 10_000 || cfg.Tracker.OneWayMs > 10_000, "a oneWay above 10s is no network"},
		{cfg.Network.JitterMs > 10_000 || cfg.Network.QueueMs > 10_000, "a jitter or a queue above 10s is no network"},
		{cfg.Network.ConnectRoundTrips > 100, "network.connectRoundTrips must be at most 100"},
		{cfg.Network.OneWaySpread > 3 || cfg.Stay.Spread > 3 || anySpread(cfg.Classes), "a spread above 3 makes most lines dead and a few infinite"},
		{cfg.Scheduler.MaxFetches < 1, "scheduler.maxFetches must be at least 1"},
	} {
		if c.wrong {
			return fmt.Errorf("%s", c.say)
		}
	}
	return nil
}

func anySpread(classes []world.Class) bool {
	for _, c := range classes {
		if c.UplinkSpread > 3 || c.DownlinkSpread > 3 {
			return true
		}
	}
	return false
}

func mbps(bytesPerSec int64) string { return fmt.Sprintf("%gMbps", float64(bytesPerSec)*8/1e6) }
