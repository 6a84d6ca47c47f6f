package world

import (
	"hash/fnv"
	"slices"
	"strings"

	"slipstream/peer/sched"
	"slipstream/tracker/announce"
	"slipstream/tracker/swarm"
)

// tracker is the shipping core behind a WebSocket's delay. One that fails
// comes back empty; life counts them.
type tracker struct {
	core *swarm.Swarm
	life int
	down bool
	byID map[uint64]*viewer
}

const (
	room       = "live"
	rendition  = "360p"
	reportMs   = 5000
	tickMs     = 1000
	retryMinMs = 1000   // a client that lost its tracker comes back at a random
	retryMaxMs = 10_000 // moment in between, as after "shutting-down"
)

// member is what a viewer knows of its place in the room.
type member struct {
	id         uint64 // 0: not joined
	attempts   int64
	neighbours int
	ready      bool // as last told
	passesOn   bool // likewise
	dropped    []swarm.Drop
	rtts       []swarm.RTT // measured and not told yet
	duties     uint16
	capped     bool // what it uploads
	turn       int
	meeting    []*viewer // to whom a connection is being made
}

// met ends the making of a connection; false if it was given up before.
func (m *member) met(other *viewer) bool {
	i := slices.Index(m.meeting, other)
	if i < 0 {
		return false
	}
	m.meeting = slices.Delete(m.meeting, i, i+1)
	return true
}

func (w *world) startTracker() {
	w.newTracker()
	w.office.At(startMs, w.tickTracker)
	for _, o := range w.cfg.Tracker.Outages {
		w.shared.At(startMs+o.FromMs, w.trackerFails)
		w.shared.At(startMs+o.ToMs, func() {
			w.tracker.down = false
			w.newTracker()
		})
	}
}

func (w *world) newTracker() {
	w.tracker.life++
	w.tracker.core = swarm.New(swarm.Config{Seed: uint32(w.draw.Bits(-1-int64(w.cluster), drawID, int64(w.tracker.life)))})
	w.tracker.byID = map[uint64]*viewer{}
}

func (w *world) trackerFails() {
	w.tracker.down = true
	for _, v := range w.viewers {
		if v.member.id != 0 {
			v.member.id = 0
			v.retryTracker()
		}
	}
}

func (w *world) tickTracker() {
	w.office.At(w.nowMs+tickMs, w.tickTracker)
	w.handle(swarm.Tick{})
}

// toTracker calls f when the tracker gets what is sent to it in so many milliseconds.
func (w *world) toTracker(ms int64, f func()) {
	w.office.At(w.nowMs+ms+max(w.cfg.Tracker.OneWayMs, 1), f)
}

// handle gives the tracker's core an event and sends out what it wants said.
func (w *world) handle(ev swarm.Event) {
	if w.tracker.down {
		return
	}
	t := &w.tracker
	delay := max(w.cfg.Tracker.OneWayMs, 1)
	for _, a := range t.core.Handle(w.nowMs, ev) {
		switch a := a.(type) {
		case swarm.Introduce:
			if x, y := t.byID[a.A], t.byID[a.B]; x != nil && y != nil {
				w.shared.At(w.nowMs+delay, func() { w.connect(x, y) })
			}
		case swarm.Duty:
			if v := t.byID[a.Viewer]; v != nil && w.cfg.Tracker.Duties {
				v.after(delay, func() { v.dutyTold(a.Duties) })
			}
		case swarm.Part:
			if x, y := t.byID[a.A], t.byID[a.B]; x != nil && y != nil {
				w.shared.At(w.nowMs+delay, func() { x.part(y) })
			}
		case swarm.Cap:
			if v := t.byID[a.Viewer]; v != nil {
				v.after(delay, func() { v.capTold(a.UploadBps) })
			}
		case swarm.Gone:
			// A connection that works may go on; one that does not ends by itself.
		case swarm.Expel:
			if v := t.byID[a.Viewer]; v != nil {
				v.after(delay, v.expelled)
			}
		}
	}
}

// connectTracker joins, or tries to.
func (v *viewer) connectTracker() {
	a, w := &v.member, v.w
	if v.gone || a.id != 0 {
		return
	}
	if w.tracker.down {
		v.retryTracker()
		return
	}
	a.attempts++
	id := w.draw.Bits(v.number, drawID, a.attempts) | 1
	life := w.tracker.life
	// TCP and TLS take two round trips before the join is sent.
	v.after(4*w.cfg.Tracker.OneWayMs, func() {
		if v.gone || w.tracker.down || w.tracker.life != life {
			v.retryTracker()
			return
		}
		a.id, a.ready = id, false
		if a.duties != 0 { // those of a tracker that is no more
			v.after(2*w.cfg.Tracker.OneWayMs, func() { v.dutyTold(nil) })
		}
		if a.capped { // likewise
			v.after(2*w.cfg.Tracker.OneWayMs, func() { v.capTold(0) })
		}
		join := v.joinEvent(id)
		w.toTracker(0, func() {
			if w.tracker.life == life {
				w.tracker.byID[id] = v
				w.handle(join)
			}
		})
		v.report()
	})
}

