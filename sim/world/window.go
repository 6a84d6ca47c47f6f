package world

import (
	"math/bits"

	"slipstream/peer/sched"
	"slipstream/sim/clock"
	"slipstream/sim/network"
)

// This file lets time pass. Nothing that a viewer does reaches another sooner than the
// shortest way between two of them takes. So each can be run for that long by itself,
// one after the other, and a viewer's state is fetched from memory once for all that
// happens to it in that time (conservative lookahead: Chandy and Misra, 1979).

// horizon is the future: what is to happen, and how far ahead a viewer may be run.
type horizon struct {
	wheel  *clock.Wheel[event]  // to viewers
	office *clock.Wheel[func()] // at the tracker
	shared *clock.Wheel[func()] // to more than one viewer: everybody is brought to that moment first
	calls  []func()             // of eventCalls
	idle   []int32              // places in calls to use again

	lookaheadMs int64
	untilMs     int64 // the end of the running window; 0: nobody is on turn

	mail   []posted // of the running window: a chain for each viewer
	boxes  []box    // by viewer
	woken  []uint64 // a bit for each viewer to which something happens
	told   []letter // in shared calls, by viewer's chain
	onTurn *viewer
	acting bool          // the core of who is on turn has decided: what it hears now comes later
	own    []posted      // to who is on turn, within the window, by time
	events []sched.Event // what the core is to hear in this millisecond

	warmth int64 // see warm
}

// posted is an event of the running window.
type posted struct {
	atMs  int64
	event event
	next  int32
}

// box is where a viewer's chains begin and end.
type box struct{ mail, lastMail, told, lastTold int32 }

var emptyBox = box{none, none, none, none}

// letter is an event in a viewer's inbox, and where the next lies.
type letter struct {
	event sched.Event
	next  int32
}

const none = -1

// maxLookaheadMs is a window's length while nobody is connected.
const maxLookaheadMs = 100

func newHorizon(cfg *Config) horizon {
	return horizon{
		wheel: clock.New[event](startMs - 1), office: clock.New[func()](startMs - 1), shared: clock.New[func()](startMs - 1),
		lookaheadMs: max(min(2*cfg.Tracker.OneWayMs, maxLookaheadMs), 1),
	}
}

// window lets everything happen from the next event on for as long as nobody can hear
// of it; false if nothing more happens before the end. The tracker comes first: it hears
// nothing of this window for one way, and what it says then comes after a second.
func (w *world) window() bool {
	fromMs, ok := w.nextMs()
	if !ok || fromMs > w.endMs {
		return false
	}
	w.nowMs = fromMs
	for call, ok := w.shared.Next(fromMs); ok; call, ok = w.shared.Next(fromMs) {
		call()
	}
	w.openOffice(w.beforeShared(fromMs + max(w.cfg.Tracker.OneWayMs, 1)))
	w.untilMs = w.beforeShared(fromMs + w.lookaheadMs)
	w.sortMail()
	for i, word := range w.woken {
		if word == 0 {
			continue
		}
		w.woken[i] = 0
		for ; word != 0; word &= word - 1 {
			w.turn(fromMs, int32(i<<6|bits.TrailingZeros64(word)))
		}
	}
	w.onTurn, w.untilMs = nil, 0
	w.mail, w.told = w.mail[:0], w.told[:0]
	return true
}

// beforeShared is the end of a window that is to end then, or sooner if something shared
// happens before.
func (w *world) beforeShared(untilMs int64) int64 {
	if sharedMs, ok := w.shared.NextMs(); ok {
		untilMs = min(untilMs, sharedMs)
	}
	return min(untilMs, w.endMs+1)
}

// openOffice lets the tracker work until then.
func (w *world) openOffice(untilMs int64) {
	for call, ok := w.office.Next(untilMs - 1); ok; call, ok = w.office.Next(untilMs - 1) {
		w.nowMs = w.office.NowMs()
		call()
	}
}

// nextMs is when the next thing happens, wherever.
func (w *world) nextMs() (atMs int64, ok bool) {
	atMs = never
	for _, next := range [...]func() (int64, bool){w.wheel.NextMs, w.office.NextMs, w.shared.NextMs} {
		if ms, some := next(); some {
			atMs, ok = min(atMs, ms), true
		}
	}
	return atMs, ok
}

// sortMail deals the window's events out to the viewers' chains.
func (w *world) sortMail() {
	w.wheel.Drain(w.untilMs, func(atMs int64, e *event) {
		at := int32(len(w.mail))
		w.mail = append(w.mail, posted{atMs, *e, none})
		b := &w.boxes[e.viewer]
		if b.mail == none {
			b.mail = at
			w.wake(e.viewer)
		} else {
			w.mail[b.lastMail].next = at
		}
		b.lastMail = at
	})
}

func (w *world) wake(viewer int32) { w.woken[viewer>>6] |= 1 << (viewer & 63) }

