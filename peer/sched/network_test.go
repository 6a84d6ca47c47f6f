package sched

import (
	"container/heap"
)

// This file is a swarm small enough to read: viewers with serial uplinks, links
// with latency that keep the order, a CDN. Virtual time, one millisecond at a
// time; what looks random is a function of (seed, stream, counter), so that a new
// viewer never shifts the draws of another.

type network struct {
	seed    uint32
	nowMs   int64
	timers  timerHeap
	seq     int
	viewers []*viewer
	objects []publication

	latencyMs   int64
	cdnWaitMs   int64
	cdnRate     int64 // bytes/s per request
	cdnDown     func(nowMs int64) bool
	dutyDealt   bool
	bursty      bool  // now and then a link stands still and then delivers all at once
	goneAfterMs int64 // how long it takes until a death is noticed
}

// publication is an object as the origin knows it.
type publication struct {
	rendition, leaves int32
	sequence, size    int64
	publishedMs       int64
}

// viewer is one peer with its core and as much of a shell as the core needs.
type viewer struct {
	net          *network
	id           int
	name         string
	core         *Core // nil: hostile, see hostile_test.go
	behaviour    behaviour
	level        int32
	uplink       int64 // bytes/s
	turn         int   // the link that sent last
	draws        uint32
	transmitting bool
	sentUs       int64 // until then the uplink is taken
	dripMs       int64
	diedMs       int64 // 0: alive

	links    []*link       // by the neighbour id that the core sees
	local    map[int]int32 // publication → the object id that the core sees
	global   []int         // and back
	deadline map[int]int64
	held     map[int][]byte // by leaf
	duties   map[int32]int64
	inbox    []Event
	queries  [][]int64 // what Expects was asked since the last call, and answered
	busyMs   int64     // ticks come up to this late
	observe  func(nowMs int64, events []Event, actions []Action)

	fromCDN, fromPeers, sent, wasted, fetches, misses, drops int
	completeMs                                               map[int]int64
}

// link is one viewer's end of a data channel.
type link struct {
	peer      *viewer
	far       int32 // the neighbour id of this viewer at the peer
	open      bool
	arrivalMs int64 // the last message sent arrives then; order is kept
	parcels   []parcel
	buffered  int64          // bytes in them not yet on the wire
	reported  int64          // of which the core knows
	announced map[int][]byte // HAVE and GAIN for records that are not known yet, by piece
}

