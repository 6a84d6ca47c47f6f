package swarm

import "testing"

// sufferers lets viewers of a settled room report for so many seconds; of each, the function says how much it stalls and rescues
// every five seconds.
func sufferers(m *model, fromMs int64, seconds int, how func(id uint64) (stallMs, rescues int64)) (nowMs int64) {
	nowMs = fromMs
	for range seconds / 5 {
		nowMs += 5000
		for id := uint64(1); m.room[id] != ""; id++ {
			before := m.reports[id]
			stallMs, rescues := how(id)
			m.handle(nowMs, Report{
				Viewer: id, Ready: true, Neighbours: len(m.neighboursOf(id)), Renditions: []string{"360p"},
				MediaBytes: before.MediaBytes + 2_500_000, Rescues: before.Rescues + rescues, StallMs: before.StallMs + stallMs,
			})
		}
		m.handle(nowMs, Tick{})
	}
	return nowMs
}

func fine(uint64) (stallMs, rescues int64) { return 0, 1 }

func TestWhomPeersHarmIsLeftAloneForAWhile(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 60, 10, nil)
	now := sufferers(m, 100_000, 30, func(id uint64) (stallMs, rescues int64) {
		if id == 7 {
			return 800, 40 // a quarter of its leaves
		}
		return fine(id)
	})
	if n := len(m.neighboursOf(7)); n != 0 || m.holds(7) != 0 {
		t.Fatalf("it has %d neighbours and %d stripes", n, m.holds(7))
	}
	for id := uint64(1); id <= 60; id++ {
		if n := len(m.neighboursOf(id)); id != 7 && n < 5 {
			t.Errorf("%d was left with %d neighbours", id, n)
		}
	}
	now = sufferers(m, now, 240, fine)
	if n := len(m.neighboursOf(7)); n != 0 {
		t.Errorf("after four minutes it has %d neighbours again", n)
	}
	now = sufferers(m, now, 120, fine)
	if n := len(m.neighboursOf(7)); n < 5 {
		t.Errorf("after six minutes it has %d neighbours, want some again", n)
	}
	// If it happens again, it is left alone for twice as long.
	now = sufferers(m, now, 20, func(id uint64) (stallMs, rescues int64) {
		if id == 7 {
			return 800, 40
		}
		return fine(id)
	})
	now = sufferers(m, now, 500, fine)
	if n := len(m.neighboursOf(7)); n != 0 {
		t.Errorf("eight minutes after the second time it has %d neighbours again", n)
	}
	sufferers(m, now, 200, fine)
	if n := len(m.neighboursOf(7)); n < 5 {
		t.Errorf("twelve minutes after the second time it has %d neighbours, want some again", n)
	}
}

func TestNobodyIsLeftAloneForWhatPeersDidNotDo(t *testing.T) {
	for name, how := range map[string]func(id uint64) (stallMs, rescues int64){
		"it stalls and is not late":     func(id uint64) (int64, int64) { return 800, 1 },
		"it is late and does not stall": func(uint64) (int64, int64) { return 0, 40 },
		"a quarter of the room stalls": func(id uint64) (int64, int64) {
			if id%4 == 0 {
				return 800, 40
			}
			return 0, 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := crowd(t, Config{Seed: 5}, 60, 10, nil)
			sufferers(m, 100_000, 60, how)
			for id := uint64(1); id <= 60; id++ {
				if n := len(m.neighboursOf(id)); n < 5 {
					t.Errorf("%d has %d neighbours", id, n)
				}
			}
		})
	}
}

func TestASingleStallIsForgiven(t *testing.T) {
	m := crowd(t, Config{Seed: 5}, 60, 10, nil)
	round := 0
	sufferers(m, 100_000, 100, func(id uint64) (stallMs, rescues int64) {
		if id == 1 {
			round++
		}
		if id == 7 && round%3 != 0 { // two spans in a row, then one without
			return 800, 40
		}
		return fine(id)
	})
	if n := len(m.neighboursOf(7)); n < 5 {
		t.Errorf("it has %d neighbours", n)
	}
}
