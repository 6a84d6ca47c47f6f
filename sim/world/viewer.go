package world

import (
	"slipstream/peer/sched"
	"slipstream/sim/draw"
	"slipstream/sim/network"
)

// viewer is the shell around one scheduler: what package session is in a real
// viewer, with a player on top. A seeder is one without a player.
type viewer struct {
	// What each event touches lies together.
	w        *world
	core     *sched.Core
	ends     []end // neighbours by the number that the core knows them by
	index    int32 // in w.viewers
	here     bool  // has joined
	gone     bool  // has left; nothing happens to it any more
	seeder   bool
	hostile  HostileKind
	up, down network.Link
	objects  objects
	sending  sendQueue
	player   player

	number   int64 // names it in draws and results
	noUpload bool
	crashed  bool
	class    int
	place    int
	nat      NATKind
	uplink   int64   // bytes/s, also where it is not used
	far      float64 // how far it is from all others, 1 on average
	joinMs   int64

	fetches  []fetch
	playlist playlist
	member   member

	lonelyMs int64 // before then nothing that waits for company has waited for long
	messages int64 // sent over lossy paths, for the draws
	requests int64 // sent to the CDN, likewise

	stats Stats
}

func (w *world) newViewer(number, joinMs int64, seeder bool) *viewer {
	if len(w.slab) == 0 {
		w.slab = make([]viewer, 64)
	}
	v := &w.slab[0]
	w.slab = w.slab[1:]
	*v = viewer{w: w, index: int32(len(w.viewers)), number: number, seeder: seeder, joinMs: joinMs}
	w.viewers = append(w.viewers, v)
	w.inboxes.open()
	v.far = w.draw.LogNormal(w.cfg.Network.OneWaySpread, number, drawDelay, 0)
	if seeder {
		v.class = -1
		v.uplink = w.cfg.Seeders.UplinkBytesPerSec
		v.up.BytesPerSec = v.uplink
		return v
	}
	v.class = w.classOf(number)
	class := &w.cfg.Classes[v.class]
	v.uplink = int64(float64(class.UplinkBytesPerSec) * w.draw.LogNormal(class.UplinkSpread, number, drawUplink, 0))
	v.noUpload = class.NoUpload || w.among(w.cfg.NoUpload, number, drawNoUpload)
	v.up.BytesPerSec = v.uplink
	if v.uplink == 0 {
		v.up.BytesPerSec = controlBytesPerSec
	}
	v.down.BytesPerSec = int64(float64(class.DownlinkBytesPerSec) * w.draw.LogNormal(class.DownlinkSpread, number, drawDownlink, 0))
	if v.noUpload {
		v.uplink = 0
	}
	v.place = w.placeOf(number)
	v.nat = w.natOf(number)
	v.hostile = w.hostileOf(number)
	return v
}

// controlBytesPerSec is what a line carries of which the scenario says that it has no
// uplink: requests.
const controlBytesPerSec = 32_000

// pick is the class that a viewer's draw falls into, where share tells each one's
// share. Among the first to come the shares are nearly exact, see draw.Spread.
func (w *world) pick(number int64, purpose draw.Purpose, classes int, share func(int) float64) int {
	at, sum := 0.0, 0.0
	if number < generation {
		at = w.draw.Spread(number, purpose)
	} else {
		at = w.draw.Unit(number, purpose, 0)
	}
	for i := range classes {
		if sum += share(i); at < sum {
			return i
		}
	}
	return classes - 1
}

// among tells whether a viewer is one of a share of all.
func (w *world) among(share float64, number int64, purpose draw.Purpose) bool {
	return share > 0 && w.pick(number, purpose, 2, func(i int) float64 { return [2]float64{share, 1}[i] }) == 0
}

func (w *world) classOf(number int64) int {
	return w.pick(number, drawClass, len(w.cfg.Classes), func(i int) float64 { return w.cfg.Classes[i].Share })
}

// join opens the page: the playlists are fetched, and beside them the token for
// the tracker.
func (v *viewer) join() {
	v.here = true
	cfg := v.w.cfg.Scheduler
	cfg.Seed = uint32(v.w.draw.Bits(v.number, drawSeed, 0))
	cfg.NoUpload = v.noUpload
	v.core = sched.NewIn(&v.w.scratch, cfg)
	v.tell(sched.Event{Kind: sched.Tick}) // it learns when it began
	v.w.post(v.index, v.w.nowMs+1+v.w.draw.Below(sched.TickMs, v.number, drawTick, 0), event{saying: saying{kind: kindTick}})
	roundTrip := 2 * v.w.cfg.CDN.OneWayMs
	v.stats.PlaylistRequests++         // the multivariant playlist
	v.after(roundTrip, v.loadPlaylist) // names the media playlist
	if v.w.cfg.PeerToPeer {
		v.stats.OtherRequests++ // the token
		v.after(2*roundTrip, v.connectTracker)
	}
}

// leave closes the page, or the machine dies.
func (v *viewer) leave(crash bool) {
	if !v.present() {
		return
	}
	v.settle()
	v.gone, v.crashed = true, crash
	notice := v.w.cfg.Network.CrashNoticeMs
	for i := range v.ends {
		v.closeEnd(int32(i), crash, notice)
	}
	v.leaveTracker(crash, notice)
	v.core, v.objects = nil, objects{}
	v.sending, v.fetches = sendQueue{}, nil
}

func (v *viewer) present() bool { return v.here && !v.gone }

// tick tells the core the time, and how full the send buffers are.
func (v *viewer) tick() {
	v.w.post(v.index, v.w.nowMs+sched.TickMs, event{saying: saying{kind: kindTick}})
	v.tellBuffers()
	if v.core.PassesOn() != v.member.passesOn || v.useful() != v.member.ready {
		v.report()
	}
	v.plan()
	v.flood()
	v.sendLonely()
	v.tell(sched.Event{Kind: sched.Tick})
}

// run gives the core what it is to hear of this millisecond, and does what it wants done.
func (v *viewer) run(events []sched.Event) {
	if v.gone {
		return
	}
	actions := v.core.Handle(v.w.nowMs, events)
	for i := 0; i < len(actions); {
		a := &actions[i]
		n := 1 // how many actions one message takes along
		switch a.Kind {
		case sched.SendHave:
			v.sendHave(a)
		case sched.SendGain, sched.SendComing, sched.SendRequest, sched.SendCancel, sched.SendRefuse:
			n = batchOf(actions[i:])
			v.sayBatch(actions[i : i+n])
		case sched.SendLost:
			v.mention(a.Neighbour, saying{kind: kindLost, object: a.Object}, network.LostBytes)
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
