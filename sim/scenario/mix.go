package scenario

import "slipstream/sim/world"

// Access technologies. The rates are what is commonly sold or, for 5G, measured; they
// and the spread within a technology (one standard deviation is a factor of 1.5) are
// assumptions, except where a source is named.
var (
	adsl  = line(1, 12)    // ADSL2+ (ITU-T G.992.5) some 2 km from the exchange
	vdsl  = line(20, 70)   // tariffs of 50/10 and 100/40
	cable = line(20, 200)  // DOCSIS 3.0 tariffs of 100/10 to 250/40
	fibre = line(100, 250) // FTTH tariffs of 150/75 and more
	// Ookla, Speedtest Global Index, first quarter of 2023: median of mobile lines
	// 41.54 Mb/s down, 10.42 Mb/s up.
	lte = line(10.42, 41.54)
	// Ookla, Growing and Slowing: The State of 5G Worldwide in 2021: medians of the
	// third quarter, 166.13 Mb/s down, 21.08 Mb/s up.
	fiveG = line(21.08, 166.13)
	// Ookla, Speedtest Global Index, first quarter of 2023: median of fixed lines
	// 79 Mb/s down, 34.92 Mb/s up.
	fixed = line(34.92, 79)
)

func line(upMbps, downMbps float64) world.Class {
	const spread = 0.4
	return world.Class{
		UplinkBytesPerSec: int64(upMbps * 1e6 / 8), UplinkSpread: spread,
		DownlinkBytesPerSec: int64(downMbps * 1e6 / 8), DownlinkSpread: spread,
	}
}

// mixes are shares of access technologies, by name. Mobile lines count as metered:
// nobody uploads over them unless a scenario lists its lines itself.
var mixes = map[string][]world.Class{
	// Bundesnetzagentur, Tätigkeitsbericht Telekommunikation 2020/2021: of 36.5 million
	// broadband lines 25.4 million DSL, 8.8 million HFC, 2.3 million FTTH/B. That one DSL
	// line in four is ADSL is an assumption.
	"germany-2021": {
		share(adsl, 0.174), share(vdsl, 0.522), share(cable, 0.241), share(fibre, 0.063),
	},
	// OECD broadband statistics, end of 2023: fibre 42 %, DSL 20 % of fixed lines; the
	// rest is taken for cable, a quarter of DSL for ADSL.
	"oecd-2023": {
		share(adsl, 0.05), share(vdsl, 0.15), share(cable, 0.38), share(fibre, 0.42),
	},
	// The world's medians, half of the viewers on mobile lines: an assumption.
	"world-2023": {
		share(fixed, 0.5), metered(share(lte, 0.4)), metered(share(fiveG, 0.1)),
	},
}

func share(c world.Class, share float64) world.Class {
	c.Share = share
	return c
}

func metered(c world.Class) world.Class {
	c.NoUpload = true
	return c
}
