package swarm

import (
	"cmp"
	"math/bits"
	"slices"

	"slipstream/tracker/announce"
)

// dealStripes is for rooms with at least as many chances as there are places: the best ranked get one stripe for each
// of their chances, and every stripe gets exactly as many holders as there shall be copies. Who had a stripe keeps it,
// so when one leaves, one other gets what he had, and when a better one comes, he takes the place of the worst.
func (d *deal) dealStripes() []holder {
	var missing [announce.Stripes]int
	wanted := uint16(1<<announce.Stripes - 1) // of which some are missing
	for i := range missing {
		missing[i] = d.now
	}
	best := d.ranked[:min(len(d.ranked), d.places())]
	holders := make([]holder, 0, len(best))
	quota := make([]int, 0, len(best)) // of each
	at := func(v *viewer) int {
		for i := range holders {
			if holders[i].viewer == v {
				return i
			}
		}
		return -1
	}
	for _, c := range best {
		if c.of.seeder { // only seeders have several chances
			if i := at(c.of); i >= 0 {
				quota[i]++
				continue
			}
		}
		holders, quota = append(holders, holder{viewer: c.of}), append(quota, 1)
	}
	take := func(i int, among uint16) {
		h := &holders[i]
		for among &= wanted &^ h.stripes; among != 0 && quota[i] > 0; among &= among - 1 {
			n := bits.TrailingZeros16(among)
			h.stripes |= 1 << n
			quota[i]--
			if missing[n]--; missing[n] == 0 {
				wanted &^= 1 << n
			}
		}
	}
	for i := range holders {
		take(i, d.masks[holders[i].id])
	}
	for i := range holders {
		take(i, wanted)
	}
	// Only a seeder can be left over, when it holds already what nobody else has: then the next in rank helps out.
	for _, c := range d.ranked {
		if wanted == 0 {
			break
		}
		i := at(c.of)
		if i < 0 {
			i = len(holders)
			holders, quota = append(holders, holder{viewer: c.of}), append(quota, 0)
		}
		quota[i] = max(1, quota[i])
		take(i, wanted)
	}
	return slices.DeleteFunc(holders, func(h holder) bool { return h.stripes == 0 })
}

// dealArcs is for small rooms: everybody gets one contiguous block of the circle of stripes, as long as his weight is
// large. Stripes that follow each other lie side by side in a segment, so a block is one request to the CDN and not
// several. Newcomers are put between the others, and the whole is turned, so that most stripes stay where they are.
func (d *deal) dealArcs() []holder {
	var order, fresh []*viewer // those who have stripes, as they sit around the circle; the others
	for _, c := range d.ranked {
		switch v := c.of; {
		case slices.Contains(order, v), slices.Contains(fresh, v):
		case d.masks[v.id] != 0:
			order = append(order, v)
		default:
			fresh = append(fresh, v)
		}
	}
	slices.SortFunc(order, func(a, b *viewer) int {
		return cmp.Or(cmp.Compare(blockStart(d.masks[a.id]), blockStart(d.masks[b.id])), cmp.Compare(a.id, b.id))
	})
	quotas := d.quotas(append(slices.Clone(order), fresh...))
	for _, v := range fresh {
		best, bestKept := 0, -1
		for at := range len(order) + 1 {
			if kept, _ := d.turn(slices.Insert(slices.Clone(order), at, v), quotas); kept > bestKept {
				best, bestKept = at, kept
			}
		}
		order = slices.Insert(order, best, v)
	}
	_, first := d.turn(order, quotas)
	order = slices.DeleteFunc(order, func(v *viewer) bool { return quotas[v.id] == 0 })
	holders := make([]holder, 0, len(order))
	for _, v := range order {
		holders = append(holders, holder{viewer: v, stripes: block(first, quotas[v.id])})
		first += quotas[v.id]
	}
	return holders
}

// turn finds where the first block must begin so that most stripes stay where they are.
func (d *deal) turn(order []*viewer, quotas map[uint64]int) (kept, first int) {
	kept = -1
	for start := range announce.Stripes {
		same, at := 0, start
		for _, v := range order {
			same += bits.OnesCount16(block(at, quotas[v.id]) & d.masks[v.id])
			at += quotas[v.id]
		}
		if same > kept {
			kept, first = same, start
		}
	}
	return kept, first
}

// quotas divides the stripes among viewers by weight, those that do not divide to whom they would be the largest part
// of one; of equals, to whoever has more already.
func (d *deal) quotas(among []*viewer) map[uint64]int {
	out := make(map[uint64]int, len(among))
	if len(among) == 0 {
		return out
	}
	sum := uint64(0)
	for _, v := range among {
		sum += v.weight()
	}
	left := announce.Stripes
	for _, v := range among {
		out[v.id] = int(announce.Stripes * v.weight() / sum)
		left -= out[v.id]
	}
	byRest := slices.SortedFunc(slices.Values(among), func(a, b *viewer) int {
		return cmp.Or(
			cmp.Compare(announce.Stripes*b.weight()%sum, announce.Stripes*a.weight()%sum),
			cmp.Compare(bits.OnesCount16(d.masks[b.id]), bits.OnesCount16(d.masks[a.id])),
			cmp.Compare(a.id, b.id),
		)
	})
	for _, v := range byRest[:left] {
		out[v.id]++
	}
	return out
}

// block is the mask of n stripes from first on, around the circle.
func block(first, n int) (mask uint16) {
	for i := range n {
		mask |= 1 << ((first + i) % announce.Stripes)
	}
	return mask
}

// blockStart is the first stripe of a block, 0 if it is the whole circle.
func blockStart(mask uint16) int {
	return bits.TrailingZeros16(mask&^bits.RotateLeft16(mask, 1)) % announce.Stripes
}
