package session_test

import (
	mathrand "math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"slipstream/peer/session"
	"slipstream/peer/wire"
)

// babble makes a message of valid form, with numbers that may fit the object or not.
func babble(r *mathrand.Rand, key wire.Key) wire.Message {
	if r.IntN(4) == 0 {
		key[0]++ // of something unknown
	}
	pieces := make([]uint16, 1+r.IntN(4))
	wanted := make([]wire.Wanted, len(pieces))
	for i := range pieces {
		pieces[i] = uint16([]int{0, 1, 2, 1023}[r.IntN(4)])
		wanted[i] = wire.Want(r.IntN(2), 1)
	}
	data := make([]byte, 1+r.IntN(300))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	switch r.IntN(11) {
	case 0:
		return wire.Have{Key: key, Leaves: 2, Bitfield: wire.Bitfield{[]byte{0, 0x40, 0xc0}[r.IntN(3)]}}
	case 1:
		return wire.Gain{Key: key, Pieces: pieces}
	case 2:
		return wire.Coming{Key: key, Pieces: pieces}
	case 3:
		return wire.Lost{Key: key}
	case 4:
		return wire.Ask{Key: key}
	case 5:
		return wire.Request{Key: key, Flags: uint8(r.Uint32()), Wanted: wanted}
	case 6:
		return wire.Cancel{Key: key, Pieces: pieces}
	case 7:
		return wire.Refuse{Key: key, Reason: wire.Reason(1 + r.IntN(3)), Pieces: pieces}
	case 8:
		return wire.Leaf{Key: key, Leaf: pieces[0], Data: data}
	case 9:
		return wire.Record{Key: key, Data: data}
	}
	return wire.Leaves{Key: wire.Key{1}, Hashes: make([]byte, 64)}
}

func TestNothingThatStrangersBabbleDoesHarm(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := mathrand.New(mathrand.NewPCG(seed, 1))
			c := offline(t, func(c *channel) { c.bytes = 20_000 })
			v := c.watch(t, func(cfg *session.Config) { cfg.StoreBytes = 300_000 })
			time.Sleep(3 * time.Second)
			for range 3 {
				s := c.intrude(v, "stranger"+string(rune('a'+r.IntN(26))), nil)
				for range 100 {
					root := c.segments[c.edge()-r.Int64N(4)+1].record.Root
					s.say(babble(r, wire.KeyOf(root)))
					time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
				}
			}
			time.Sleep(5 * time.Second)
			noStalls(t, []*spectator{v})
			if o := v.observe(); !o.playing || v.session.Head(rendition) < c.edge()-1 {
				t.Errorf("seed %d: it knows segment %d of %d: %+v", seed, v.session.Head(rendition), c.edge(), o)
			}
		})
	}
}
