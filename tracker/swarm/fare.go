package swarm

import (
	"slices"
	"sort"
)

// How a room fares decides how many viewers fetch each stripe (copies) and what uplink a viewer needs to be one of them.
// Both come from what viewers report about themselves, so both are taken from the middle of all reports.

const (
	// fareEveryMs is how often a room is looked at: as often as viewers report. fareSpanMs is the least time that a
	// viewer's totals must span.
	fareEveryMs, fareSpanMs = 5_000, 4_000
	// maxShare bounds what one viewer's rescues count, in parts of 1000 of its media.
	maxShare = 250
	// viewersPerCopy bounds the copies.
	viewersPerCopy = 30
	// calmRounds is how often in a row fewer copies must seem better before there are fewer.
	calmRounds = 2
	// A trial takes trialRounds, and must lower what the CDN sends by leastGain parts of 1000; if not, there is none for
	// restRounds.
	trialRounds, restRounds = 2, 12
	leastGain               = 1
	// fanOut is how many neighbours the holder of a stripe must be able to pass it on to while it plays.
	fanOut = 4
	// leafBytes is the size of a leaf.
	leafBytes = 16 << 10
)

// fare is how one viewer fares, from its reports.
type fare struct {
	fromMs, toMs             int64 // that the totals below span; 0 = no report yet
	fromMedia, toMedia       int64
	fromRescues, toRescues   int64
	fromStallMs, toStallMs   int64
	fromUploaded, toUploaded int64
	uplinkBps                int64 // as reported last
	known                    bool
	fresh                    bool // the last look closed a span
	stalled                  bool // in it
	mediaBps, rescuePerMille int64
	uploadBps                int64
}

// report takes totals in. Totals that shrink are another playback's.
func (f *fare) report(nowMs, media, rescues, stallMs, uploaded int64) {
	if f.toMs == 0 || media < f.toMedia || rescues < f.toRescues || stallMs < f.toStallMs || uploaded < f.toUploaded {
		*f = fare{fromMs: nowMs, fromMedia: media, fromRescues: rescues, fromStallMs: stallMs, fromUploaded: uploaded}
	}
	f.toMs, f.toMedia, f.toRescues, f.toStallMs, f.toUploaded = nowMs, media, rescues, stallMs, uploaded
}

// close ends a span and works out what it showed.
func (f *fare) close() {
	spanMs, media := f.toMs-f.fromMs, f.toMedia-f.fromMedia
	if f.fresh = f.toMs != 0 && spanMs >= fareSpanMs; !f.fresh {
		return
	}
	f.stalled = f.toStallMs > f.fromStallMs
	f.known = media > 0
	f.mediaBps = min(media, maxBytes) * 8000 / spanMs
	f.uploadBps = min(f.toUploaded-f.fromUploaded, maxBytes) * 8000 / spanMs
	f.rescuePerMille = 0
	if media > 0 {
		f.rescuePerMille = min(maxShare, min(f.toRescues-f.fromRescues, maxBytes/leafBytes)*leafBytes*1000/media)
	}
	f.fromMs, f.fromMedia, f.fromRescues, f.fromStallMs, f.fromUploaded = f.toMs, f.toMedia, f.toRescues, f.toStallMs, f.toUploaded
}

// maxBytes bounds what is believed to have come in one span, far below where products overflow.
const maxBytes = 1 << 40

// copies is how many holders each stripe of a rendition has, and why.
type copies struct {
	now   int
	size  int // players when this was last thought about
	boost int // more or fewer than the size alone would say
	calm  int // rounds without need

	trial, rest  int   // rounds that are left of either
	boostBefore  int   // the trial
	burdenBefore int64 // what the CDN sent then
}

// copiesFor is where a room begins: in one with little uplink to spare the first copies
// must reach everybody within seconds, so there must be more of them in a larger room. A hundred need but one.
func copiesFor(size int) int {
	if size <= 100 {
		return 1
	}
	k := 1
	for (k+1)*(k+1)*16 <= size {
		k++
	}
	return k
}

// copiesOf is the number of holders of each stripe. It never asks more than every sixteenth viewer for one copy: a
// room of two to thirty has one.
func (s *Swarm) copiesOf(d *deal) int {
	most := max(1, len(d.seated)/16)
	if s.cfg.Copies > 0 {
		return min(s.cfg.Copies, most)
	}
	// The size counts when it has changed by an eighth, so that one who comes and goes does not move duties.
	if n := d.players.len(); n > d.size+d.size/8 || n < d.size-d.size/8 {
		d.size = n
	}
	base := copiesFor(d.size)
	d.boost = max(min(d.boost, d.size/viewersPerCopy-base), 1-base)
	return min(base+d.boost, most)
}