// turn runs one viewer through the window.
func (w *world) turn(fromMs int64, index int32) {
	v, b := w.viewers[index], w.boxes[index]
	w.boxes[index] = emptyBox
	w.onTurn, w.nowMs = v, fromMs
	w.warm(v, b.mail)
	for at := b.told; at != none; at = w.told[at].next {
		w.events = append(w.events, w.told[at].event)
	}
	for at, own := b.mail, 0; ; {
		atMs := w.untilMs
		if len(w.events) > 0 { // of a shared call
			atMs = fromMs
		}
		if at != none {
			atMs = min(atMs, w.mail[at].atMs)
		}
		if own < len(w.own) {
			atMs = min(atMs, w.own[own].atMs)
		}
		if atMs == w.untilMs {
			break
		}
		w.nowMs = atMs
		for ; at != none && w.mail[at].atMs == atMs; at = w.mail[at].next {
			v.happens(&w.mail[at].event)
		}
		for ; own < len(w.own) && w.own[own].atMs == atMs; own++ {
			e := w.own[own].event // the list may move
			v.happens(&e)
		}
		if len(w.events) > 0 {
			w.acting = true
			v.run(w.events)
			w.events, w.acting = w.events[:0], false
		}
	}
	w.own = w.own[:0]
}

// warm reads what a viewer's turn is about to need. Read in a row, much of it comes from
// memory at once; otherwise the processor would wait for each. What it adds up is of no
// interest.
func (w *world) warm(v *viewer, mail int32) {
	if v.core == nil {
		return
	}
	for ; mail != none; mail = w.mail[mail].next {
		if e := &w.mail[mail].event; int(e.end) < len(v.ends) {
			w.warmth += v.ends[e.end].delayUs + v.ends[e.end].buffer.lowUs
		}
	}
	for step := range sched.WarmSteps {
		v.core.Warm(step)
	}
}

// happens lets an event happen to a viewer.
func (v *viewer) happens(e *event) {
	w := v.w
	if e.kind == eventCall {
		call := w.calls[e.batch]
		w.calls[e.batch] = nil
		w.idle = append(w.idle, e.batch)
		call()
		return
	}
	if v.gone {
		w.batches.release(e)
		return
	}
	switch e.kind {
	case eventTick:
		v.tick()
	case eventArrives:
		v.arrives(e)
	case eventThrough:
		v.through(e)
	case eventLow:
		v.bufferRanLow(e.end)
	case eventChunk:
		v.chunkArrives(e)
	case eventFetched:
		v.chunkThrough(e)
	}
}

// post puts an event into the future of the viewer that it names.
func (w *world) post(atMs int64, e event) {
	atMs = max(atMs, w.nowMs)
	if atMs >= w.untilMs {
		w.wheel.At(atMs, e)
		return
	}
	if e.viewer != w.onTurn.index {
		w.audit.fail("viewer %d does something to viewer %d within %d ms, sooner than any way between two", w.onTurn.number, w.viewers[e.viewer].number, atMs-w.nowMs)
		return
	}
	at := len(w.own)
	w.own = append(w.own, posted{})
	for ; at > 0 && w.own[at-1].atMs > atMs; at-- {
		w.own[at] = w.own[at-1]
	}
	w.own[at] = posted{atMs, e, none}
}

// after calls f, which is about this viewer alone, in some milliseconds, at least one.
func (v *viewer) after(ms int64, f func()) { v.at(v.w.nowMs+max(ms, 1), f) }

func (v *viewer) at(atMs int64, f func()) {
	w := v.w
	ref := int32(len(w.calls))
	if n := len(w.idle); n > 0 {
		ref = w.idle[n-1]
		w.idle = w.idle[:n-1]
		w.calls[ref] = f
	} else {
		w.calls = append(w.calls, f)
	}
	w.post(atMs, event{kind: eventCall, viewer: v.index, batch: ref})
}

// tell puts an event into the inbox; the core gets it at the end of the millisecond.
func (v *viewer) tell(e sched.Event) {
	w := v.w
	switch {
	case w.onTurn == nil:
		v.tellLater(e)
	case w.acting: // what an action of this millisecond brings about
		v.after(1, func() {
			if !v.gone {
				v.tell(e)
			}
		})
	default:
		w.events = append(w.events, e)
	}
}

// tellLater is for shared calls: the viewer's turn comes after them.
func (v *viewer) tellLater(e sched.Event) {
	w, b, at := v.w, &v.w.boxes[v.index], int32(len(v.w.told))
	w.told = append(w.told, letter{e, none})
	if b.told == none {
		b.told = at
		w.wake(v.index)
	} else {
		w.told[b.lastTold].next = at
	}
	b.lastTold = at
}

// connected takes account of a way that is as long as that.
func (h *horizon) connected(delayUs int64) {
	h.lookaheadMs = max(min(h.lookaheadMs, network.MsFromUs(delayUs)), 1)
}
