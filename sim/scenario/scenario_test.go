package scenario

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"slipstream/sim/scenarios"
	"slipstream/sim/world"
)

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	want := Default()
	want.Classes = []world.Class{defaultLine()}
	for _, text := range []string{"", "# nothing\n", "stream:\nviewers:\n"} {
		got, err := Parse([]byte(text), nil)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v\ngot  %+v\nwant %+v", text, err, got, want)
		}
	}
}

// The package comment lists all settings with their defaults: read it as a
// scenario and compare.
func TestTheDocumentedDefaultsAreTheDefaults(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var yaml strings.Builder
	for _, line := range strings.Split(string(source), "\n") {
		if setting, ok := strings.CutPrefix(line, "//\t"); ok {
			yaml.WriteString(setting + "\n")
		}
	}
	// The lists that are empty by default show one entry each.
	text := strings.ReplaceAll(yaml.String(), "    - from: 0\n      to: 0\n", "    - from: 0\n      to: 1s\n")
	got, err := Parse([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	second := []world.Outage{{ToMs: 1000}}
	for _, c := range []struct{ got, want any }{
		{got.Exits, []world.Exit{{Share: 1}}}, {got.Tracker.Outages, second}, {got.CDN.Outages, second},
		{got.CDN.Slow, []world.Slow{{ToMs: 1000, ServerMs: 5}}}, {got.NATs, []world.NAT{{Share: 1}}},
		{got.Places, []world.Place{{Name: "everywhere", Share: 1, OneWayMs: []int64{30}}}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("the documented entry is %+v, want %+v", c.got, c.want)
		}
	}
	got.Exits, got.Tracker.Outages, got.CDN.Outages, got.CDN.Slow, got.NATs, got.Places = nil, nil, nil, nil, nil, nil
	got.Hostile.Kind = Default().Hostile.Kind // of nobody
	want := Default()
	want.Classes = []world.Class{defaultLine()}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestValuesCarryUnits(t *testing.T) {
	cfg, err := Parse([]byte(`
name: everything
seed: 42
duration: 2min
measureAfter: 1500ms
stream: { bitrate: 4Mbps, segment: 1s, holdBackSegments: 2, windowSegments: 5, publishDelay: 0 }
viewers:
  count: 7
  arrivePerSecond: 2.5
  stay: 1h
  crashes: 12.5%
  lines:
    - share: 60%
      uplink: 800kbps
      uplinkSpread: 0.5
    - share: 40%
      uploads: false
      downlink: 0.1Gbps
  exits: [{ at: 30s, share: 50%, crash: true }]
network: { oneWay: 12ms, packetOverhead: 0B, connectFailures: "3%" }
tracker: { duties: false, outages: [{ from: 1s, to: 2s }] }
scheduler: { marginMs: 250, maxFetches: 2 }
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"duration", cfg.DurationMs, int64(120_000)}, {"measureAfter", cfg.MeasureAfterMs, int64(1500)},
		{"bitrate", cfg.Stream.BytesPerSec, int64(500_000)}, {"publishDelay", cfg.Stream.PublishDelayMs, int64(0)},
		{"arrival", cfg.Arrival, world.Arrival{PerSecond: 2.5}}, {"stay", cfg.StayMs, int64(3_600_000)},
		{"crashes", cfg.Crashes, 0.125}, {"exits", cfg.Exits, []world.Exit{{AtMs: 30_000, Share: 0.5, Crash: true}}},
		{"lines", cfg.Classes, []world.Class{
			{Share: 0.6, UplinkBytesPerSec: 100_000, UplinkSpread: 0.5, DownlinkBytesPerSec: 6_250_000},
			{Share: 0.4, UplinkBytesPerSec: 1_250_000, DownlinkBytesPerSec: 12_500_000, NoUpload: true},
		}},
		{"oneWay", cfg.Network.OneWayMs, int64(12)}, {"overhead", cfg.Network.PacketOverhead, int64(0)},
		{"failures", cfg.Network.ConnectFailures, 0.03}, {"duties", cfg.Tracker.Duties, false}, {"outages", cfg.Tracker.Outages, []world.Outage{{FromMs: 1000, ToMs: 2000}}},
		{"margin", cfg.Scheduler.MarginMs, int64(250)}, {"fetches", cfg.Scheduler.MaxFetches, 2},
		{"untouched", cfg.Scheduler.StaggerMs, Default().Scheduler.StaggerMs},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s is %v, want %v", c.what, c.got, c.want)
		}
	}
}

func TestPlacesAreAsFarFromEachOtherAsTheirNamesSay(t *testing.T) {
	cfg, err := Parse([]byte(`
places:
  - { name: fr/1, share: 50% }
  - { name: fr/2, share: 20%, oneWay: [7ms, 8ms, 9ms] }
  - { name: de/3, share: 30% }
network: { placesOneWay: [10ms, 20ms, 40ms] }
tracker: { places: false }
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]int64{{10, 20, 40}, {7, 8, 9}, {40, 40, 10}} {
		if got := cfg.Places[i].OneWayMs; !reflect.DeepEqual(got, want) {
			t.Errorf("from %s it is %v, want %v", cfg.Places[i].Name, got, want)
		}
	}
	if !cfg.Tracker.Blind || Default().Tracker.Blind {
		t.Error("a tracker knows places unless the scenario says otherwise")
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"sed: 1", `line 1: the scenario has no setting "sed"; it has name, seed,`},
		{"viewers:\n  lines:\n    - upload: 1Mbps", `line 3: viewers.lines[1] has no setting "upload"`},
		{"scheduler: { seed: 1 }", `scheduler has no setting "seed"`},
		{"stream: { bitrate: 4 }", `line 1: stream.bitrate: "4" is not a rate such as 4Mbps`},
		{"stream: { bitrate: 4mbps }", "is not a rate"},
		{"duration: 60", `"60" is not a time such as 30ms`},
		{"duration: -5s", "is not a time"},
		{"duration: NaNs", "is not a time"},
		{"duration: 9e99h", "is not a time"},
		{"duration: 25h", "at most 24h"},
		{"cdn: { responseRate: 101Gbps }", "at most 100Gbps"},
		{"seed: x", "is not a whole number"},
		{"seed: 1.5", "is not a whole number"},
		{"peerToPeer: yes", "neither true nor false"},
		{"viewers: { crashes: 101% }", "is not a share"},
		{"viewers: { crashes: 0.5 }", "is not a share"},
		{"network: { packetOverhead: 1kB }", "is not a size"},
		{"viewers: [1]", "viewers must hold settings"},
		{"viewers: { lines: 3 }", "viewers.lines must be a list"},
		{"viewers: { count: { a: 1 } }", "viewers.count must be a single value"},
		{"- a", "the scenario must hold settings"},
		{"a: 1\n---\nb: 2", "one file holds one scenario"},
		{"a: [", "this is not YAML"},
		{"seed: 1\nseed: 2", "this is not YAML"},
		{"viewers: { lines: [{ share: 50% }] }", "add up to 50.0%, not to 100%"},
		{"viewers: { arriveOver: 1s, arrivePerSecond: 3 }", "viewers come in one way"},
		{"viewers: { stay: 1s, stayFixed: 3s }", "viewers stay in one way"},
		{"viewers: { mix: mars }", `line 1: viewers.mix: there is no mix "mars"; there are germany-2021,`},
		{"hostile: { kind: rude }", `"rude" is none of drip, flood,`},
		{"network: { nat: [{ kind: symmetric, share: 30% }] }", "network.nat add up to 30.0%"},
		{"network: { loss: 60% }", "above 50%"},
		{"places: [{ name: a, share: 100%, oneWay: [1ms, 2ms] }]", `place "a" has 2 entries in oneWay; it needs one for each of the 1 places`},
		{"network: { placesOneWay: [1ms, 2ms] }", "network.placesOneWay has 2 entries; it needs three"},
		{"places: [{ name: a, share: 50%, oneWay: [1ms] }]", "places add up to 50.0%"},
		{"cdn: { outages: [{ from: 3s, to: 2s }] }", "must end (to) after"},
		{"viewers: { trace: visits.csv }", "there is no file visits.csv here"},
		{"viewers: { count: 0 }", "viewers.count must be from 1"},
		{"duration: 12s", "nothing is left to measure"},
		{"stream: { holdBackSegments: 11 }", "holdBackSegments must be from 1"},
		{"stream: { bitrate: 60Mbps }", "cannot carry a stream"},
		{"tracker: { outages: [{ from: 3s, to: 2s }] }", "must end (to) after"},
		{"scheduler: { maxFetches: 0 }", "maxFetches"},
	} {
		_, err := Parse([]byte(c.text), nil)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error is %v, it should say %q", c.text, err, c.says)
		}
	}
}

func TestATraceIsRead(t *testing.T) {
	for _, c := range []struct {
		text   string
		visits []world.Visit
		says   string
	}{
		{"# join, stay\n0.0, 312.5\n1.25, 40, crash\n\n3,\n4", []world.Visit{{JoinMs: 0, StayMs: 312_500}, {JoinMs: 1250, StayMs: 40_000, Crash: true}, {JoinMs: 3000}, {JoinMs: 4000}}, ""},
		{"# nothing", nil, "holds no visits"},
		{"1,2,3", nil, "line 1 of v.csv is not"},
		{"1\n2,x", nil, "line 2 of v.csv is not"},
		{"-1", nil, "line 1"},
		{"NaN", nil, "line 1"},
	} {
		cfg, err := Parse([]byte("viewers: { trace: v.csv }"), func(string) ([]byte, error) { return []byte(c.text), nil })
		switch {
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%q: the error is %v, it should say %q", c.text, err, c.says)
		case c.says == "" && (err != nil || !reflect.DeepEqual(cfg.Arrival.Visits, c.visits) || cfg.Viewers != len(c.visits)):
			t.Errorf("%q: %v, %d viewers, %+v", c.text, err, cfg.Viewers, cfg.Arrival.Visits)
		}
	}
}

func TestMixesAddUp(t *testing.T) {
	for name := range mixes {
		cfg, err := Parse([]byte("viewers: { mix: "+name+" }"), nil)
		if err != nil || len(cfg.Classes) < 3 {
			t.Errorf("%s: %v, %d lines", name, err, len(cfg.Classes))
		}
	}
}

func TestBuiltInScenariosAreValid(t *testing.T) {
	for _, name := range scenarios.Names() {
		text, err := scenarios.Files.ReadFile(name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s does not say what it is about", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range scenarios.Names() {
		text, _ := scenarios.Files.ReadFile(name + ".yaml")
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Parse(text, nil); err != nil && err.Error() == "" {
			t.Error("an error that says nothing")
		}
	})
}
