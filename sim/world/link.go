package world

import (
	"math"

	"slipstream/peer/sched"
	"slipstream/sim/network"
	"slipstream/tracker/announce"
	"slipstream/tracker/swarm"
)

// end is one end of a connection, as its viewer sees it. What messages need lies in one line
// of the cache, what leaves need besides in the next.
type end struct {
	peer    int32 // the viewer at the other end
	peerEnd int32 // the name that this viewer has there
	open    bool
	delayUs int64
	cutUs   int64 // what the other end sends later than this never comes: it is gone
	out     outbox

	buffer buffer

	path  network.Path
	lists []int32 // objects whose leaf list the other end has got from us
	asked []int32 // objects whose leaf list it wants and we did not have yet
	early []early // announcements of objects that we do not know yet
	// drippedUs is when the last leaf of an attacker arrives that drips.
	drippedUs int64

	_ [4]int64 // four lines in all
}

// never is a time that does not come.
const never = math.MaxInt64

// early is an announcement that came before the record of its object.
type early struct {
	object int32
	pieces []uint32
	coming []uint32 // on their way there
}

// maxEarly bounds what is remembered for one neighbour (wire.MaxAnnounced in the
// real shell, which has more than one channel's window in mind).
const maxEarly = 16

// connect is what follows an introduction: a makes the offer. The offer and the
// answer go through the tracker, then both ends need some round trips of their own.
func (w *world) connect(a, b *viewer) {
	if a.connectedTo(b) {
		return
	}
	a.member.meeting = append(a.member.meeting, b)
	delayUs := w.delayUs(a, b)
	signalling := 4 * w.cfg.Tracker.OneWayMs
	if w.unlucky(a.number, b.number) || !connectable(a.nat, b.nat) {
		w.shared.At(w.nowMs+unreachableMs, func() { w.unreachable(a, b) })
		return
	}
	roundTrips := 2 * delayUs * w.cfg.Network.ConnectRoundTrips
	w.shared.At(w.nowMs+signalling+network.MsFromUs(roundTrips), func() { w.open(a, b, delayUs) })
}

// unlucky tells whether these two never connect, whatever their NATs.
func (w *world) unlucky(a, b int64) bool {
	return w.draw.Unit(min(a, b), drawConnect, max(a, b)) < w.cfg.Network.ConnectFailures
}

// unreachableMs is when a client gives a connection up that does not come about.
const unreachableMs = 15_000

func (w *world) unreachable(a, b *viewer) {
	if !a.member.met(b) {
		return
	}
	a.reportDrop(b, announce.Unreachable)
	b.reportDrop(a, announce.Unreachable)
}

func (v *viewer) connectedTo(other *viewer) bool {
	for i := range v.ends {
		if v.ends[i].peer == other.index && v.ends[i].open {
			return true
		}
	}
	return false
}

func (w *world) open(a, b *viewer, delayUs int64) {
	if !a.member.met(b) || !a.present() || !b.present() || a.connectedTo(b) {
		return
	}
	endA, endB := int32(len(a.ends)), int32(len(b.ends))
	a.ends = append(a.ends, end{peer: b.index, peerEnd: endB, open: true, delayUs: delayUs, cutUs: never})
	b.ends = append(b.ends, end{peer: a.index, peerEnd: endA, open: true, delayUs: delayUs, cutUs: never})
	w.connected(delayUs)
	w.audit.connections++
	for _, side := range []struct {
		v *viewer
		n int32
	}{{a, endA}, {b, endB}} {
		side.v.occupyUplink(network.HelloBytes)
		if other := w.viewers[side.v.ends[side.n].peer]; other.member.id != 0 {
			side.v.member.rtts = append(side.v.member.rtts, swarm.RTT{Viewer: other.member.id, Ms: 2 * delayUs / 1000})
		}
		side.v.tell(sched.Event{Kind: sched.NeighbourAdd, Neighbour: side.n})
		side.v.neighboursChanged(+1)
	}
}

// closeEnd ends a connection because its viewer went. The other end hears of it
// after the way there, or, if nobody said goodbye, after a while.
func (v *viewer) closeEnd(n int32, crash bool, noticeMs int64) {
	e := &v.ends[n]
	if !e.open {
		return
	}
	e.open = false
	other, otherEnd := v.w.viewers[e.peer], e.peerEnd
	if v.gone && !other.gone {
		other.ends[otherEnd].cutUs = v.w.nowMs*1000 + e.delayUs
	}
	delay := network.MsFromUs(e.delayUs)
	if crash {
		delay += noticeMs
	}
	other.after(delay, func() { other.endClosed(otherEnd, crash) })
}

// endClosed is what the other end hears.
func (v *viewer) endClosed(n int32, lost bool) {
	e := &v.ends[n]
	if v.gone || !e.open {
		return
	}
	e.open = false
	v.tell(sched.Event{Kind: sched.NeighbourRemove, Neighbour: n})
	if lost {
		v.reportDrop(v.w.viewers[e.peer], announce.Lost)
	}
	v.neighboursChanged(-1)
}

// part closes a connection because the tracker wants both ends to have room for
// others. Both are told at the same time.
func (v *viewer) part(other *viewer) {
	v.member.met(other)
	other.member.met(v)
	for i := range v.ends {
		if e := &v.ends[i]; e.peer == other.index && e.open {
			otherEnd := e.peerEnd
			v.endClosed(int32(i), false)
			other.endClosed(otherEnd, false)
			return
		}
	}
}

// dropEnd closes a connection because the core wants to be rid of the neighbour.
func (v *viewer) dropEnd(a *sched.Action) {
	e := &v.ends[a.Neighbour]
	if !e.open {
		return
	}
	v.stats.Drops[a.Reason]++
	if other := v.w.viewers[e.peer]; a.Reason != sched.Stalled && v.hostile == honest && other.hostile == honest {
		v.w.audit.fail("viewer %d drops its honest neighbour %d for reason %d", v.number, e.peer, a.Reason)
	}
	v.closeEnd(a.Neighbour, false, 0)
	v.reportDrop(v.w.viewers[e.peer], dropReasons[a.Reason])
	v.neighboursChanged(-1)
}

var dropReasons = map[int32]announce.Reason{
	sched.BadLeaf: announce.BadLeaf, sched.Stalled: announce.Stalled, sched.Liar: announce.Liar,
	sched.Intruder: announce.Intruder, sched.TooManyAsked: announce.Greedy,
}
