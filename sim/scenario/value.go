package scenario

import (
	"math"
	"strconv"
	"strings"
)

type unit struct {
	suffix string
	factor float64
}

var (
	// Rates are bits per second, as everybody says them, and bytes per second inside.
	rateUnits     = []unit{{"Gbps", 1e9 / 8}, {"Mbps", 1e6 / 8}, {"kbps", 1e3 / 8}, {"bps", 1.0 / 8}}
	durationUnits = []unit{{"ms", 1}, {"s", 1000}, {"min", 60_000}, {"h", 3_600_000}}
	sizeUnits     = []unit{{"B", 1}}
	shareUnits    = []unit{{"%", 0.01}}
)

// parse reads a number with one of the units. A bare 0 needs none.
func parse(text string, units []unit) (value float64, ok bool) {
	text = strings.TrimSpace(text)
	if text == "0" {
		return 0, true
	}
	for _, u := range units {
		number, found := strings.CutSuffix(text, u.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
			continue // "5min" ends in no shorter unit, but "5ms" ends in "s"
		}
		return n * u.factor, true
	}
	return 0, false
}
