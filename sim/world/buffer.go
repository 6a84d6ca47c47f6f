package world

import (
	"slipstream/peer/sched"
	"slipstream/sim/network"
)

// sendQueue lists the connections whose send buffers are not empty, or hold less
// than the core believes.
type sendQueue struct{ ends []int32 }

// buffer is the send buffer of one connection: leaves that have not left yet.
type buffer struct {
	leaves  []sending // from next on
	next    int
	bytes   int64 // of them
	told    int64 // as the core knows it
	lowUs   int64 // when what is in it now will have run low
	watched bool  // an kindLow is on its way
	listed  bool  // in the sendQueue
}

type sending struct {
	bytes         int64
	startUs, atUs int64
}

// bufferLow is where a connection asks for more, as in package session.
const bufferLow = leafSize / 2

// enqueued books a leaf that went into a send buffer.
func (v *viewer) enqueued(n int32, bytes, startUs, departsUs int64) {
	b := &v.ends[n].buffer
	b.leaves = append(b.leaves, sending{bytes, startUs, departsUs})
	if !b.listed {
		b.listed = true
		v.sending.ends = append(v.sending.ends, n)
	}
	b.bytes += bytes
	b.told += bytes // the core has counted it
	b.lowUs = departsUs
	if bytes > bufferLow {
		b.lowUs -= (departsUs - startUs) * bufferLow / bytes
	}
	if !b.watched {
		v.watchBuffer(n)
	}
}

func (v *viewer) watchBuffer(n int32) {
	b := &v.ends[n].buffer
	b.watched = true
	atMs := max(network.MsFromUs(b.lowUs), v.w.nowMs+1)
	v.w.post(v.index, atMs, event{end: n, saying: saying{kind: kindLow}})
}

// bufferRanLow is when a send buffer may have run low, unless more was put in
// since: what a data channel's bufferedamountlow tells.
func (v *viewer) bufferRanLow(n int32) {
	b := &v.ends[n].buffer
	b.watched = false
	if b.lowUs > v.w.nowMs*1000 {
		v.watchBuffer(n)
		return
	}
	v.tellBuffer(n)
}

// tellBuffers tells the core of all send buffers that changed.
func (v *viewer) tellBuffers() {
	kept := v.sending.ends[:0]
	for _, n := range v.sending.ends {
		v.tellBuffer(n)
		if b := &v.ends[n].buffer; b.bytes > 0 {
			kept = append(kept, n)
		} else {
			b.listed = false
		}
	}
	v.sending.ends = kept
}

// tellBuffer tells the core of one, if it has changed.
func (v *viewer) tellBuffer(n int32) {
	b, nowUs := &v.ends[n].buffer, v.w.nowMs*1000
	for b.next < len(b.leaves) && b.leaves[b.next].atUs <= nowUs {
		b.bytes -= b.leaves[b.next].bytes
		b.next++
	}
	left := b.bytes
	if b.next == len(b.leaves) {
		b.leaves, b.next = b.leaves[:0], 0
	} else if b.next >= 16 {
		b.leaves, b.next = b.leaves[:copy(b.leaves, b.leaves[b.next:])], 0
	}
	if b.next < len(b.leaves) {
		if head := &b.leaves[b.next]; head.startUs < nowUs {
			left -= head.bytes * (nowUs - head.startUs) / (head.atUs - head.startUs)
		}
	}
	if left != b.told && v.ends[n].open {
		v.tell(sched.Event{Kind: sched.Buffered, Neighbour: n, Value: left})
	}
	b.told = left
}
