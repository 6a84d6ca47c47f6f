package sched

// This file is the shell of a viewer in the test network: it runs actions and
// turns what arrives into events.

// flush hands the inbox to the core and runs what it says.
func (v *viewer) flush() {
	if v.core == nil || v.diedMs > 0 || len(v.inbox) == 0 {
		v.inbox = v.inbox[:0]
		return
	}
	events := v.inbox
	v.inbox = nil
	actions := v.core.Handle(v.net.nowMs, events)
	if v.observe != nil {
		v.observe(v.net.nowMs, events, actions)
	}
	for i := range actions {
		v.act(actions[i])
	}
}

func (v *viewer) act(a Action) {
	switch a.Kind {
	case Fetch:
		v.fetch(a)
		return
	case Drop:
		v.drops++
		l := v.links[a.Neighbour]
		l.open = false
		v.net.at(v.net.nowMs+v.net.latencyMs, func() { l.peer.disconnect(l.far) })
		return
	}
	l, g := v.links[a.Neighbour], v.global[a.Object]
	if v.held[g] == nil && a.Kind == SendHave {
		return // removed in the same call
	}
	switch a.Kind {
	case SendHave:
		bits := v.pieces(g)
		v.send(l, func(p *viewer, n int32) { p.heard(n, g, bits) })
	case SendGain:
		v.send(l, func(p *viewer, n int32) { p.heardGain(n, g, a.Piece) })
	case SendComing:
		v.send(l, func(p *viewer, n int32) { p.about(Coming, n, g, a.Piece, 0) })
	case SendLost:
		v.send(l, func(p *viewer, n int32) {
			delete(p.links[n].announced, g)
			p.about(Lost, n, g, 0, 0)
		})
	case SendRequest:
		v.send(l, func(p *viewer, n int32) { p.asked(n, g, a.Piece, a.Mask) })
	case SendCancel:
		v.send(l, func(p *viewer, n int32) { p.about(Cancel, n, g, a.Piece, 0) })
	case SendRefuse:
		v.send(l, func(p *viewer, n int32) { p.about(Refuse, n, g, a.Piece, int64(a.Reason)) })
	case SendLeaf:
		v.sendLeaf(a.Neighbour, g, a.Leaf, true)
	}
}

// send delivers a small message in order: behind the leaves that wait already.
func (v *viewer) send(l *link, deliver func(p *viewer, n int32)) {
	if last := len(l.parcels) - 1; last >= 0 {
		l.parcels[last].behind = append(l.parcels[last].behind, deliver)
		return
	}
	v.post(l, deliver)
}

func (v *viewer) post(l *link, deliver func(p *viewer, n int32)) {
	l.arrivalMs = max(v.net.nowMs+v.net.latencyMs, l.arrivalMs)
	v.net.at(l.arrivalMs, func() {
		if l.peer.diedMs == 0 && l.peer.links[l.far].open {
			deliver(l.peer, l.far)
		}
	})
}

// parcel is a leaf on its way through the uplink.
type parcel struct {
	g    int
	leaf int32
	left int64 // bytes not yet sent
	good bool

	behind []func(p *viewer, n int32) // small messages that follow it
}

// sendLeaf puts a leaf on the uplink.
func (v *viewer) sendLeaf(n int32, g int, leaf int32, good bool) {
	l, p := v.links[n], v.net.objects[g]
	bytes := min(leafSize, p.size-int64(leaf)*leafSize)
	v.sent++
	l.buffered += bytes
	l.parcels = append(l.parcels, parcel{g: g, leaf: leaf, left: bytes, good: good})
	if !v.transmitting {
		v.sentUs = v.net.nowMs * 1000
		v.transmit()
	}
}

// transmit sends one packet of the next link that has any: connections share an
// uplink evenly. A dead peer acknowledges nothing and gets nothing more.
func (v *viewer) transmit() {
	for range v.links {
		v.turn = (v.turn + 1) % len(v.links)
		l, n := v.links[v.turn], int32(v.turn)
		if len(l.parcels) == 0 || !l.open || l.peer.diedMs > 0 {
			continue
		}
		packet := min(l.parcels[0].left, 2048)
		v.sentUs += packet * 1_000_000 / v.uplink
		v.transmitting = true
		v.net.at(v.sentUs/1000, func() {
			v.transmitting = false
			if v.diedMs == 0 {
				v.transmitted(l, n, packet)
				v.transmit()
			}
		})
		return
	}
}

