package attack

import (
	"slices"

	"slipstream/peer/wire"
)

// Kind is a way to be hostile.
type Kind string

// The kinds of attackers.
const (
	Pollute  Kind = "pollute"  // sends wrong bytes among right ones
	Truncate Kind = "truncate" // sends leaves that are too short
	Drip     Kind = "drip"     // sends a leaf just before it would have timed out
	Lie      Kind = "lie"      // announces what it does not have, is busy when asked, and accuses its victims
	Promise  Kind = "promise"  // says that everything is coming to it, so that nobody else fetches it
	Forge    Kind = "forge"    // tells of segments that do not exist, and forges their records
	Replay   Kind = "replay"   // answers with yesterday's leaves and records
	Flood    Kind = "flood"    // sends as many messages and requests as it is let
	Freeride Kind = "freeride" // takes from everybody and gives nothing
	Mixed    Kind = "mixed"    // is something else to each victim
)

// Kinds lists all kinds.
var Kinds = []Kind{Pollute, Truncate, Drip, Lie, Promise, Forge, Replay, Flood, Freeride, Mixed}

// manner is how an attacker treats one victim. What is nil is left out.
type manner struct {
	opened func()                               // the victim can be talked to
	found  func(o *object)                      // a segment is known: announce it, or not
	asked  func(o *object, leaf int)            // the victim requests one leaf
	heard  func(m wire.Message)                 // the victim says anything else
	tick   func(nowMs int64)                    // tickMs have passed
	list   func(o *object) []byte               // the leaf list to answer with; nil: the true one
	record func(key wire.Key, o *object) []byte // what to answer an ASK with (o is nil for a key that we made up); nil: the true one
}

// manners makes the treatment of one victim.
var manners = map[Kind]func(v *victim) manner{
	Pollute: pollute, Truncate: truncate, Drip: drip, Lie: lie, Promise: promise, Forge: forge, Replay: replay,
	Flood: flood, Freeride: freeride,
}

// pollute sends every third leaf with one wrong bit.
func pollute(v *victim) manner {
	sent := 0
	return manner{found: v.announce, asked: func(o *object, leaf int) {
		data := o.leaf(leaf)
		if sent++; sent%3 == 0 {
			data = slices.Clone(data)
			data[v.a.random.IntN(len(data))] ^= 1 << v.a.random.IntN(8)
			v.a.count.BadLeaves.Add(1)
		}
		v.send(wire.Leaf{Key: o.key, Leaf: uint16(leaf), Data: data})
	}}
}

// truncate leaves out the last byte or the second half.
func truncate(v *victim) manner {
	return manner{found: v.announce, asked: func(o *object, leaf int) {
		data := o.leaf(leaf)
		keep := len(data) - 1
		if v.a.random.IntN(2) == 0 {
			keep = len(data) / 2
		}
		v.a.count.BadLeaves.Add(1)
		v.send(wire.Leaf{Key: o.key, Leaf: uint16(leaf), Data: data[:max(keep, 1)]})
	}}
}

// drip sends one leaf every 900 ms: a neighbour is given up after a second without any.
func drip(v *victim) manner {
	const everyMs = 900
	type owed struct {
		o    *object
		leaf int
	}
	var queue []owed
	lastMs := int64(0)
	return manner{
		found: v.announce,
		asked: func(o *object, leaf int) { queue = append(queue, owed{o, leaf}) },
		tick: func(nowMs int64) {
			if len(queue) > 0 && nowMs-lastMs >= everyMs {
				v.send(wire.Leaf{Key: queue[0].o.key, Leaf: uint16(queue[0].leaf), Data: queue[0].o.leaf(queue[0].leaf)})
				queue, lastMs = queue[1:], nowMs
			}
		},
	}
}

// lie never sends a leaf: it has lost what it announced as often as is forgiven, and is busy from then on.
func lie(v *victim) manner {
	const forgiven = 7
	refused := 0
	return manner{
		found: v.announce,
		asked: func(o *object, leaf int) {
			reason := wire.Busy
			if refused++; refused <= forgiven {
				reason = wire.NotHeld
			}
			v.send(wire.Refuse{Key: o.key, Reason: reason, Pieces: []uint16{o.piece(leaf)}})
		},
		opened: func() { v.slander() },
	}
}