type timer struct {
	atMs int64
	seq  int
	run  func()
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	return h[i].atMs < h[j].atMs || h[i].atMs == h[j].atMs && h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// epochMs is when every story begins: a real epoch, so that overflows show.
const epochMs = 1_800_000_000_000

func newNetwork(seed uint32) *network {
	return &network{
		seed: seed, nowMs: epochMs, latencyMs: 20, cdnWaitMs: 80, cdnRate: 2 << 20,
		dutyDealt: true, goneAfterMs: 8000,
	}
}

func (w *network) at(atMs int64, run func()) {
	w.seq++
	heap.Push(&w.timers, timer{max(atMs, w.nowMs), w.seq, run})
}

// run moves virtual time on. Everything that reaches a viewer in one millisecond
// is one call of Handle.
func (w *network) run(untilMs int64) {
	for len(w.timers) > 0 && w.timers[0].atMs <= untilMs {
		w.nowMs = max(w.timers[0].atMs, w.nowMs)
		for len(w.timers) > 0 && w.timers[0].atMs <= w.nowMs {
			heap.Pop(&w.timers).(timer).run()
		}
		for _, v := range w.viewers {
			v.flush()
		}
	}
	w.nowMs = untilMs
}

// draw is the next number of a viewer's own stream, in [0, n).
func (v *viewer) draw(n int64) int64 {
	v.draws++
	return int64(mix32(mix32(v.net.seed^uint32(v.id)*0x9e3779b9)+v.draws)) % n
}

func (w *network) add(cfg Config, uplink int64) *viewer {
	v := w.addViewer(uplink)
	v.core = New(cfg)
	v.tick(w.nowMs + int64(v.id*7)%TickMs)
	return v
}

func (w *network) addViewer(uplink int64) *viewer {
	v := &viewer{
		net: w, id: len(w.viewers), uplink: uplink, local: map[int]int32{}, deadline: map[int]int64{},
		held: map[int][]byte{}, duties: map[int32]int64{}, completeMs: map[int]int64{},
	}
	w.viewers = append(w.viewers, v)
	return v
}

func (v *viewer) tick(atMs int64) {
	v.net.at(atMs, func() {
		if v.diedMs == 0 {
			for n, l := range v.links {
				if l.open && l.buffered != l.reported {
					l.reported = l.buffered
					v.emit(Event{Kind: Buffered, Neighbour: int32(n), Value: l.buffered})
				}
			}
			v.emit(Event{Kind: Tick})
			v.tick(v.net.nowMs + TickMs + v.lateMs())
		}
	})
}

// lateMs is how late the next tick is to come: on busy machines sometimes much too late.
func (v *viewer) lateMs() int64 {
	if v.busyMs == 0 || v.draw(8) > 0 {
		return 0
	}
	return v.draw(v.busyMs)
}

func (w *network) connect(a, b *viewer) {
	if a == b || a.diedMs > 0 || b.diedMs > 0 || a.linkTo(b) >= 0 {
		return
	}
	ia, ib := int32(len(a.links)), int32(len(b.links))
	a.links = append(a.links, &link{peer: b, far: ib, open: true, announced: map[int][]byte{}})
	b.links = append(b.links, &link{peer: a, far: ia, open: true, announced: map[int][]byte{}})
	a.emit(Event{Kind: NeighbourAdd, Neighbour: ia})
	b.emit(Event{Kind: NeighbourAdd, Neighbour: ib})
	a.met(ia)
	b.met(ib)
}

func (v *viewer) linkTo(p *viewer) int32 {
	for i, l := range v.links {
		if l.open && l.peer == p {
			return int32(i)
		}
	}
	return -1
}

func (v *viewer) disconnect(n int32) {
	if v.links[n].open {
		v.links[n].open = false
		v.emit(Event{Kind: NeighbourRemove, Neighbour: n})
	}
}

// kill is a death without a word: what was on the wire arrives, nothing more, and
// the others' transports notice late.
func (v *viewer) kill() {
	v.diedMs = v.net.nowMs
	for _, l := range v.links {
		if l.open {
			v.net.at(v.net.nowMs+v.net.goneAfterMs, func() { l.peer.disconnect(l.far) })
		}
	}
	v.net.deal()
}

// leave says good-bye: the others know after one latency.
func (v *viewer) leave() {
	v.diedMs = v.net.nowMs
	for _, l := range v.links {
		if l.open {
			v.net.at(v.net.nowMs+v.net.latencyMs, func() { l.peer.disconnect(l.far) })
		}
	}
	v.net.deal()
}

// publish makes an object known to the origin; viewers learn of it by learn.
func (w *network) publish(p publication) int {
	p.publishedMs = w.nowMs
	w.objects = append(w.objects, p)
	return len(w.objects) - 1
}

// learn is a playlist poll that shows a viewer a new record.
func (v *viewer) learn(g int, deadlineMs int64) {
	if v.diedMs > 0 {
		return
	}
	p := v.net.objects[g]
	id := int32(len(v.global))
	v.global = append(v.global, g)
	v.local[g] = id
	v.held[g] = make([]byte, bitfieldLen(p.leaves))
	v.emit(Event{Kind: ObjectAdd, Object: id, Rendition: p.rendition, Sequence: p.sequence,
		Leaves: p.leaves, Size: p.size, Value: deadlineMs})
	v.due(g, deadlineMs)
	for n, l := range v.links {
		if bits := l.announced[g]; bits != nil && l.open {
			v.emit(Event{Kind: Have, Neighbour: int32(n), Object: id, Bits: bits})
		}
		delete(l.announced, g)
	}
}

func (v *viewer) want(g int, deadlineMs int64) {
	if id, ok := v.local[g]; ok {
		v.emit(Event{Kind: ObjectWant, Object: id, Value: deadlineMs})
		v.due(g, deadlineMs)
	}
}

// due sets the deadline and looks, when it comes, whether it was met.
func (v *viewer) due(g int, deadlineMs int64) {
	v.deadline[g] = deadlineMs
	if deadlineMs == 0 || v.complete(g) {
		return
	}
	v.net.at(deadlineMs, func() {
		if v.diedMs == 0 && v.deadline[g] == deadlineMs && !v.complete(g) {
			v.misses++
		}
	})
}

func (v *viewer) forget(g int) {
	if id, ok := v.local[g]; ok {
		delete(v.local, g)
		delete(v.held, g)
		delete(v.deadline, g)
		v.emit(Event{Kind: ObjectRemove, Object: id})
	}
}

func (v *viewer) complete(g int) bool { return v.count(g) == v.net.objects[g].leaves }

func (v *viewer) count(g int) int32 {
	n := int32(0)
	for leaf := range v.net.objects[g].leaves {
		if bits := v.held[g]; bits != nil && hasBit(bits, leaf) {
			n++
		}
	}
	return n
}

// deal gives the 16 stripes of each rendition to those who play it, exactly once.
func (w *network) deal() {
	if !w.dutyDealt {
		return
	}
	for rendition := range int32(4) {
		var ready []*viewer
		for _, v := range w.viewers {
			if v.core != nil && v.diedMs == 0 && v.level == rendition && !v.core.cfg.NoUpload && v.open() > 0 {
				ready = append(ready, v)
			}
		}
		for _, v := range w.viewers {
			mask, n := int64(0), int64(len(ready))
			for i := range ready {
				for s := int64(i) * Stripes / n; ready[i] == v && s < int64(i+1)*Stripes/n; s++ {
					mask |= 1 << s
				}
			}
			if v.core != nil && v.diedMs == 0 && v.duties[rendition] != mask {
				v.duties[rendition] = mask
				v.emit(Event{Kind: Duty, Rendition: rendition, Value: mask})
			}
		}
	}
}

// pieces is what a HAVE says.
func (v *viewer) pieces(g int) []byte {
	leaves := v.net.objects[g].leaves
	bits := make([]byte, bitfieldLen(Pieces(leaves)))
	for i := range Pieces(leaves) {
		if v.wholePiece(g, i) {
			setBit(bits, i)
		}
	}
	return bits
}

func (v *viewer) wholePiece(g int, i int32) bool {
	leaves := v.net.objects[g].leaves
	each := PieceLeaves(leaves)
	for leaf := i * each; leaf < min((i+1)*each, leaves); leaf++ {
		if !hasBit(v.held[g], leaf) {
			return false
		}
	}
	return true
}

func (v *viewer) open() int {
	n := 0
	for _, l := range v.links {
		if l.open {
			n++
		}
	}
	return n
}

func (v *viewer) emit(e Event) {
	if v.core != nil {
		v.inbox = append(v.inbox, e)
	}
}