// adapt makes what is spent on duties as large as what is spent on rescues. That is the least in sum where twice the
// copies halve the rescues, as they do while leaves are late because there are few sources: of k/n + c/k the two terms
// are equal at the minimum, and k rescuing c/k shows c. Where rescues have another cause, as uplinks that do not
// suffice for all, more copies do not lower the sum, and are taken back.
func (c *copies) adapt(rescuePerMille, players int64) {
	burden := rescuePerMille + 1000*int64(c.now)/players
	if c.trial > 0 {
		if c.trial--; c.trial > 0 {
			return // what was published before still counts
		}
		if burden+leastGain > c.burdenBefore {
			c.boost, c.rest = c.boostBefore, restRounds
			return
		}
	}
	c.rest = max(0, c.rest-1)
	best := max(1, root(int64(c.now)*rescuePerMille*players/1000))
	best = min(best, max(1, int(players/viewersPerCopy)))
	switch {
	case 4*best >= 5*c.now && best > c.now:
		c.calm = 0
		if c.rest == 0 {
			c.boostBefore, c.burdenBefore = c.boost, burden
			c.boost += best - c.now
			c.trial = trialRounds
		}
	case 4*best <= 3*c.now:
		if c.calm++; c.calm >= calmRounds {
			c.boost -= (c.now - best + 1) / 2
			c.calm = 0
		}
	default:
		c.calm = 0
	}
}

// root is the square root, rounded down, by bisection over what copies can be.
func root(x int64) int {
	return sort.Search(1<<16, func(k int) bool { return int64(k+1)*int64(k+1) > x })
}

// look draws conclusions from the reports of a room's viewers.
func (s *Swarm) look(r *room) {
	if s.nowMs-r.fareMs < fareEveryMs {
		return
	}
	r.fareMs = s.nowMs
	for _, v := range r.members.items {
		if v.record != &nothing {
			v.fare.close()
		}
	}
	s.spare(r)
	for _, d := range r.deals {
		var rates, shares []int64
		for _, v := range d.players.items {
			if v.fare.known {
				rates = append(rates, v.fare.mediaBps)
				shares = append(shares, v.fare.rescuePerMille)
			}
		}
		if len(rates) == 0 {
			continue
		}
		d.adapt(trimmedMean(shares), int64(d.players.len()))
		s.require(d, median(rates))
	}
	s.touch(r)
}

// require finds the least uplink that is of use: a holder passes its stripe on to fanOut neighbours, or to all there
// are. Where nobody has as much, anybody will do; where there are many more who could than must, the strongest do it,
// because a stripe is late everywhere if its first sender is slow.
func (s *Swarm) require(d *deal, mediaBps int64) {
	others := int64(d.players.len() - 1)
	least := uplinkClass(d.need, max(1, mediaBps*min(fanOut, others)/16))
	need := max(least, d.strongest(max(least, uplinkClass(0, 2*mediaBps))))
	if need != d.need {
		s.setNeed(d, need)
	}
	if len(d.seated) == 0 {
		s.setNeed(d, 0)
	}
}

// strongest is the highest class, up to a limit, of which there are twice as many as places; the one that is required
// already stays as long as there are enough for all places.
func (d *deal) strongest(limit int) int {
	var of [lastClass + 1]int
	for _, v := range d.players.items {
		if v.ready && !v.noUpload && !v.suspended {
			of[v.strength()]++
		}
	}
	able := of[0] // never busy enough to be measured
	for class := lastClass; class > 0; class-- {
		able += of[class]
		if class <= limit && (able >= 2*d.places() || class == d.need && able >= d.places()) {
			return class
		}
	}
	return 0
}

func (s *Swarm) setNeed(d *deal, need int) {
	d.need = need
	for _, v := range d.players.items {
		s.seat(d, v)
	}
	for _, v := range d.room.channel.seeders.items {
		s.seat(d, v)
	}
}

func median(of []int64) int64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// trimmedMean leaves out the eighth that claims the most, at least one: to raise it, liars must be more than that. A
// single viewer has no say.
func trimmedMean(of []int64) int64 {
	slices.Sort(of)
	of = of[:len(of)-max(1, len(of)/8)]
	if len(of) == 0 {
		return 0
	}
	sum := int64(0)
	for _, x := range of {
		sum += x
	}
	return sum / int64(len(of))
}
