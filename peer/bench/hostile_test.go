package bench

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipstream/origin/benchtest"
	"slipstream/peer/attack"
	"slipstream/peer/rtc"
)

// hostileReport compares rooms with attackers in them with a clean one.
type hostileReport struct {
	Viewers   int     `json:"viewers"` // attackers included
	Attackers int     `json:"attackers"`
	Kbps      int     `json:"kbps"`
	Seconds   float64 `json:"seconds"`

	Bars  []bar  `json:"bars"`
	Rooms []room `json:"rooms"` // the first is clean
}

// room is what the honest viewers of one room went through, and what the attackers did.
type room struct {
	Kind         attack.Kind `json:"kind"`         // "" for the clean room
	Rebuffering  float64     `json:"rebuffering"`  // time stalled / time watched
	HonestOnly   account     `json:"honest"`       // within the measured time, bad bytes from the beginning
	Victims      int64       `json:"victims"`      // connections that attackers made
	Dropped      int64       `json:"dropped"`      // of them, how many were closed
	Asked        int64       `json:"asked"`        // leaves that attackers were asked for
	BadLeaves    int64       `json:"badLeaves"`    // that they sent
	BadRecords   int64       `json:"badRecords"`   //
	Messages     int64       `json:"messages"`     // that they sent
	Names        int64       `json:"names"`        // that they joined under
	CPUPerViewer float64     `json:"cpuPerViewer"` // attackers' and origin's share included
	MachineIdle  float64     `json:"machineIdle"`  // share of the cores that was left over
}

type hostilePlan struct {
	viewers, attackers, kbps int
	warmup, measure          time.Duration
	seed                     uint64
}

func benchHostile(args []string) (any, error) {
	var plan hostilePlan
	kinds := ""
	f := flags("hostile")
	f.IntVar(&plan.viewers, "viewers", 30, "viewers, attackers included")
	f.IntVar(&plan.attackers, "attackers", 9, "attackers among them")
	f.IntVar(&plan.kbps, "kbps", 1000, "bitrate")
	f.DurationVar(&plan.warmup, "warmup", 10*time.Second, "from the last joining until the measurement begins")
	f.DurationVar(&plan.measure, "measure", 30*time.Second, "length of the measurement")
	f.Uint64Var(&plan.seed, "seed", 1, "of everything that is drawn")
	f.StringVar(&kinds, "kinds", "", "kinds of attackers, separated by commas; default: all")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	chosen := attack.Kinds
	if kinds != "" {
		chosen = nil
		for kind := range strings.SplitSeq(kinds, ",") {
			if !slices.Contains(attack.Kinds, attack.Kind(kind)) {
				return nil, fmt.Errorf("%q is no kind of attacker; there are %v", kind, attack.Kinds)
			}
			chosen = append(chosen, attack.Kind(kind))
		}
	}
	r := &hostileReport{Viewers: plan.viewers, Attackers: plan.attackers, Kbps: plan.kbps, Seconds: plan.measure.Seconds()}
	for _, kind := range append([]attack.Kind{""}, chosen...) {
		result, err := plan.measured(kind)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "%-9s offload %.3f  rebuffering %.4f  stalls %d  bad bytes %d  victims %d  dropped %d  asked %d  idle %.2f\n", kind,
			result.HonestOnly.Offload, result.Rebuffering, result.HonestOnly.Stalls, result.HonestOnly.BadBytes, result.Victims, result.Dropped, result.Asked, result.MachineIdle)
		r.Rooms = append(r.Rooms, result)
	}
	clean := r.Rooms[0]
	for _, room := range r.Rooms {
		name := "clean"
		if room.Kind != "" {
			name = string(room.Kind)
			r.Bars = append(r.Bars,
				atLeast(name+": offload", room.HonestOnly.Offload, 0.7*clean.HonestOnly.Offload-0.02),
				atMost(name+": rebuffering", room.Rebuffering, clean.Rebuffering+0.001))
		}
		r.Bars = append(r.Bars,
			atMost(name+": bad bytes played", float64(room.HonestOnly.BadBytes), 0),
			atLeast(name+": viewers that played", float64(room.HonestOnly.Playing), float64(room.HonestOnly.Viewers)))
	}
	return r, nil
}

