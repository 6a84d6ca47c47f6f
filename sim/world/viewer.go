package world

import (
	"slipstream/peer/sched"
	"slipstream/sim/network"
)

// viewer is the shell around one scheduler: what package session is in a real
// viewer, with a player on top. A seeder is one without a player.
type viewer struct {
	w        *world
	number   int32
	seeder   bool
	noUpload bool
	class    int

	core  *sched.Core
	inbox []sched.Event

	up, down network.Link
	uplink   int64 // bytes/s, also where it is not used
	accessUs int64 // its half of the way to another viewer

	here    bool // has joined
	gone    bool // has left; nothing happens to it any more
	crashed bool
	joinMs  int64
	goneUs  int64

	ends    []end // neighbours by the number that the core knows them by
	objects objects
	fetches []fetch
	sending sendQueue

	playlist playlist
	player   player
	member   member

	stats Stats
}

func (w *world) newViewer(i int32, joinMs int64, seeder bool) *viewer {
	v := &w.slab[i]
	*v = viewer{w: w, number: i, seeder: seeder, joinMs: joinMs}
	who := int64(i)
	if seeder {
		v.class = -1
		v.uplink = w.cfg.Seeders.UplinkBytesPerSec
		v.up.BytesPerSec = v.uplink
	} else {
		v.class = w.classOf(who)
		class := &w.cfg.Classes[v.class]
		v.uplink = int64(float64(class.UplinkBytesPerSec) * w.draw.LogNormal(class.UplinkSpread, who, drawUplink, 0))
		v.noUpload = class.NoUpload
		v.up.BytesPerSec = max(v.uplink, controlBytesPerSec)
		v.down.BytesPerSec = class.DownlinkBytesPerSec
	}
	if v.noUpload {
		v.uplink = 0
	}
	v.accessUs = int64(float64(w.cfg.Network.OneWayMs*500) * w.draw.LogNormal(w.cfg.Network.OneWaySpread, who, drawDelay, 0))
	w.viewers = append(w.viewers, v)
	return v
}

// controlBytesPerSec is what even a line without uplink carries: requests.
const controlBytesPerSec = 32_000

func (w *world) classOf(who int64) int {
	at, sum := w.draw.Spread(who, drawClass), 0.0
	for i, c := range w.cfg.Classes {
		if sum += c.Share; at < sum {
			return i
		}
	}
	return len(w.cfg.Classes) - 1
}

// join opens the page: the playlists are fetched, and beside them the token for
// the tracker.
func (v *viewer) join() {
	v.here = true
	cfg := v.w.cfg.Scheduler
	cfg.Seed = uint32(v.w.draw.Bits(int64(v.number), drawSeed, 0))
	cfg.NoUpload = v.noUpload
	v.core = sched.New(cfg)
	v.inbox = append(v.inbox, sched.Event{Kind: sched.Tick}) // tells the core when it began
	v.wake()
	v.w.wheel.At(v.w.nowMs+1+v.w.draw.Below(sched.TickMs, int64(v.number), drawTick, 0),
		event{kind: eventTick, viewer: v.number})
	roundTrip := 2 * v.w.cfg.CDN.OneWayMs
	v.stats.HTTPRequests++               // the multivariant playlist
	v.w.after(roundTrip, v.loadPlaylist) // names the media playlist
	if v.w.cfg.PeerToPeer {
		v.stats.HTTPRequests++ // the token
		v.w.after(2*roundTrip, v.connectTracker)
	}
}

// leave closes the page, or the machine dies.
func (v *viewer) leave(crash bool) {
	if !v.present() {
		return
	}
	v.settle()
	v.gone, v.crashed, v.goneUs = true, crash, v.w.nowMs*1000
	notice := v.w.cfg.Network.CrashNoticeMs
	for i := range v.ends {
		v.closeEnd(int32(i), crash, notice)
	}
	v.leaveTracker(crash, notice)
	v.core, v.inbox, v.objects = nil, nil, objects{}
}

func (v *viewer) present() bool { return v.here && !v.gone }

// tell puts an event into the inbox; the core gets it at the end of the millisecond.
func (v *viewer) tell(e sched.Event) {
	v.inbox = append(v.inbox, e)
	v.wake()
}

func (v *viewer) wake() { v.w.woken[v.number>>6] |= 1 << (v.number & 63) }

// tick tells the core the time, and how full the send buffers are.
func (v *viewer) tick() {
	v.w.wheel.At(v.w.nowMs+sched.TickMs, event{kind: eventTick, viewer: v.number})
	v.tellBuffers()
	v.plan()
	v.tell(sched.Event{Kind: sched.Tick})
}

// run gives the inbox to the core and does what the core wants done.
func (v *viewer) run() {
	if v.gone {
		return
	}
	actions := v.core.Handle(v.w.nowMs, v.inbox)
	v.inbox = v.inbox[:0]
	for i := 0; i < len(actions); {
		a := &actions[i]
		n := 1 // how many actions one message takes along
		switch a.Kind {
		case sched.SendHave:
			v.sendHave(a)
		case sched.SendGain, sched.SendComing, sched.SendRequest, sched.SendCancel, sched.SendRefuse:
			n = batchOf(actions[i:])
			v.sendBatch(actions[i : i+n])
		case sched.SendLost:
			v.send(event{message: messageLost, end: a.Neighbour, object: a.Object}, network.LostBytes)
		case sched.SendLeaf:
			v.sendLeaf(a)
		case sched.Fetch:
			v.startFetch(a)
		case sched.Drop:
			v.dropEnd(a)
		}
		i += n
	}
}

// batchOf counts the actions at the front that fit into one message.
func batchOf(actions []sched.Action) int {
	n, a := 1, &actions[0]
	for n < len(actions) && n < network.MaxBatch {
		b := &actions[n]
		if b.Kind != a.Kind || b.Neighbour != a.Neighbour || b.Object != a.Object || b.Reason != a.Reason {
			break
		}
		n++
	}
	return n
}
