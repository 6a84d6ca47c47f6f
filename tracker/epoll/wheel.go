package epoll

// wheel says when a descriptor has to be looked at: a ring of slots, one for each tick. Setting and waiting cost
// nothing but eight bytes.
type wheel struct {
	tickMs int64
	atMs   int64 // up to here everything was looked at
	slots  [256][]entry
}

// entry is a descriptor, and which of its appointments this is: it counts only if that is the last one made.
type entry struct {
	fd          int32
	appointment uint32
}

// set makes an appointment at a time, or as late as the wheel reaches.
func (w *wheel) set(e entry, atMs int64) {
	ticks := (atMs - w.atMs + w.tickMs - 1) / w.tickMs
	ticks = min(max(ticks, 1), int64(len(w.slots))-1)
	slot := (w.atMs/w.tickMs + ticks) % int64(len(w.slots))
	w.slots[slot] = append(w.slots[slot], e)
}

// nextMs is when to call advance.
func (w *wheel) nextMs() int64 { return w.atMs + w.tickMs }

// advance looks at everything up to now.
func (w *wheel) advance(nowMs int64, look func(entry)) {
	for turns := 0; w.nextMs() <= nowMs; turns++ {
		if turns == len(w.slots) { // asleep for a whole turn
			w.atMs = nowMs - nowMs%w.tickMs
			return
		}
		w.atMs += w.tickMs
		slot := &w.slots[(w.atMs/w.tickMs)%int64(len(w.slots))]
		due := *slot
		*slot = nil
		for _, e := range due {
			look(e)
		}
	}
}
