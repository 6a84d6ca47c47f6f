package world

import (
	"slipstream/peer/sched"
	"slipstream/sim/network"
)

// fetch is an HTTP request for a run of leaves.
type fetch struct {
	active      bool
	whole       bool // checked against the root when all is there
	object      int32
	first, last int32
	next        int32 // leaf under way; first−1: the leaf list
	sentMs      int64
	bytes       int64
	response    network.Response
}

func (v *viewer) startFetch(a *sched.Action) {
	h := v.objects.at(a.Object)
	if h == nil {
		v.w.audit.unknown(v, a.Object, "fetches")
		v.tell(sched.Event{Kind: sched.FetchFailed, Object: a.Object, Leaf: a.Leaf, Last: a.Last})
		return
	}
	v.stats.MediaRequests++
	if v.cdnFails() {
		failed := sched.Event{Kind: sched.FetchFailed, Object: a.Object, Leaf: a.Leaf, Last: a.Last, Value: serviceUnavailable}
		v.up.Send(v.w.nowMs*1000, httpRequestBytes)
		v.w.cdn.Requests++
		v.after(v.w.errorMs(), func() {
			if !v.gone {
				v.tell(failed)
			}
		})
		return
	}
	slot := 0
	for slot < len(v.fetches) && v.fetches[slot].active {
		slot++
	}
	if slot == len(v.fetches) {
		v.fetches = append(v.fetches, fetch{})
	}
	f := &v.fetches[slot]
	*f = fetch{
		active: true, object: a.Object, first: a.Leaf, last: a.Last, next: a.Leaf,
		sentMs: v.w.nowMs, response: v.w.edgeNow().Open(v.w.nowMs),
	}
	v.up.Send(v.w.nowMs*1000, httpRequestBytes)
	switch {
	case h.list:
	case a.Leaf == 0 && a.Last == v.w.stream.leaves-1 && v.member.neighbours == 0:
		f.whole = true // nobody waits for single leaves
	default:
		// The list is asked for at the same time, and comes first.
		f.next--
		v.w.cdn.Requests++
		v.stats.ListRequests++
		v.up.Send(v.w.nowMs*1000, httpRequestBytes)
	}
	v.nextChunk(int32(slot))
}

func (v *viewer) chunkBytes(f *fetch) int64 {
	if f.next < f.first {
		return 32 * int64(v.w.stream.leaves)
	}
	return v.w.stream.leafBytes(f.next)
}

// nextChunk lets the CDN send the next leaf.
func (v *viewer) nextChunk(slot int32) {
	f := &v.fetches[slot]
	firstUs, lastUs := v.w.cdn.Next(&f.response, v.w.nowMs, v.chunkBytes(f))
	v.w.postArrival(v.index, lastUs, event{end: slot, tookUs: int32(lastUs - firstUs), saying: saying{kind: kindChunk}})
}

func (v *viewer) chunkArrives(e *event) {
	if v.received(e, v.chunkBytes(&v.fetches[e.end]), kindFetched) {
		v.chunkThrough(e)
	}
}

func (v *viewer) chunkThrough(e *event) {
	f := &v.fetches[e.end]
	bytes := v.chunkBytes(f)
	h := v.objects.at(f.object)
	switch {
	case f.next < f.first:
		v.stats.ListBytes += bytes
		if h != nil {
			h.list = true
		}
	case f.whole:
		f.bytes += bytes
	default:
		f.bytes += bytes
		v.fetched(f, h, f.next)
	}
	f.next++
	if f.next <= f.last {
		v.nextChunk(e.end)
		return
	}
	if f.whole {
		if h != nil {
			h.list = true // computed on the way to the root
		}
		for leaf := f.first; leaf <= f.last; leaf++ {
			v.fetched(f, h, leaf)
		}
	}
	f.active = false
	v.tell(sched.Event{
		Kind: sched.FetchDone, Object: f.object, Leaf: f.first, Last: f.last,
		Value: f.bytes, ElapsedMs: v.w.nowMs - f.sentMs,
	})
}

// fetched stores a leaf from the CDN unless a neighbour was faster.
func (v *viewer) fetched(f *fetch, h *held, leaf int32) {
	v.w.segmentStats(f.object).cdn[leaf]++
	if h == nil || h.has(leaf) {
		v.stats.DuplicateBytes += v.w.stream.leafBytes(leaf)
		return
	}
	v.store(h, f.object, leaf, sched.CDN)
}