// arena is a room with honest viewers and attackers in it.
type arena struct {
	stage     *stage
	good, bad *rtc.Engine
	client    *http.Client
	honest    []*spectator
	attackers []*attack.Attacker
	stop      context.CancelFunc
	attacking sync.WaitGroup
}

// open fills a room. Attackers come between the others, as they would.
func (p hostilePlan) open(kind attack.Kind) (_ *arena, err error) {
	a := &arena{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4 * p.viewers}}}
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			_ = a.close()
		}
	}()
	if a.stage, err = openStage(p.kbps, p.seed); err != nil {
		return nil, err
	}
	if a.good, err = rtc.New(rtc.Config{}); err != nil {
		return nil, err
	}
	if a.bad, err = rtc.New(rtc.Config{}); err != nil {
		return nil, err
	}
	hostile := p.attackers
	if kind == "" {
		hostile = 0
	}
	gang := attack.NewGang()
	for i := range p.viewers {
		if (i+1)*hostile/p.viewers > i*hostile/p.viewers {
			attacker := attack.New(attack.Config{
				Playlist: a.stage.url, Kind: kind, Gang: gang, Engine: a.bad, Client: a.client, Seed: p.seed + uint64(i),
			})
			a.attackers = append(a.attackers, attacker)
			a.attacking.Go(func() { _ = attacker.Run(ctx) })
		} else {
			a.honest = append(a.honest, a.stage.join(a.good, a.client, uint32(p.seed)+uint32(i), nil))
		}
		time.Sleep(100 * time.Millisecond)
	}
	return a, nil
}

func (a *arena) close() (err error) {
	for _, v := range a.honest {
		if left := v.leave(); left != nil && err == nil {
			err = left
		}
	}
	a.stop()
	a.attacking.Wait()
	for _, engine := range []*rtc.Engine{a.good, a.bad} {
		if engine != nil {
			engine.Close()
		}
	}
	a.client.CloseIdleConnections()
	if a.stage != nil {
		a.stage.close()
	}
	return err
}

// damage adds up what the attackers did.
func (a *arena) damage(r *room) {
	for _, attacker := range a.attackers {
		c := attacker.Count()
		r.Victims += c.Victims.Load()
		r.Dropped += c.Dropped.Load()
		r.Asked += c.Asked.Load()
		r.BadLeaves += c.BadLeaves.Load()
		r.BadRecords += c.BadRecords.Load()
		r.Messages += c.Messages.Load()
		r.Names += c.Names.Load()
	}
}

func (p hostilePlan) measured(kind attack.Kind) (r room, err error) {
	a, err := p.open(kind)
	if err != nil {
		return r, err
	}
	defer func() {
		if closed := a.close(); closed != nil && err == nil {
			err = closed
		}
	}()
	time.Sleep(p.warmup)
	before, cpu, machine := accounts(a.honest), used(os.Getpid()).cpuSeconds, benchtest.MachineTimes()
	time.Sleep(p.measure)
	r = room{Kind: kind, HonestOnly: accounts(a.honest).since(before), MachineIdle: machine.IdleShare()}
	r.CPUPerViewer = (used(os.Getpid()).cpuSeconds - cpu) / p.measure.Seconds() / float64(p.viewers)
	r.Rebuffering = float64(r.HonestOnly.StallMs) / float64(p.measure.Milliseconds()) / float64(len(a.honest))
	a.damage(&r)
	return r, nil
}

// The short form: rooms of six, two of them hostile. What it asks does not depend on the clock.
func TestWhatAttackersSendIsNeverPlayed(t *testing.T) {
	t.Parallel()
	for _, kind := range []attack.Kind{attack.Pollute, attack.Replay, attack.Mixed} { // all kinds: see peer/session, siege
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			a, err := hostilePlan{viewers: 6, attackers: 2, kbps: 400, seed: 7}.open(kind)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := a.close(); err != nil {
					t.Error(err)
				}
			}()
			if err := played(a.honest, 6); err != nil {
				t.Fatal(err)
			}
			var r room
			a.damage(&r)
			sum := accounts(a.honest)
			switch {
			case sum.BadBytes > 0:
				t.Errorf("%d bytes were played that nobody published", sum.BadBytes)
			case sum.P2PBytes == 0:
				t.Error("the honest viewers gave each other nothing")
			case r.Victims == 0:
				t.Errorf("nobody was attacked, so nothing was tested: %+v", r)
			}
		})
	}
}
