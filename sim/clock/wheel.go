// Package clock is virtual time: a queue of events to come, ordered by the
// millisecond at which they happen.
//
// Nothing ever waits. The engine takes the next event, time jumps to it, and
// whatever the event causes is put back into the queue for later. Events of one
// millisecond come out in the order in which they were put in, so a run depends
// on nothing but its input.
//
// The queue is a timing wheel (Varghese and Lauck, 1987): one slot per
// millisecond of the current span of 8192 ms, and one coarse slot per later
// span, dealt out when time enters it. Adding and taking an event cost a few
// nanoseconds however many are waiting, where a heap would pay for its depth and
// its cache misses.
package clock

import "math/bits"

const (
	spanBits  = 13 // a span is 8192 ms
	slots     = 1 << spanBits
	chunkSize = 16
	none      = -1
)

// Wheel is a queue of events of type E. It is not safe for concurrent use.
type Wheel[E any] struct {
	nowMs int64
	size  int

	fine   [slots]list
	filled [slots / 64]uint64 // which fine slots have events
	coarse []list             // later spans; index 0 is the span after the current one

	chunks []chunk[E]
	free   int32 // chunks to use again, the one used last first: it is still in the cache
}

// list is a chain of chunks. Events lie side by side in a chunk, so a slot of a
// thousand events is read as an array would be.
type list struct {
	head, tail  int32
	read, write int32 // next to read in head, next to write in tail
}

var empty = list{head: none, tail: none}

type chunk[E any] struct {
	next   int32
	events [chunkSize]timed[E]
}

type timed[E any] struct {
	atMs  int64
	event E
}

// New returns an empty wheel that stands at nowMs ≥ 0.
func New[E any](nowMs int64) *Wheel[E] {
	w := &Wheel[E]{nowMs: nowMs, free: none}
	for i := range w.fine {
		w.fine[i] = empty
	}
	return w
}

// NowMs is the time of the event taken last.
func (w *Wheel[E]) NowMs() int64 { return w.nowMs }

// Len is the number of events that wait.
func (w *Wheel[E]) Len() int { return w.size }

// At puts an event in, to happen at atMs; what lies in the past happens now,
// after all else that happens now.
func (w *Wheel[E]) At(atMs int64, event E) {
	atMs = max(atMs, w.nowMs)
	w.size++
	ahead := atMs>>spanBits - w.nowMs>>spanBits
	if ahead == 0 {
		w.putFine(timed[E]{atMs, event})
		return
	}
	for int64(len(w.coarse)) < ahead {
		w.coarse = append(w.coarse, empty)
	}
	w.put(&w.coarse[ahead-1], timed[E]{atMs, event})
}

// Next takes the next event that happens no later than untilMs, and moves time
// to it. If there is none, time stays and ok is false.
func (w *Wheel[E]) Next(untilMs int64) (event E, ok bool) {
	atMs, ok := w.NextMs()
	if !ok || atMs > untilMs {
		return event, false
	}
	for atMs>>spanBits > w.nowMs>>spanBits {
		w.enterNextSpan()
	}
	w.nowMs = atMs
	slot := atMs & (slots - 1)
	l := &w.fine[slot]
	event = w.take(l).event
	if l.head == none {
		w.filled[slot>>6] &^= 1 << (slot & 63)
	}
	w.size--
	return event, true
}

// NextMs tells when the next event happens.
func (w *Wheel[E]) NextMs() (atMs int64, ok bool) {
	if w.size == 0 {
		return 0, false
	}
	slot := w.nowMs & (slots - 1)
	word := w.filled[slot>>6] >> (slot & 63) << (slot & 63)
	for i := slot >> 6; ; word = w.filled[i] {
		if word != 0 {
			return w.nowMs&^(slots-1) | i<<6 | int64(bits.TrailingZeros64(word)), true
		}
		if i++; i == slots/64 {
			break
		}
	}
	for i := range w.coarse {
		if w.coarse[i].head != none {
			return w.earliest(w.coarse[i]), true
		}
	}
	panic("clock: events are counted that no slot holds") // a bug here, not bad input
}

func (w *Wheel[E]) earliest(l list) int64 {
	atMs := w.chunks[l.head].events[l.read].atMs
	for c, i := l.head, l.read; c != none; c, i = w.chunks[c].next, 0 {
		end := int32(chunkSize)
		if c == l.tail {
			end = l.write
		}
		for ; i < end; i++ {
			atMs = min(atMs, w.chunks[c].events[i].atMs)
		}
	}
	return atMs
}

// enterNextSpan moves time to the start of the next span and deals its events
// out. They were all put in before anything can be put into the span directly,
// so the order of one millisecond's events stays that of their arrival.
func (w *Wheel[E]) enterNextSpan() {
	w.nowMs = (w.nowMs>>spanBits + 1) << spanBits
	if len(w.coarse) == 0 {
		return
	}
	l := w.coarse[0]
	copy(w.coarse, w.coarse[1:])
	w.coarse = w.coarse[:len(w.coarse)-1]
	for l.head != none {
		w.putFine(w.take(&l))
	}
}

func (w *Wheel[E]) putFine(e timed[E]) {
	slot := e.atMs & (slots - 1)
	w.filled[slot>>6] |= 1 << (slot & 63)
	w.put(&w.fine[slot], e)
}

func (w *Wheel[E]) put(l *list, e timed[E]) {
	if l.tail == none || l.write == chunkSize {
		c := w.newChunk()
		if l.tail == none {
			l.head, l.read = c, 0
		} else {
			w.chunks[l.tail].next = c
		}
		l.tail, l.write = c, 0
	}
	w.chunks[l.tail].events[l.write] = e
	l.write++
}

// take removes the first event of a list that is not empty.
func (w *Wheel[E]) take(l *list) timed[E] {
	c := &w.chunks[l.head]
	e := c.events[l.read]
	l.read++
	if l.head == l.tail && l.read == l.write {
		w.recycle(l.head)
		*l = empty
	} else if l.read == chunkSize {
		next := c.next
		w.recycle(l.head)
		l.head, l.read = next, 0
	}
	return e
}

func (w *Wheel[E]) newChunk() int32 {
	c := w.free
	if c == none {
		w.chunks = append(w.chunks, chunk[E]{next: none})
		return int32(len(w.chunks) - 1)
	}
	w.free = w.chunks[c].next
	w.chunks[c].next = none
	return c
}

func (w *Wheel[E]) recycle(c int32) {
	w.chunks[c].next = w.free
	w.free = c
}