// promise has everything coming, for ever.
func promise(v *victim) manner {
	const everyMs = 1000 // a COMING counts for two seconds
	lastMs := int64(0)
	say := func(o *object) {
		for from := 0; from < o.pieces(); from += wire.MaxBatch {
			var pieces []uint16
			for piece := from; piece < min(from+wire.MaxBatch, o.pieces()); piece++ {
				pieces = append(pieces, uint16(piece))
			}
			v.send(wire.Coming{Key: o.key, Pieces: pieces})
		}
	}
	return manner{
		found: func(o *object) {
			v.send(wire.Have{Key: o.key, Leaves: uint16(o.leaves()), Bitfield: wire.NewBitfield(o.pieces())})
			say(o)
		},
		tick: func(nowMs int64) {
			if nowMs-lastMs >= everyMs {
				lastMs = nowMs
				for _, o := range v.a.library.newest(3) {
					say(o)
				}
			}
		},
	}
}

// forge announces objects that do not exist and, when asked for their records, sends true ones with a wrong bit, or those of
// other objects. It also forges leaf lists.
func forge(v *victim) manner {
	return manner{
		found: v.announce,
		tick: func(int64) {
			v.send(wire.Have{Key: v.a.invent(), Leaves: 16, Bitfield: wire.NewBitfield(wire.Pieces(16))})
		},
		list: func(o *object) []byte {
			list := slices.Clone(o.list)
			list[v.a.random.IntN(len(list))] ^= 1
			v.a.count.BadLeaves.Add(1)
			return list
		},
		record: func(key wire.Key, o *object) []byte {
			newest := v.a.library.newest(1)
			if len(newest) == 0 {
				return nil
			}
			data := slices.Clone(newest[0].record)
			if v.a.random.IntN(2) == 0 {
				data[v.a.random.IntN(len(data))] ^= 1
			}
			v.a.count.BadRecords.Add(1)
			return data
		},
	}
}

// replay sends what was right a while ago: leaves of the segment before, under its own or under the new name, old records,
// and announcements of what nobody can want any more.
func replay(v *victim) manner {
	old := func() *object {
		if all := v.a.library.newest(v.a.library.len()); len(all) > 0 {
			return all[len(all)-1]
		}
		return nil
	}
	return manner{
		found: func(o *object) {
			v.announce(o)
			if before := old(); before != nil {
				v.announce(before)
				v.send(wire.Record{Key: before.key, Data: before.record})
			}
		},
		asked: func(o *object, leaf int) {
			before := old()
			if before == nil || leaf >= before.leaves() {
				return
			}
			key := before.key
			if v.a.random.IntN(2) == 0 {
				key = o.key
				v.a.count.BadLeaves.Add(1)
			}
			v.send(wire.Leaf{Key: key, Leaf: uint16(leaf), Data: before.leaf(leaf)})
		},
		record: func(wire.Key, *object) []byte {
			if before := old(); before != nil {
				v.a.count.BadRecords.Add(1)
				return before.record
			}
			return nil
		},
	}
}

// flood begins with as many messages as a newcomer may send at once and goes on just below what gets it dropped: requests
// for all that the victim holds, cancels, questions, announcements of nothing.
func flood(v *victim) manner {
	const atOnce, perTick = 8000, 9 // of bursts of 8192, and of 200 a second
	return manner{
		opened: func() {
			for range atOnce {
				v.send(wire.Cancel{Key: v.a.invent(), Pieces: []uint16{0}})
			}
		},
		tick: func(int64) {
			objects := v.a.library.newest(2)
			for i := range perTick {
				switch {
				case i%3 == 0 && len(objects) > 0:
					v.request(objects[i/3%len(objects)])
				case i%3 == 1:
					v.send(wire.Ask{Key: v.a.invent()})
				default:
					v.send(wire.Have{Key: v.a.invent(), Leaves: wire.MaxLeaves, Bitfield: wire.NewBitfield(wire.Pieces(wire.MaxLeaves))})
				}
			}
		},
	}
}

// freeride asks every victim for everything that it announces, and announces nothing.
func freeride(v *victim) manner {
	want := func(key wire.Key) {
		if o := v.a.library.byKey[key]; o != nil {
			v.request(o)
		}
	}
	return manner{heard: func(m wire.Message) {
		switch m := m.(type) {
		case wire.Have:
			want(m.Key)
		case wire.Gain:
			want(m.Key)
		}
	}}
}

// treat chooses how to treat a new victim.
func (k Kind) treat(v *victim) manner {
	if k != Mixed {
		return manners[k](v)
	}
	single := Kinds[:len(Kinds)-1]
	return manners[single[v.a.random.IntN(len(single))]](v)
}
