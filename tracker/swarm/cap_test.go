package swarm

import (
	"math/bits"
	"testing"

	"slipstream/tracker/announce"
)

// line is a viewer who passes on as much as it may and is asked for, and stalls if that is more than it bears.
type line struct {
	uplinkBps, askedBps, bearsBps int64
	othersStall                   bool
}

// watch lets the viewers of a settled room report every five seconds, and returns the caps that the one with the line was told.
func watch(m *model, id uint64, l *line, fromMs int64, seconds int) (told []int64) {
	for ms := fromMs + 5000; ms <= fromMs+int64(seconds)*1000; ms += 5000 {
		for other := uint64(1); m.room[other] != ""; other++ {
			r := m.reports[other]
			r.Viewer, r.Ready, r.Neighbours = other, true, len(m.neighboursOf(other))
			r.MediaBytes += 2_500_000
			if other == id {
				uploads := lowerCap(m.caps[id], l.askedBps)
				r.UplinkBps, r.Uploaded = l.uplinkBps, r.Uploaded+uploads/8*5
				if uploads > l.bearsBps {
					r.StallMs += 700
				}
			} else if l.othersStall {
				r.StallMs += 700
			}
			m.handle(ms, r)
		}
		for _, a := range m.handle(ms, Tick{}) {
			if c, ok := a.(Cap); ok && c.Viewer == id {
				told = append(told, c.UploadBps)
			}
		}
	}
	return told
}

func TestWhoseUploadsHarmItselfUploadsLess(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 20, 10, nil)
	l := &line{uplinkBps: 4_000_000, askedBps: 4_000_000, bearsBps: 1_500_000}
	if told := watch(m, 7, l, 100_000, 30); len(told) != 2 || told[0] != 2_000_000 || told[1] != 1_000_000 {
		t.Fatalf("it was told %v, want half of what it uploads and half of that", told)
	}
	if n := len(m.neighboursOf(7)); n < 5 {
		t.Errorf("it has %d neighbours: a lower cap was enough", n)
	}
	calm := m.reports[7].StallMs
	if told := watch(m, 7, l, 130_000, 90); len(told) != 0 || m.reports[7].StallMs != calm {
		t.Errorf("for a while it is told nothing new, but heard %v", told)
	}
	// By and by more, until it is too much again; and then the next attempt takes twice as long.
	told := watch(m, 7, l, 220_000, 40)
	if len(told) == 0 || told[0] != 1_500_000 {
		t.Errorf("after two minutes it was told %v, want half as much again", told)
	}
	watch(m, 7, l, 260_000, 3600)
	if stalled := (m.reports[7].StallMs - calm) / 700; stalled > 12 {
		t.Errorf("in an hour it tried too much so often that it stalled %d times", stalled)
	}
}

func TestACapThatIsNeededNoLongerGoes(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 20, 10, nil)
	l := &line{uplinkBps: 4_000_000, askedBps: 4_000_000, bearsBps: 3_000_000}
	watch(m, 7, l, 100_000, 20)
	if m.caps[7] == 0 {
		t.Fatal("it was told nothing")
	}
	l.bearsBps = 4_000_000
	watch(m, 7, l, 120_000, 300)
	if bps := m.caps[7]; bps != 0 {
		t.Errorf("after five minutes without a stall it may still upload no more than %d b/s", bps)
	}
}

func TestACapMovesWithItsViewerToAnotherTracker(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 20, 10, nil)
	m.caps[21] = 1_000_000
	for _, a := range m.handle(70_000, Join{Room: "room", Viewer: 21, Role: announce.Viewer, Renditions: []string{"360p"}, CapBps: 1_000_000}) {
		if c, ok := a.(Cap); ok {
			t.Errorf("it was told what it knew: %v", c)
		}
	}
	watch(m, 21, &line{uplinkBps: 4_000_000, askedBps: 4_000_000, bearsBps: 4_000_000}, 70_000, 300)
	if bps := m.caps[21]; bps != 0 {
		t.Errorf("after five minutes it may upload %d b/s", bps)
	}
}

