package world

import (
	"slipstream/peer/sched"
	"slipstream/sim/network"
)

// HostileKind is what an attacker does. Apart from that it behaves: it holds a
// scheduler, plays, announces and asks, or it would soon be alone.
type HostileKind uint8

const (
	honest   HostileKind = iota
	Pollute              // sends leaves that the owner did not sign
	Truncate             // sends half a leaf
	Drip                 // sends one leaf to each in so long that nobody gives up quite yet
	Lie                  // announces everything, sends nothing, answers nothing
	Replay               // sends leaves of an older segment
	Flood                // asks each for everything, again and again
	Freeride             // announces, and is always too busy
	Mixed                // each attacker draws one of the above
)

// HostileKinds are their names in scenarios.
var HostileKinds = map[string]HostileKind{
	"pollute": Pollute, "truncate": Truncate, "drip": Drip, "lie": Lie, "replay": Replay,
	"flood": Flood, "freeride": Freeride, "mixed": Mixed,
}

const (
	dripUs        = 900_000 // a leaf; the scheduler's patience is 1 s
	floodMessages = 4       // to each neighbour at every tick, each full
)

func (w *world) hostileOf(number int64) HostileKind {
	h := &w.cfg.Hostile
	if !w.among(h.Share, number, drawHostile) {
		return honest
	}
	if h.Kind == Mixed {
		return Pollute + HostileKind(w.draw.Below(int64(Mixed-Pollute), number, drawHostileKind, 0))
	}
	return h.Kind
}

// counts tells whether what a viewer gets is of interest: it plays, and is honest.
func (v *viewer) counts() bool { return !v.seeder && v.hostile == honest }

// spoil changes a leaf that an attacker sends.
func (v *viewer) spoil(s *saying, bytes int64) (wireBytes int64) {
	switch v.hostile {
	case Pollute:
		s.flag = true
	case Truncate:
		s.flag = true
		return bytes / 2
	case Replay:
		if v.objects.at(s.object-1) != nil {
			s.object--
		}
	}
	return bytes
}

// drip makes a leaf arrive as late as the one who asked just endures.
func (v *viewer) drip(to *end, arrivesUs int64) int64 {
	to.drippedUs = max(arrivesUs, to.drippedUs+dripUs)
	return to.drippedUs
}

// deaf tells whether an attacker leaves a request unanswered, or refuses it.
func (v *viewer) deaf(n int32, s *saying) bool {
	switch v.hostile {
	case Lie:
		return true
	case Freeride:
		v.refuse(n, s, sched.Busy)
		return true
	}
	return false
}

// lies announces all of a segment that was just published.
func (v *viewer) lies(object int32) {
	if v.hostile == Lie {
		for n := range v.ends {
			v.sendHave(&sched.Action{Neighbour: int32(n), Object: object})
		}
	}
}

// flood is what the attacker of that kind does at every tick.
func (v *viewer) flood() {
	object := v.objects.next() - 1
	if v.hostile != Flood || v.objects.at(object) == nil {
		return
	}
	for n := range v.ends {
		for range floodMessages {
			if !v.ends[n].open {
				break
			}
			bytes := indicesBytes(kindRequest, network.MaxBatch)
			for i := range int32(network.MaxBatch) {
				piece := i % sched.Pieces(v.w.stream.leaves)
				v.say(int32(n), saying{kind: kindRequest, object: object, first: uint16(piece), what: 15}, bytes)
				bytes = 0
			}
		}
	}
}
