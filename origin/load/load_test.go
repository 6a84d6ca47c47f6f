package load_test

import (
	"fmt"
	"strings"
	"testing"

	"slipstream/origin/load"
)

// A stretch is a time in which the machine behaves alike.
type stretch struct {
	seconds int
	lagMs   int64
	cores   float64 // that the encoder uses
	begins  bool    // with a new run of the encoder
	perSec  int64   // by which the lag changes
}

// play shows a governor the stretches, a second at a time, and returns what it said, with the second it said it in. What it
// says is done: rungs of 100 pixels each go and come.
func play(g load.Governor, rungs int, stretches ...stretch) string {
	var said []string
	most, second, cpuMs := rungs, 0, int64(0)
	for _, s := range stretches {
		for i := range s.seconds {
			second++
			cpuMs += int64(s.cores * 1000)
			o := load.Observation{NowMs: int64(second) * 1000, LagMs: s.lagMs + int64(i)*s.perSec, CPUMs: cpuMs, Pixels: int64(rungs) * 100, Last: rungs == 1}
			if rungs < most {
				o.Next = o.Pixels + 100
			}
			if s.begins && i == 0 {
				g.Began(o)
			}
			v := g.Observe(o)
			if v == load.Keep {
				continue
			}
			said = append(said, fmt.Sprintf("%d:%v", second, v))
			switch v {
			case load.Drop:
				rungs--
				g.Began(o)
			case load.Restore:
				rungs++
				g.Began(o)
			}
		}
	}
	return strings.Join(said, " ")
}

func TestWhatIsDoneAboutASlowMachine(t *testing.T) {
	const well, slow, between = 600, 4000, 2000
	drops, fixed := load.Governor{Cores: 2, Drops: true}, load.Governor{Cores: 2}
	for _, c := range []struct {
		name      string
		governor  load.Governor
		rungs     int
		stretches []stretch
		want      string
	}{
		{"all is well", drops, 3, []stretch{{seconds: 600, lagMs: well}}, ""},
		{"a moment of slowness", drops, 3, []stretch{{seconds: 20, lagMs: well}, {seconds: 5, lagMs: slow}, {seconds: 20, lagMs: well}}, ""},
		{"slowness that is interrupted", drops, 3, []stretch{
			{seconds: 20, lagMs: well}, {seconds: 4, lagMs: slow}, {seconds: 1, lagMs: between}, {seconds: 5, lagMs: slow}, {seconds: 9, lagMs: well},
		}, ""},
		{"a start is slow", drops, 3, []stretch{{seconds: 5, lagMs: slow, begins: true}, {seconds: 60, lagMs: well}}, ""},
		{"catching up, slowly", drops, 3, []stretch{{seconds: 20, lagMs: well}, {seconds: 40, lagMs: 9000, perSec: -150}}, ""},
		{"catching up too slowly", drops, 3, []stretch{{seconds: 20, lagMs: well}, {seconds: 30, lagMs: 9000, perSec: -50}}, "26:drop 36:drop 46:slow"},
		{"falling behind ever more", drops, 3, []stretch{{seconds: 20, lagMs: well}, {seconds: 6, lagMs: 3000, perSec: 500}}, "26:drop"},
		{"lasting slowness", drops, 3, []stretch{{seconds: 20, lagMs: well}, {seconds: 6, lagMs: slow}}, "26:drop"},
		{"slowness that nothing helps", drops, 3, []stretch{{seconds: 120, lagMs: slow}}, "6:drop 16:drop 26:slow"},
		{"rungs must stay", fixed, 3, []stretch{{seconds: 120, lagMs: slow}}, "6:slow"},
		{"told once until it was calm", fixed, 3, []stretch{
			{seconds: 20, lagMs: slow}, {seconds: 30, lagMs: well}, {seconds: 20, lagMs: slow}, {seconds: 62, lagMs: well}, {seconds: 20, lagMs: slow},
		}, "6:slow 138:slow"},
		{"it comes back after a calm minute", drops, 3, []stretch{{seconds: 6, lagMs: slow}, {seconds: 100, lagMs: well, cores: 0.5}}, "6:drop 71:restore"},
		{"not where it is only half calm", drops, 3, []stretch{{seconds: 6, lagMs: slow}, {seconds: 300, lagMs: between, cores: 0.5}}, "6:drop"},
		{"not where there is no room", drops, 2, []stretch{{seconds: 6, lagMs: slow}, {seconds: 300, lagMs: well, cores: 0.9}}, "6:drop"},
		{"just where there is", drops, 2, []stretch{{seconds: 6, lagMs: slow}, {seconds: 100, lagMs: well, cores: 0.8}}, "6:drop 71:restore"},
		{"a return that was a mistake takes longer next time", drops, 2, []stretch{
			{seconds: 6, lagMs: slow}, {seconds: 70, lagMs: well}, {seconds: 20, lagMs: slow}, {seconds: 250, lagMs: well},
		}, "6:drop 71:restore 82:drop 92:slow 217:restore"},
		{"one that lasted is none", drops, 2, []stretch{
			{seconds: 6, lagMs: slow}, {seconds: 270, lagMs: well}, {seconds: 6, lagMs: slow}, {seconds: 75, lagMs: well},
		}, "6:drop 71:restore 282:drop 347:restore"},
	} {
		if got := play(c.governor, c.rungs, c.stretches...); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTheFiguresAreASentence(t *testing.T) {
	g := load.Governor{Cores: 2}
	g.Observe(load.Observation{NowMs: 10_000, LagMs: 3000, CPUMs: 500, Skipped: 3})
	o := load.Observation{NowMs: 16_000, LagMs: 5230, CPUMs: 500 + 11_400, Skipped: 40}
	if v := g.Observe(o); v != load.Slow {
		t.Errorf("the verdict is %v", v)
	}
	const want = "what is published is 5.2 s behind the publisher, ffmpeg uses 1.9 of 2 cores, 37 pictures and frames of sound were thrown away meanwhile"
	if got := g.Describe(o); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
