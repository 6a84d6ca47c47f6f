package world

import "testing"

func TestWhatCouldHaveStayedLocal(t *testing.T) {
	for name, c := range map[string]struct {
		place placeStats
		want  int64
	}{
		"all but what enters":       {placeStats{media: 1000, entering: 100, carried: 5000}, 900},
		"not more than uplinks do":  {placeStats{media: 1000, entering: 100, carried: 400}, 400},
		"nobody passes anything on": {placeStats{media: 1000, entering: 100}, 0},
		"one viewer":                {placeStats{media: 100, entering: 100, carried: 5000}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := local([]placeStats{c.place, {}}).CouldBytes; got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
	if got := local([]placeStats{{local: 7}, {local: 5}}).Bytes; got != 12 {
		t.Errorf("%d, want 12", got)
	}
}
