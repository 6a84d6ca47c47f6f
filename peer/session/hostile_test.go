package session_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/session"
	"slipstream/peer/wire"
)

// attacker is a hostile peer: it claims to hold every segment, and answers requests as its attack wants.
type attacker struct {
	c      *channel
	answer attack

	asked     atomic.Int64 // leaves that victims asked for
	badLeaves atomic.Int64
	dropped   atomic.Int64 // victims that closed the connection
}

// prey is what an attacker knows of a victim.
type prey struct {
	link *pipe           // to it
	gone context.Context // it has closed the connection
}

// attack answers a request for one leaf; the true bytes are there to be abused.
type attack func(a *attacker, victim prey, key wire.Key, leaf int, data []byte)

var attacks = map[string]attack{
	"flips a bit": func(a *attacker, victim prey, key wire.Key, leaf int, data []byte) {
		bad := slices.Clone(data)
		bad[len(bad)/2] ^= 1
		a.badLeaves.Add(1)
		victim.tell(wire.Leaf{Key: key, Leaf: uint16(leaf), Data: bad})
	},
	"sends wrong lengths": func(a *attacker, victim prey, key wire.Key, leaf int, data []byte) {
		a.badLeaves.Add(1)
		victim.tell(wire.Leaf{Key: key, Leaf: uint16(leaf), Data: data[:len(data)-1]})
	},
	"drips": func(_ *attacker, victim prey, key wire.Key, leaf int, data []byte) {
		select { // it holds up its own reading, too: one leaf every 0.9 s
		case <-victim.gone.Done():
		case <-time.After(900 * time.Millisecond):
			victim.tell(wire.Leaf{Key: key, Leaf: uint16(leaf), Data: data})
		}
	},
	"lies about what it has": func(_ *attacker, victim prey, key wire.Key, leaf int, _ []byte) {
		victim.tell(wire.Refuse{Key: key, Reason: wire.NotHeld, Pieces: []uint16{uint16(leaf)}})
	},
	"floods with what nobody asked for": func(_ *attacker, victim prey, _ wire.Key, leaf int, data []byte) {
		for i := range 20 {
			victim.tell(wire.Leaf{Key: wire.Key{0xff, byte(i)}, Leaf: uint16(leaf), Data: data})
		}
	},
	"talks without end": func(_ *attacker, victim prey, key wire.Key, leaf int, _ []byte) {
		for range 4096 {
			victim.tell(wire.Cancel{Key: key, Pieces: []uint16{uint16(leaf)}})
		}
	},
	"says nothing": func(*attacker, prey, wire.Key, int, []byte) {},
}

func (p prey) tell(m wire.Message) { p.link.Send(m.Append(nil)) }

// attack lets an attacker loose on viewers.
func (c *channel) attack(ctx context.Context, viewers []*spectator, answer attack) *attacker {
	a := &attacker{c: c, answer: answer}
	for i, v := range viewers {
		a.meet(ctx, v, fmt.Sprint("attacker", i))
	}
	return a
}

func (a *attacker) meet(ctx context.Context, v *spectator, name string) {
	var adopted *session.Adopted
	ready := make(chan struct{})
	gone, leave := context.WithCancel(ctx)
	victim := prey{gone: gone}
	victim.link = newPipe(ctx, func(m []byte) { <-ready; adopted.Receive(m) }, func() { <-ready; adopted.Closed() })
	adopted = v.session.Adopt(peerID(name), newPipe(ctx, func(m []byte) { a.received(victim, m) }, func() {
		a.dropped.Add(1)
		leave()
		victim.link.Close()
	}))
	close(ready)
	victim.tell(wire.Hello{Version: wire.Version, Channel: wire.Key(a.c.id[:8]), Instance: wire.Instance{1}})
	go a.boast(victim)
}

// boast claims the whole window, again and again, before anybody can have it.
func (a *attacker) boast(victim prey) {
	full := wire.NewBitfield(leaves)
	for i := range leaves {
		full.Set(i)
	}
	for next := a.c.edge() - 3; ; {
		for ; next <= a.c.edge(); next++ {
			root := a.c.segments[next].record.Root
			victim.tell(wire.Have{Key: wire.Key(root[:8]), Leaves: leaves, Bitfield: full})
		}
		select {
		case <-victim.gone.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *attacker) received(victim prey, b []byte) {
	for m := range wire.Unbundle(b) {
		if request, ok := m.(wire.Request); ok {
			a.asks(victim, request)
		}
	}
}

func (a *attacker) asks(victim prey, request wire.Request) {
	for _, segment := range a.c.segments {
		if wire.Key(segment.record.Root[:8]) != request.Key {
			continue
		}
		if request.Flags&wire.FlagNeedList != 0 {
			list := manifest.EncodeLeaves(manifest.LeafHashes(segment.data))
			victim.tell(wire.Leaves{Key: request.Key, Hashes: list})
		}
		for _, w := range request.Wanted { // of 13 leaves, so each piece is one
			leaf := w.Piece()
			a.asked.Add(1)
			from := int(leaf) * manifest.LeafSize
			a.answer(a, victim, request.Key, int(leaf), segment.data[from:min(from+manifest.LeafSize, segmentBytes)])
		}
	}
}

func TestAHostilePeerHarmsNobody(t *testing.T) {
	for name, answer := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := offline(t)
				viewers := c.ring(t, 3)
				dealAmong(4, viewers) // the attacker neglects its own share
				a := c.attack(t.Context(), viewers, answer)
				time.Sleep(12 * time.Second)
				if a.asked.Load() == 0 {
					t.Error("nobody asked the attacker for anything, so nothing was tested")
				}
				noStalls(t, viewers)
				// What was under way when the first bad leaf was found is never looked at.
				t.Logf("%d bad leaves were sent", a.badLeaves.Load())
				rejected := int64(0)
				for i, v := range viewers {
					o := v.observe()
					rejected += o.RejectedLeaves
					if o.RejectedLeaves > 1 {
						t.Errorf("viewer %d looked at %d bad leaves before it dropped the attacker", i, o.RejectedLeaves)
					}
				}
				if a.badLeaves.Load() > 0 && rejected == 0 {
					t.Error("no bad leaf was noticed")
				}
				if name != "drips" && name != "says nothing" && a.dropped.Load() == 0 {
					t.Error("nobody dropped the attacker")
				}
			})
		})
	}
}