func (v *viewer) joinEvent(id uint64) swarm.Join {
	if v.seeder {
		return swarm.Join{Room: room, Viewer: id, Role: announce.Seeder}
	}
	join := swarm.Join{Room: room, Viewer: id, Role: announce.Viewer, Renditions: []string{rendition}, NoUpload: v.noUpload}
	if len(v.w.cfg.Places) > 0 && !v.w.cfg.Tracker.Blind {
		name := v.w.cfg.Places[v.place].Name
		region, _, _ := strings.Cut(name, "/")
		join.ISPKey, join.RegionKey = key(name), key(region)
	}
	if v.nat == Symmetric {
		join.NAT = announce.AddressDependent // mapping, which is what the tracker asks for
	}
	return join
}

// key is a name as a number, never 0.
func key(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum64() | 1
}

// expelled is the tracker's closing the connection for good.
func (v *viewer) expelled() {
	if !v.gone {
		v.leaveTracker(false, 0)
		v.member.id = 0
	}
}

func (v *viewer) retryTracker() {
	if v.gone {
		return
	}
	v.member.attempts++
	wait := retryMinMs + v.w.draw.Below(retryMaxMs-retryMinMs, v.number, drawRejoin, v.member.attempts)
	v.after(wait, v.connectTracker)
}

// report tells the tracker how things are, now and every reportMs.
func (v *viewer) report() {
	a, w := &v.member, v.w
	if v.gone || a.id == 0 {
		return
	}
	a.turn++
	turn, id := a.turn, a.id
	v.after(reportMs, func() {
		if turn == a.turn {
			v.report()
		}
	})
	a.ready, a.passesOn = v.useful(), v.core.PassesOn()
	r := swarm.Report{
		Viewer: id, Ready: a.ready, Neighbours: a.neighbours, NoUpload: !a.passesOn,
		UplinkBps: 8 * v.core.UplinkBytesPerSec(), Dropped: a.dropped,
		MediaBytes: v.stats.HTTPBytes + v.stats.P2PBytes, Rescues: v.stats.RescueBytes / leafSize,
		StallMs: v.stats.StallMs, Uploaded: v.stats.UploadedBytes, RTTs: a.rtts,
	}
	if !v.seeder {
		r.Renditions = []string{rendition}
	}
	a.dropped, a.rtts = nil, nil
	w.toTracker(0, func() { w.handle(r) })
}

// useful tells whether a duty would be of use to somebody.
func (v *viewer) useful() bool { return v.member.neighbours > 0 && v.core.Useful() }

// neighboursChanged reports at once if that changes whether the viewer is ready.
func (v *viewer) neighboursChanged(by int) {
	v.member.neighbours += by
	if v.useful() != v.member.ready {
		v.report()
	}
}

// reportDrop tells the tracker that a neighbour was given up.
func (v *viewer) reportDrop(other *viewer, reason announce.Reason) {
	if v.gone || v.member.id == 0 || other.member.id == 0 {
		return
	}
	v.member.dropped = append(v.member.dropped, swarm.Drop{Viewer: other.member.id, Reason: reason})
	v.report()
}

func (v *viewer) leaveTracker(crash bool, noticeMs int64) {
	id := v.member.id
	if id == 0 {
		return
	}
	if !crash {
		noticeMs = 0
	}
	life := v.w.tracker.life
	v.w.toTracker(noticeMs, func() {
		if v.w.tracker.life == life {
			v.w.handle(swarm.Leave{Viewer: id})
		}
	})
}

func (v *viewer) capTold(bps int64) {
	if v.gone || v.member.id == 0 {
		return
	}
	v.member.capped = bps > 0
	v.tell(sched.Event{Kind: sched.Cap, Value: (bps + 7) / 8})
}

func (v *viewer) dutyTold(shares []announce.Share) {
	if v.gone || v.member.id == 0 {
		return
	}
	v.member.duties = 0
	for _, s := range shares {
		if s.Rendition == rendition && v.w.stream.recorded == 0 { // a recording is old: nobody has a duty
			v.member.duties = s.Stripes
		}
	}
	v.tell(sched.Event{Kind: sched.Duty, Value: int64(v.member.duties)})
}
