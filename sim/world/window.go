package world

import (
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
	inboxes inboxes              // of viewers
	office  *clock.Wheel[func()] // at the tracker
	shared  *clock.Wheel[func()] // to more than one viewer: everybody is brought to that moment first
	calls   []func()             // of kindCall
	idle    []int32              // places in calls to use again

	lookaheadMs int64
	windowMs    int64 // the start of the running window
	untilMs     int64 // its end; 0: nobody is on turn

	onTurn *viewer
	acting bool          // the core of who is on turn has decided: what it hears now comes later
	told   []letter      // in shared calls
	events []sched.Event // what the core is to hear in this millisecond
	bits   []byte        // of HAVEs among them

	speaking []int32 // neighbours to whom who is on turn says something in this millisecond

	turns []int32 // who is on turn in the running window, one after the other
}

// maxLookaheadMs is a window's length while nobody is connected.
const maxLookaheadMs = 100

func newHorizon(cfg *Config) horizon {
	return horizon{
		office: clock.New[func()](startMs - 1), shared: clock.New[func()](startMs - 1), windowMs: startMs,
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
	w.nowMs, w.windowMs = fromMs, fromMs
	for call, ok := w.shared.Next(fromMs); ok; call, ok = w.shared.Next(fromMs) {
		call()
	}
	w.openOffice(w.beforeShared(fromMs + max(w.cfg.Tracker.OneWayMs, 1)))
	w.untilMs = w.beforeShared(fromMs + w.lookaheadMs)
	until := sinceStart(w.untilMs)
	w.turns = w.turns[:0]
	for index, wakeMs := range w.inboxes.wakeMs {
		if wakeMs < until {
			w.turns = append(w.turns, int32(index))
		}
	}
	for at, index := range w.turns {
		w.warm(at)
		w.turn(index)
	}
	w.onTurn, w.untilMs = nil, 0
	w.told = w.told[:0]
	return true
}

// sinceStart is a time as events have it.
func sinceStart(ms int64) int32 { return int32(ms - startMs) }

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
	if next := w.inboxes.nextMs(); next < eternity {
		atMs, ok = startMs+int64(next), true
	}
	for _, wheel := range [...]*clock.Wheel[func()]{w.office, w.shared} {
		if ms, some := wheel.NextMs(); some {
			atMs, ok = min(atMs, ms), true
		}
	}
	return atMs, ok
}

// turn runs one viewer through the window.
func (w *world) turn(index int32) {
	v, b := w.viewers[index], &w.inboxes
	w.onTurn, w.nowMs = v, w.windowMs
	b.take(index, sinceStart(w.untilMs))
	w.readLetters(&b.of[index])
	for next := 0; ; {
		atMs := w.untilMs
		if len(w.events) > 0 { // of a shared call
			atMs = w.windowMs
		}
		if next < len(b.due) {
			atMs = min(atMs, startMs+int64(b.due[next].atMs))
		}
		if atMs == w.untilMs {
			break
		}
		w.nowMs = atMs
		for now := sinceStart(atMs); next < len(b.due) && b.due[next].atMs == now; next++ {
			e := b.due[next] // the list may move
			v.happens(&e)
		}
		if len(w.events) > 0 {
			w.acting = true
			v.run(w.events)
			w.events, w.bits, w.acting = w.events[:0], w.bits[:0], false
		}
		v.speak()
	}
	b.due = b.due[:0]
}

// readLetters has the core hear first what shared calls told the viewer.
func (w *world) readLetters(in *inbox) {
	for at := in.told; at != none; at = w.told[at].next {
		w.events = append(w.events, w.told[at].event)
	}
	in.told, in.lastTold = none, none
}

// happens lets an event happen to a viewer.
func (v *viewer) happens(e *event) {
	w := v.w
	if e.kind == kindCall {
		call := w.calls[e.batch]
		w.calls[e.batch] = nil
		w.idle = append(w.idle, e.batch)
		call()
		return
	}
	if v.gone {
		w.batches.release(e.batch)
		return
	}
	switch e.kind {
	case kindTick:
		v.tick()
	case kindLow:
		v.bufferRanLow(e.end)
	case kindChunk:
		v.chunkArrives(e)
	case kindFetched:
		v.chunkThrough(e)
	case kindThrough:
		v.through(e)
	default:
		v.arrives(e)
	}
}

// post puts an event into a viewer's future. After the end there is none.
func (w *world) post(viewer int32, atMs int64, e event) {
	atMs = max(atMs, w.nowMs)
	if atMs > w.endMs {
		return
	}
	e.atMs = sinceStart(atMs)
	switch {
	case atMs >= w.untilMs:
		w.inboxes.put(viewer, sinceStart(w.windowMs), e)
	case viewer == w.onTurn.index:
		w.inboxes.insert(&e)
	default:
		w.audit.fail("viewer %d does something to viewer %d within %d ms, sooner than any way between two", w.onTurn.number, w.viewers[viewer].number, atMs-w.nowMs)
	}
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
	w.post(v.index, atMs, event{batch: ref, saying: saying{kind: kindCall}})
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
	w, at := v.w, int32(len(v.w.told))
	w.told = append(w.told, letter{e, none})
	if in := &w.inboxes.of[v.index]; in.told == none {
		in.told, in.lastTold = at, at
		w.inboxes.wakeMs[v.index] = min(w.inboxes.wakeMs[v.index], sinceStart(w.windowMs))
	} else {
		w.told[in.lastTold].next = at
		in.lastTold = at
	}
}

// connected takes account of a way that is as long as that.
func (h *horizon) connected(delayUs int64) {
	h.lookaheadMs = max(min(h.lookaheadMs, network.MsFromUs(delayUs)), 1)
}
