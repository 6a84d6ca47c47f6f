package world

import (
	"slipstream/peer/sched"
	"slipstream/sim/network"
)

// sendQueue is the leaves in the queue of an uplink, in order, and with it the
// send buffers of all connections.
type sendQueue struct {
	leaves []sending // from next on
	next   int
	ends   []int32 // with leaves in the queue, or with a buffer of which the core knows less
}

type sending struct {
	end           int32
	bytes         int32
	startUs, atUs int64
}

// bufferLow is where a connection asks for more, as in package session.
const bufferLow = leafSize / 2

// enqueued books a leaf that went into the queue.
func (v *viewer) enqueued(n int32, bytes, startUs, departsUs int64) {
	q, to := &v.sending, &v.ends[n]
	q.leaves = append(q.leaves, sending{n, int32(bytes), startUs, departsUs})
	if !to.listed {
		to.listed = true
		q.ends = append(q.ends, n)
	}
	to.buffered += bytes
	to.told += bytes // the core has counted it
	to.lowUs = departsUs
	if bytes > bufferLow {
		to.lowUs -= (departsUs - startUs) * bufferLow / bytes
	}
	if !to.watched {
		to.watched = true
		v.watchBuffer(n)
	}
}

func (v *viewer) watchBuffer(n int32) {
	atMs := max(network.MsFromUs(v.ends[n].lowUs), v.w.nowMs+1)
	v.w.wheel.At(atMs, event{kind: eventLow, viewer: v.number, end: n})
}

// bufferRanLow is when a send buffer may have run low, unless more was put in
// since: what a data channel's bufferedamountlow tells.
func (v *viewer) bufferRanLow(n int32) {
	to := &v.ends[n]
	if to.lowUs > v.w.nowMs*1000 {
		v.watchBuffer(n)
		return
	}
	to.watched = false
	v.drain()
	v.tellBuffer(n)
}

// tellBuffers tells the core of all send buffers that changed.
func (v *viewer) tellBuffers() {
	v.drain()
	q := &v.sending
	kept := q.ends[:0]
	for _, n := range q.ends {
		v.tellBuffer(n)
		if to := &v.ends[n]; to.buffered > 0 {
			kept = append(kept, n)
		} else {
			to.listed = false
		}
	}
	q.ends = kept
}

// drain takes those leaves off the queue that have left.
func (v *viewer) drain() {
	q, nowUs := &v.sending, v.w.nowMs*1000
	for q.next < len(q.leaves) && q.leaves[q.next].atUs <= nowUs {
		s := &q.leaves[q.next]
		v.ends[s.end].buffered -= int64(s.bytes)
		q.next++
	}
	if q.next == len(q.leaves) {
		q.leaves, q.next = q.leaves[:0], 0
	} else if q.next > 64 {
		q.leaves = q.leaves[:copy(q.leaves, q.leaves[q.next:])]
		q.next = 0
	}
}

// tellBuffer tells the core of one. The queue is drained.
func (v *viewer) tellBuffer(n int32) {
	q, to, nowUs := &v.sending, &v.ends[n], v.w.nowMs*1000
	bytes := to.buffered
	if q.next < len(q.leaves) {
		if head := &q.leaves[q.next]; head.end == n && head.startUs < nowUs {
			bytes -= int64(head.bytes) * (nowUs - head.startUs) / (head.atUs - head.startUs)
		}
	}
	if bytes != to.told && to.open {
		v.tell(sched.Event{Kind: sched.Buffered, Neighbour: n, Value: bytes})
	}
	to.told = bytes
}
