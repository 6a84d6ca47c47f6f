package sched

import (
	"cmp"
	"math/bits"
	"slices"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkBooks recounts everything that the core keeps a running count of.
func checkBooks(t failer, c *Core) {
	t.Helper()
	fail := func(format string, args ...any) { t.Helper(); t.Fatalf(format, args...) }
	owed := map[int32]int64{}
	wanted := 0
	news := 0
	for _, o := range c.objects {
		if c.byID[o.id] != o {
			fail("object %d is not found by its id", o.id)
		}
		missing, onWay, lacking, bytes := int32(0), int32(0), int32(0), int64(0)
		for i := range o.pieces {
			p := &o.piece[i]
			missing += int32(bits.OnesCount8(p.missing))
			bytes += o.bytes(i, o.all(i))
			if p.missing != 0 {
				lacking++
			}
			if open := p.missing != 0 && p.from == nobody; open != o.open().has(i) {
				fail("object %d piece %d is open: %v, booked %v", o.id, i, open, !open)
			}
			if p.missing == 0 && p.from != nobody {
				fail("object %d piece %d is held and pending at %d", o.id, i, p.from)
			}
			if p.from >= 0 {
				if c.neighbour(p.from) == nil {
					fail("object %d piece %d is pending at %d, who is gone", o.id, i, p.from)
				}
				if o.deadlineMs <= 0 {
					fail("object %d piece %d is pending at %d but not wanted", o.id, i, p.from)
				}
				if p.missing&^p.owed != 0 {
					fail("object %d piece %d: leaves %b are missing, only %b were asked for", o.id, i, p.missing, p.owed)
				}
				owed[p.from] += o.bytes(i, p.owed)
			} else if p.owed != 0 {
				fail("object %d piece %d: leaves %b are owed by nobody", o.id, i, p.owed)
			}
			if p.from != nobody {
				onWay += int32(bits.OnesCount8(p.missing))
			}
			parked := int32(0)
			for _, q := range c.uploads.queue {
				if q.o == o && q.piece == i && p.missing != 0 {
					parked++
				}
			}
			if parked != int32(p.parked) || parked > 0 && p.from == nobody {
				fail("object %d piece %d, pending at %d: %d wait for it booked, %d found", o.id, i, p.from, int32(p.parked), parked)
			}
			holders := int32(0)
			for _, n := range c.neighbours {
				if o.heldBy(n).has(i) && !n.mute {
					holders++
				}
			}
			if holders != o.holders[i] {
				fail("object %d piece %d: %d holders booked, %d found", o.id, i, o.holders[i], holders)
			}
		}
		if onWay != o.onWay {
			fail("object %d: %d leaves are on their way, %d booked", o.id, onWay, o.onWay)
		}
		if missing != o.missing || lacking != o.lacking || bytes != o.size {
			fail("object %d: %d leaves and %d pieces of %d bytes missing booked, %d, %d and %d found",
				o.id, o.missing, o.lacking, o.size, missing, lacking, bytes)
		}
		if int(o.words)*(int(ownSets)+int(seatSets)*len(c.seats)) != len(o.books) || len(o.told) != len(o.knows) || len(c.seats) != len(o.told) {
			fail("object %d has books of %d words, %d seats are there", o.id, len(o.books), len(c.seats))
		}
		for _, n := range c.neighbours {
			for w := range o.words {
				if spoken := o.heldBy(n)[w] | o.promisedBy(n)[w] | o.hopedOf(n)[w]; spoken&^o.around()[w] != 0 {
					fail("object %d: of what neighbour %d spoke %08x is not booked", o.id, n.id, spoken&^o.around()[w])
				}
			}
		}
		if !o.news && o.fresh().next(0) >= 0 {
			fail("object %d has news: %v", o.id, o.news)
		}
		if o.news {
			news++
		}
		if o.missing > 0 && o.deadlineMs > 0 {
			wanted++
		}
	}
	if news != len(c.news) || !slices.IsSortedFunc(c.news, func(a, b *object) int { return cmp.Compare(a.born, b.born) }) || len(c.byID) != len(c.objects) {
		fail("%d objects with news booked, %d found; %d of %d are found by id", len(c.news), news, len(c.byID), len(c.objects))
	}
	if len(c.wanted) != wanted {
		fail("%d objects on the list of wanted ones, %d found", len(c.wanted), wanted)
	}
	for i := 1; i < len(c.wanted); i++ {
		a, b := c.wanted[i-1], c.wanted[i]
		if a.deadlineMs > b.deadlineMs || a.deadlineMs == b.deadlineMs && a.id >= b.id {
			fail("objects %d and %d are wanted in the wrong order", a.id, b.id)
		}
	}
	quietMs := c.quietMs
	if c.allQuiet(); c.quietMs < quietMs {
		fail("something may be due at the CDN at %d, and it is booked that nothing is before %d", c.quietMs, quietMs)
	}
	c.quietMs = quietMs
	if len(c.cdn.started) > c.cfg.MaxFetches {
		fail("%d CDN requests, %d are possible", len(c.cdn.started), c.cfg.MaxFetches)
	}
	total := int64(0)
	for _, bytes := range owed {
		total += bytes
	}
	if total != c.owed {
		fail("%d bytes are owed, %d booked", total, c.owed)
	}
	checkNeighbours(t, c, owed)
}

func checkNeighbours(t failer, c *Core, owed map[int32]int64) {
	t.Helper()
	queued, parked := map[*neighbour]int32{}, 0
	bytes, filled := int64(0), 0
	for _, q := range c.uploads.queue {
		queued[q.n]++
		if !q.o.has(q.piece) {
			parked++
		}
		bytes += q.o.bytes(q.piece, q.mask)
		if c.neighbour(q.n.id) != q.n || c.object(q.o.id) != q.o || q.mask == 0 {
			t.Fatalf("an upload to neighbour %d of object %d is queued, one of them is gone", q.n.id, q.o.id)
		}
	}
	if len(c.uploads.queue) > maxQueue || bytes != c.uploads.bytes {
		t.Fatalf("%d uploads queued with %d bytes, %d bytes booked", len(c.uploads.queue), bytes, c.uploads.bytes)
	}
	for i, n := range c.neighbours {
		if n.buffered > 0 {
			filled++
		}
		if slices.Contains(c.uploads.filled, n) != (n.buffered > 0) {
			t.Fatalf("neighbour %d has %d bytes in its send buffer, and is listed: %v", n.id, n.buffered, n.buffered == 0)
		}
		if i > 0 && c.neighbours[i-1].id >= n.id {
			t.Fatalf("neighbours are out of order at %d", n.id)
		}
		if n.inflight != owed[n.id] {
			t.Fatalf("neighbour %d owes %d bytes, %d booked", n.id, owed[n.id], n.inflight)
		}
		if n.queued != queued[n] {
			t.Fatalf("neighbour %d has %d uploads queued, %d booked", n.id, queued[n], n.queued)
		}
		if n.leafUs < minLeafUs || n.leafUs > maxLeafUs || n.buffered < 0 {
			t.Fatalf("neighbour %d: %d µs a leaf, buffered %d", n.id, n.leafUs, n.buffered)
		}
		if !c.seats[n.seat] {
			t.Fatalf("the seat of neighbour %d is free", n.id)
		}
	}
	if filled != len(c.uploads.filled) || parked != c.uploads.parked {
		t.Fatalf("%d send buffers are not empty and %d requests wait, %d and %d booked", filled, parked, len(c.uploads.filled), c.uploads.parked)
	}
}
