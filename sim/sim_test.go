package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"slipstream/sim/report"
	"slipstream/sim/scenarios"
	"slipstream/sim/world"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew; read the difference before you commit it")

// small are the built-in scenarios that take less than a second.
func small(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, name := range scenarios.Names() {
		if name != "thousand" {
			names = append(names, name)
		}
	}
	if len(names) < 9 {
		t.Fatalf("only %d small scenarios are built in", len(names))
	}
	return names
}

func simulate(t *testing.T, cfg world.Config) *world.Result {
	t.Helper()
	result, err := world.Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range result.Failures {
		t.Error(f)
	}
	return result
}

// The stories: what each built-in scenario shows. A change of policy changes
// them; `go test ./sim -rewrite` writes them anew.
func TestScenariosShowWhatTheyShowed(t *testing.T) {
	for _, name := range small(t) {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Run(context.Background(), Config{ScenarioPath: name, Out: &out}); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".txt")
			if *rewrite {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
}

// What every policy must hold, whatever the goldens say.
func TestPromisesOfTheScenarios(t *testing.T) {
	for name, c := range map[string]struct {
		boundShare float64 // at least
		stalls     int64   // at most
	}{
		"two": {0.99, 0}, "twenty": {0.95, 0}, "flash-crowd": {0.95, 0}, "slow-uplinks": {0.9, 0},
		"seeded": {0.95, 0}, "mass-exit": {0.9, 0}, "tracker-gone": {0.6, 0}, "alone": {0, 0}, "nobody-uploads": {0, 0},
		// A CDN that can hardly carry a viewer and fails now and then: of six seeds three have one or two short stalls.
		"parts": {0.95, 0}, "recording": {0.9, 0}, "cdn-slow": {0.95, 2}, "half-hostile": {0.8, 0}, "far-and-wide": {0.85, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			r := report.New(simulate(t, cfg))
			if r.BoundShare < c.boundShare {
				t.Errorf("offload %.3f is %.3f of the bound, promised are %.3f", r.Offload, r.BoundShare, c.boundShare)
			}
			if r.Stalls > c.stalls || r.NeverStarted > 0 {
				t.Errorf("%d stalls, %d viewers never started", r.Stalls, r.NeverStarted)
			}
			if r.BoundShare > 1.001 {
				t.Errorf("offload %.4f exceeds the bound %.4f: one of the two is wrong", r.Offload, r.Bound.Offload)
			}
		})
	}
}

// Peer-to-peer is never on the critical path: where plain HLS plays, so does this, and
// where it stalls, this stalls no longer.
func TestNobodyStallsWhoWouldNotOnTheCDNAlone(t *testing.T) {
	for _, name := range small(t) {
		cfg, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		with := simulate(t, cfg)
		cfg.PeerToPeer = false
		without := simulate(t, cfg)
		stalled, plain := int64(0), int64(0)
		for i, v := range with.Viewers {
			stalled += v.StallMs
			plain += without.Viewers[i].StallMs
			if p2p := without.Viewers[i].P2PBytes; p2p != 0 {
				t.Errorf("%s: viewer %d got %d bytes from neighbours without peer-to-peer", name, i, p2p)
			}
		}
		if stalled > plain {
			t.Errorf("%s: viewers stall for %d ms, on the CDN alone for %d", name, stalled, plain)
		}
	}
}

func TestSameSeedSameResult(t *testing.T) {
	cfg, err := Load("flash-crowd")
	if err != nil {
		t.Fatal(err)
	}
	cfg.ClusterViewers = 40 // four clusters
	want := simulate(t, cfg).Hash()
	for _, procs := range []int{1, 4} {
		before := runtime.GOMAXPROCS(procs)
		result, err := Simulate(context.Background(), cfg)
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		if got := result.Hash(); got != want {
			t.Errorf("with %d processors the result is %s, before it was %s", procs, got, want)
		}
	}
	cfg.Seed++
	if simulate(t, cfg).Hash() == want {
		t.Error("another seed gives the same result")
	}
}

func TestRunWritesOneJSONObject(t *testing.T) {
	var out bytes.Buffer
	seed := uint64(7)
	if err := Run(context.Background(), Config{ScenarioPath: "two", Seed: &seed, JSON: true, Out: &out}); err != nil {
		t.Fatal(err)
	}
	var r report.Report
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if decoder.More() {
		t.Error("something follows the object")
	}
	if r.Seed != 7 || r.Viewers != 2 || r.Hash == "" || r.P2PBytes == 0 || r.VerifiedLeaves == 0 {
		t.Errorf("the object says %+v", r)
	}
}

func TestBadInputGivesOneSentence(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ path, says string }{
		{filepath.Join(dir, "none.yaml"), "there is no scenario file"},
		{dir, "cannot be read"},
		{write("typo.yaml", "stream:\n  bitrat: 4Mbps\n"), `line 2: stream has no setting "bitrat"`},
		{write("big.yaml", strings.Repeat("#", 1<<20+1)), "longer than 1 MiB"},
	} {
		err := Run(context.Background(), Config{ScenarioPath: c.path, Out: &bytes.Buffer{}})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error is %v, it should say %q in one line", filepath.Base(c.path), err, c.says)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := Run(ctx, Config{ScenarioPath: "thousand", Out: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("the error is %v", err)
	}
}

func TestAReadableFileWinsOverABuiltInName(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("two", []byte("viewers: { count: 3 }\nduration: 30s\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load("two")
	if err != nil || cfg.Viewers != 3 || cfg.Name != "two" {
		t.Errorf("loaded %d viewers, name %q, error %v", cfg.Viewers, cfg.Name, err)
	}
	if _, err := Load("sim/scenarios/twenty.yaml"); err != nil {
		t.Errorf("a built-in scenario is not found by its path in the sources: %v", err)
	}
}