func (v *viewer) transmitted(l *link, n int32, packet int64) {
	l.buffered -= packet
	if l.parcels[0].left -= packet; l.parcels[0].left > 0 {
		return
	}
	p := l.parcels[0]
	l.parcels = l.parcels[1:]
	v.emit(Event{Kind: Buffered, Neighbour: n, Value: l.buffered})
	l.arrivalMs = max(v.net.nowMs+v.net.latencyMs, l.arrivalMs)
	if v.net.bursty && v.draw(8) == 0 { // a lost packet, sent again; what follows waits for it
		l.arrivalMs += v.net.latencyMs * 4
	}
	v.net.at(l.arrivalMs, func() {
		if l.peer.diedMs == 0 && l.peer.links[l.far].open {
			l.peer.received(l.far, p.g, p.leaf, p.good)
		}
	})
	for _, deliver := range p.behind {
		v.post(l, deliver)
	}
}

// about passes a message on as an event, if its object is known.
func (v *viewer) about(kind EventKind, n int32, g int, piece int32, value int64) {
	if id, ok := v.local[g]; ok {
		v.emit(Event{Kind: kind, Neighbour: n, Object: id, Piece: piece, Value: value})
	}
}

func (v *viewer) heard(n int32, g int, bits []byte) {
	if id, ok := v.local[g]; ok {
		v.emit(Event{Kind: Have, Neighbour: n, Object: id, Bits: bits})
	} else {
		v.links[n].announced[g] = append([]byte(nil), bits...)
	}
}

func (v *viewer) heardGain(n int32, g int, piece int32) {
	if bits := v.links[n].announced[g]; bits != nil {
		setBit(bits, piece)
	}
	v.about(Gain, n, g, piece, 0)
}

// asked answers for objects that the core does not know.
func (v *viewer) asked(n int32, g int, piece, mask int32) {
	if v.core == nil {
		v.hostileAsked(n, g, piece, mask)
		return
	}
	if id, ok := v.local[g]; ok {
		v.emit(Event{Kind: Request, Neighbour: n, Object: id, Piece: piece, Mask: mask})
		return
	}
	v.send(v.links[n], func(p *viewer, far int32) { p.about(Refuse, far, g, piece, int64(NotHeld)) })
}

// received verifies a leaf, but only if the core expects it.
func (v *viewer) received(n int32, g int, leaf int32, good bool) {
	if v.core == nil {
		return
	}
	id, known := v.local[g]
	switch {
	case !known:
		v.wasted++
		v.emit(Event{Kind: Unsolicited, Neighbour: n, Object: -1})
	case !v.expects(n, id, leaf) || hasBit(v.held[g], leaf):
		v.wasted++
		v.emit(Event{Kind: Unsolicited, Neighbour: n, Object: id, Leaf: leaf})
	case !good:
		v.emit(Event{Kind: Rejected, Neighbour: n, Object: id, Leaf: leaf})
	default:
		v.fromPeers++
		v.store(n, g, leaf)
	}
}

func (v *viewer) expects(n, object, leaf int32) bool {
	query := []int64{int64(n), int64(object), int64(leaf), 0}
	if v.core.Expects(n, object, leaf) {
		query[3] = 1
	}
	v.queries = append(v.queries, query)
	return query[3] == 1
}

func (v *viewer) store(n int32, g int, leaf int32) {
	setBit(v.held[g], leaf)
	v.emit(Event{Kind: Verified, Neighbour: n, Object: v.local[g], Leaf: leaf})
	if v.complete(g) {
		v.completeMs[g] = v.net.nowMs
	}
}

// fetch is an HTTP range request: a wait, then leaf after leaf.
func (v *viewer) fetch(a Action) {
	g, w := v.global[a.Object], v.net
	p := w.objects[g]
	v.fetches++
	startMs, bytes := w.nowMs, int64(0)
	if w.cdnDown != nil && w.cdnDown(startMs) {
		w.at(startMs+w.cdnWaitMs, func() {
			status := []int64{0, 404, 503}[startMs%3] // no answer, none of this object, none at all
			v.emit(Event{Kind: FetchFailed, Object: a.Object, Leaf: a.Leaf, Last: a.Last, Value: status})
		})
		return
	}
	for leaf := a.Leaf; leaf <= a.Last; leaf++ {
		bytes += min(leafSize, p.size-int64(leaf)*leafSize)
		w.at(startMs+w.cdnWaitMs+bytes*1000/w.cdnRate, func() {
			if v.held[g] == nil || hasBit(v.held[g], leaf) {
				v.wasted++
				return
			}
			v.fromCDN++
			v.store(CDN, g, leaf)
		})
	}
	w.at(startMs+w.cdnWaitMs+bytes*1000/w.cdnRate, func() {
		v.emit(Event{Kind: FetchDone, Object: a.Object, Leaf: a.Leaf, Last: a.Last,
			Value: bytes, ElapsedMs: w.nowMs - startMs})
	})
}