func TestNobodyIsCappedForWhatUploadsDidNotDo(t *testing.T) {
	for name, l := range map[string]*line{
		"it uploads little":             {uplinkBps: 240_000, askedBps: 240_000},
		"its uplink was never busy":     {askedBps: 4_000_000},
		"its uplink is not busy":        {uplinkBps: 20_000_000, askedBps: 4_000_000},
		"it does not stall":             {uplinkBps: 4_000_000, askedBps: 4_000_000, bearsBps: 4_000_000},
		"everybody stalls, not only it": {uplinkBps: 4_000_000, askedBps: 4_000_000, othersStall: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := crowd(t, Config{Seed: 5}, 20, 10, nil)
			if told := watch(m, 7, l, 100_000, 60); len(told) > 0 {
				t.Errorf("it was told %v", told)
			}
		})
	}
}

func TestAnOperatorsCapHoldsForAllViewersAndNoSeeder(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 30, 10, nil)
	m.handle(80_000, Join{Room: "room", Viewer: 99, Role: announce.Seeder})
	told := 0
	for _, a := range m.handle(81_000, Allow{Room: "room", UploadBps: 2_000_000}) {
		if _, ok := a.(Cap); ok {
			told++
		}
	}
	if told != 30 || m.caps[99] != 0 {
		t.Errorf("%d were told, the seeder %d b/s", told, m.caps[99])
	}
	m.handle(82_000, Join{Room: "room", Viewer: 31, Role: announce.Viewer, Renditions: []string{"360p"}})
	if m.caps[31] != 2_000_000 {
		t.Errorf("a newcomer was told %d b/s", m.caps[31])
	}
	if again := m.handle(83_000, Allow{Room: "room", UploadBps: 2_000_000}); len(again) != 0 {
		t.Errorf("what was known was said again: %v", again)
	}
	// The lower of the two caps is what a viewer is told.
	l := &line{uplinkBps: 8_000_000, askedBps: 8_000_000, bearsBps: 1_000_000}
	watch(m, 7, l, 100_000, 20)
	if m.caps[7] != 1_000_000 {
		t.Errorf("who stalls at 2 Mb/s was told %d b/s, want half", m.caps[7])
	}
	m.handle(121_000, Allow{Room: "room", UploadBps: 500_000})
	if m.caps[7] != 500_000 || m.caps[8] != 500_000 {
		t.Errorf("told %d and %d b/s", m.caps[7], m.caps[8])
	}
	m.handle(122_000, Allow{Room: "room"})
	if m.caps[7] != 1_000_000 || m.caps[8] != 0 {
		t.Errorf("when the operator's is gone, told %d and %d b/s", m.caps[7], m.caps[8])
	}
}

func TestWhoMayUploadLittleHasNoDutyThatItCannotDo(t *testing.T) {
	m := audience(t, Config{Copies: 1}, 100, func(i int, r *Report) { r.UplinkBps = 10_000_000 })
	m.fares(10_000, 20, 100, always(0))
	members := m.swarm.channels["room"].rooms[0].members.items
	holds := func(who []*viewer) (n int) {
		for _, v := range who {
			for _, d := range v.shares() {
				n += bits.OnesCount16(d.Stripes)
			}
		}
		return n
	}
	if n := holds(members[:50]); n == 0 {
		t.Fatal("half of the room hold nothing: what will they lose?")
	}
	for _, v := range members[:50] {
		before := v.capBps()
		v.restraint = restraint{bps: leastCapBps, forMs: minCapMs, untilMs: never}
		m.swarm.tellCap(v, before)
	}
	m.fares(30_000, 20, 100, always(0))
	if weak, all := holds(members[:50]), holds(members); weak != 0 || all != announce.Stripes {
		t.Errorf("who may upload a quarter of a megabit hold %d of %d stripes", weak, all)
	}
}
