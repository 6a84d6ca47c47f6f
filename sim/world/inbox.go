package world

import (
	"math"

	"slipstream/peer/sched"
)

// inbox is what is to happen to one viewer. What happens later is apart, so that who looks
// for what happens now does not come across it each time.
type inbox struct {
	soon, later []event // each in the order in which it was put in
	laterMs     int32   // when the first of later happens

	told, lastTold int32 // its chain of letters
}

// letter is what a viewer's core is to hear of a shared call, and where the next lies.
type letter struct {
	event sched.Event
	next  int32
}

const (
	none = -1
	// soonMs is how long after a window's start something is no longer soon.
	soonMs = 256
	// eternity is a time of events that does not come.
	eternity = math.MaxInt32
)

var emptyInbox = inbox{laterMs: eternity, told: none, lastTold: none}

// inboxes are those of all viewers, by their index.
type inboxes struct {
	of     []inbox
	wakeMs []int32 // when the first thing happens to each
	due    []event // to who is on turn, within the window, in order
}

func (b *inboxes) open() {
	b.of = append(b.of, emptyInbox)
	b.wakeMs = append(b.wakeMs, eternity)
}

// nextMs is when the first thing happens to anybody.
func (b *inboxes) nextMs() int32 {
	next := int32(eternity)
	for _, ms := range b.wakeMs {
		next = min(next, ms)
	}
	return next
}

// put puts an event into a viewer's inbox. All that one window puts there for one moment
// goes to the same list, and to later before to soon, so that the order is kept.
func (b *inboxes) put(viewer, windowMs int32, e event) {
	in := &b.of[viewer]
	if e.atMs-windowMs > soonMs {
		in.later = append(in.later, e)
		in.laterMs = min(in.laterMs, e.atMs)
	} else {
		in.soon = append(in.soon, e)
	}
	b.wakeMs[viewer] = min(b.wakeMs[viewer], e.atMs)
}

// take makes due what happens to a viewer before untilMs.
func (b *inboxes) take(viewer, untilMs int32) {
	in := &b.of[viewer]
	if in.laterMs < untilMs {
		in.laterMs = b.sift(&in.later, untilMs)
	}
	b.wakeMs[viewer] = min(b.sift(&in.soon, untilMs), in.laterMs)
}

// sift makes due those of a list that happen before untilMs, and tells when the first of
// the others does.
func (b *inboxes) sift(list *[]event, untilMs int32) (nextMs int32) {
	nextMs = eternity
	kept := (*list)[:0]
	for i := range *list {
		if e := &(*list)[i]; e.atMs < untilMs {
			b.insert(e)
		} else {
			nextMs = min(nextMs, e.atMs)
			kept = append(kept, *e)
		}
	}
	*list = kept
	return nextMs
}

// insert puts an event behind all that happens no later.
func (b *inboxes) insert(e *event) {
	at := len(b.due)
	b.due = append(b.due, *e)
	for ; at > 0 && b.due[at-1].atMs > e.atMs; at-- {
		b.due[at] = b.due[at-1]
	}
	b.due[at] = *e
}
