package sched

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
	for slot, o := range c.objects {
		if o == nil {
			continue
		}
		if c.bySlot[o.id] != slot || o.slot != slot {
			fail("object %d is in slot %d, known in %d", o.id, slot, c.bySlot[o.id])
		}
		missing, open := int32(0), int32(0)
		for leaf := range o.leaves {
			if !o.has(leaf) {
				missing++
			}
			if o.isOpen(leaf) {
				open++
			}
			from := o.leaf[leaf].from
			if o.has(leaf) && from != nobody {
				fail("object %d leaf %d is held and pending at %d", o.id, leaf, from)
			}
			if from >= 0 {
				if c.neighbour(from) == nil {
					fail("object %d leaf %d is pending at %d, who is gone", o.id, leaf, from)
				}
				if o.deadlineMs <= 0 {
					fail("object %d leaf %d is pending at %d but not wanted", o.id, leaf, from)
				}
				owed[from] += o.leafBytes(leaf)
			}
			holders := int32(0)
			for _, n := range c.neighbours {
				if n.holdsLeaf(o, leaf) {
					holders++
				}
			}
			if holders != o.holders[leaf] {
				fail("object %d leaf %d: %d holders booked, %d found", o.id, leaf, o.holders[leaf], holders)
			}
		}
		if missing != o.missing || open != o.open {
			fail("object %d: %d missing and %d open booked, %d and %d found", o.id, o.missing, o.open, missing, open)
		}
		if o.missing > 0 && o.deadlineMs > 0 {
			wanted++
		}
		if len(o.fresh) > int(o.leaves) {
			fail("object %d: %d fresh leaves of %d", o.id, len(o.fresh), o.leaves)
		}
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
	if c.cdn.fetches < 0 || c.cdn.fetches > c.cfg.MaxFetches {
		fail("%d CDN requests, 0 to %d are possible", c.cdn.fetches, c.cfg.MaxFetches)
	}
	checkNeighbours(t, c, owed)
}

func checkNeighbours(t failer, c *Core, owed map[int32]int64) {
	t.Helper()
	queued, bytes := map[*neighbour]int32{}, int64(0)
	for _, q := range c.uploads.queue {
		queued[q.n]++
		bytes += q.bytes
		if c.neighbour(q.n.id) != q.n || c.object(q.object) == nil {
			t.Fatalf("an upload to neighbour %d of object %d is queued, one of them is gone", q.n.id, q.object)
		}
	}
	if len(c.uploads.queue) > maxQueue || bytes != c.uploads.bytes {
		t.Fatalf("%d uploads queued with %d bytes, %d bytes booked", len(c.uploads.queue), bytes, c.uploads.bytes)
	}
	for i, n := range c.neighbours {
		if i > 0 && c.neighbours[i-1].id >= n.id {
			t.Fatalf("neighbours are out of order at %d", n.id)
		}
		if n.inflight != owed[n.id] {
			t.Fatalf("neighbour %d owes %d bytes, %d booked", n.id, owed[n.id], n.inflight)
		}
		if n.queued != queued[n] || n.queued > maxQueuedEach {
			t.Fatalf("neighbour %d has %d uploads queued, %d booked", n.id, queued[n], n.queued)
		}
		if n.rate < minRate || n.rate > maxRate || n.buffered < 0 {
			t.Fatalf("neighbour %d: rate %d, buffered %d", n.id, n.rate, n.buffered)
		}
		if len(n.holds) != len(c.objects) || len(n.announced) != len(c.objects) {
			t.Fatalf("neighbour %d has %d holdings for %d slots", n.id, len(n.holds), len(c.objects))
		}
	}
}
