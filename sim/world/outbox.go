package world

import (
	"math"

	"slipstream/sim/network"
)

// This file gathers what is said to each neighbour, as package session does: what is said in
// one millisecond travels as one message, and what is in no hurry waits for company.

// companyMs is how long something that is in no hurry waits for something else to be said.
const companyMs = 2000

// outbox is what one neighbour is told next.
type outbox struct {
	last    saying
	before  int32 // a batch: what is said before it
	bytes   int32 // of all; 0: nothing is said
	hurries bool  // it leaves at the end of this millisecond
	sinceMs int64 // when the first of it came
}

// say tells a neighbour something at the end of this millisecond.
func (v *viewer) say(n int32, s saying, bytes int64) {
	v.mention(n, s, bytes)
	if out := &v.ends[n].out; !out.hurries {
		out.hurries = true
		v.w.speaking = append(v.w.speaking, n)
	}
}

// mention tells a neighbour something together with what it is told next, or after companyMs.
func (v *viewer) mention(n int32, s saying, bytes int64) {
	out := &v.ends[n].out
	if out.bytes == 0 {
		out.sinceMs = v.w.nowMs
		v.lonelyMs = min(v.lonelyMs, v.w.nowMs+companyMs)
	} else {
		v.pack(out)
	}
	out.last = s
	out.bytes += int32(bytes)
}

// pack puts what was said last to what was said before.
func (v *viewer) pack(out *outbox) {
	if out.before == 0 {
		out.before = v.w.batches.open()
	}
	v.w.batches.add(out.before, out.last)
}

// speak sends what was said in this millisecond.
func (v *viewer) speak() {
	for _, n := range v.w.speaking {
		v.ends[n].out.hurries = false
		v.flush(n)
	}
	v.w.speaking = v.w.speaking[:0]
}

// flush sends what waits for a neighbour.
func (v *viewer) flush(n int32) {
	out := &v.ends[n].out
	if out.bytes > 0 {
		v.send(event{end: n, batch: out.before, saying: out.last}, int64(out.bytes))
		out.before, out.bytes = 0, 0
	}
}

// takeAlong takes what waits for a neighbour into the message that a leaf ends.
func (v *viewer) takeAlong(n int32) (batch int32, bytes int64) {
	out := &v.ends[n].out
	if out.bytes > 0 {
		v.pack(out)
		batch, bytes = out.before, int64(out.bytes)
		out.before, out.bytes = 0, 0
	}
	return batch, bytes
}

// sendLonely sends what found no company.
func (v *viewer) sendLonely() {
	if v.w.nowMs < v.lonelyMs {
		return
	}
	v.lonelyMs = math.MaxInt64
	for n := range v.ends {
		out := &v.ends[n].out
		switch {
		case out.bytes == 0:
		case out.sinceMs+companyMs <= v.w.nowMs:
			v.flush(int32(n))
		default:
			v.lonelyMs = min(v.lonelyMs, out.sinceMs+companyMs)
		}
	}
}

// Sizes of what is said.

func indicesBytes(k kind, pieces int) int64 {
	bytes := network.IndicesBytes(int64(pieces))
	if k == kindRequest || k == kindRefuse {
		bytes++
	}
	return bytes
}
