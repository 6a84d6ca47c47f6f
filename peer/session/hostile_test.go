package session_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"slipstream/origin/manifest"
	"slipstream/peer/rtc"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// attacker is a hostile peer: it joins like everybody else, claims to hold every
// segment, and answers requests as its attack wants.
type attacker struct {
	c      *channel
	answer attack
	socket *websocket.Conn

	mu        sync.Mutex
	conns     map[announce.PeerID]*rtc.Conn
	asked     atomic.Int64 // leaves that victims asked for
	dropped   atomic.Int64 // victims that closed the connection
	badLeaves sync.Map     // announce.PeerID → *atomic.Int64: bad leaves sent to each victim
}

// attack answers a request for one leaf; the true bytes are there to be abused.
type attack func(a *attacker, victim announce.PeerID, conn *rtc.Conn, key wire.Key, leaf int, data []byte)

var attacks = map[string]attack{
	"flips a bit": func(a *attacker, victim announce.PeerID, conn *rtc.Conn, key wire.Key, leaf int, data []byte) {
		bad := slices.Clone(data)
		bad[len(bad)/2] ^= 1
		a.sendBad(victim, conn, wire.Leaf{Key: key, Leaf: uint16(leaf), Data: bad})
	},
	"sends wrong lengths": func(a *attacker, victim announce.PeerID, conn *rtc.Conn, key wire.Key, leaf int, data []byte) {
		a.sendBad(victim, conn, wire.Leaf{Key: key, Leaf: uint16(leaf), Data: data[:len(data)-1]})
	},
	"drips": func(_ *attacker, _ announce.PeerID, conn *rtc.Conn, key wire.Key, leaf int, data []byte) {
		select { // it holds up its own reading, too: one leaf every 0.9 s
		case <-conn.Done():
		case <-time.After(900 * time.Millisecond):
			conn.Send(wire.Leaf{Key: key, Leaf: uint16(leaf), Data: data}.Append(nil))
		}
	},
	"lies about what it has": func(_ *attacker, _ announce.PeerID, conn *rtc.Conn, key wire.Key, leaf int, _ []byte) {
		conn.Send(wire.Refuse{Key: key, Reason: wire.NotHeld, Pieces: []uint16{uint16(leaf)}}.Append(nil))
	},
	"floods with what nobody asked for": func(_ *attacker, _ announce.PeerID, conn *rtc.Conn, _ wire.Key, leaf int, data []byte) {
		for i := range 20 {
			conn.Send(wire.Leaf{Key: wire.Key{0xff, byte(i)}, Leaf: uint16(leaf), Data: data}.Append(nil))
		}
	},
	"talks without end": func(_ *attacker, _ announce.PeerID, conn *rtc.Conn, key wire.Key, leaf int, _ []byte) {
		for range 4096 {
			conn.Send(wire.Cancel{Key: key, Pieces: []uint16{uint16(leaf)}}.Append(nil))
		}
	},
	"says nothing": func(*attacker, announce.PeerID, *rtc.Conn, wire.Key, int, []byte) {},
}

func (a *attacker) sendBad(victim announce.PeerID, conn *rtc.Conn, m wire.Message) {
	count, _ := a.badLeaves.LoadOrStore(victim, new(atomic.Int64))
	count.(*atomic.Int64).Add(1)
	conn.Send(m.Append(nil))
}

func (c *channel) attack(t *testing.T, answer attack) *attacker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &attacker{c: c, answer: answer, conns: make(map[announce.PeerID]*rtc.Conn)}
	socket, _, err := websocket.Dial(ctx, strings.Replace(c.url, "/live/demo/index.m3u8", "/tracker", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	a.socket = socket
	a.tell(ctx, announce.Join{Version: announce.Version, Token: c.token(""), Role: announce.Viewer, Renditions: []string{rendition}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.listen(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		socket.CloseNow()
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, conn := range a.conns {
			conn.Close()
		}
	})
	return a
}

func (a *attacker) tell(ctx context.Context, m announce.Message) {
	if b, err := announce.Encode(m); err == nil {
		a.socket.Write(ctx, websocket.MessageText, b)
	}
}

func (a *attacker) listen(ctx context.Context) {
	for {
		_, b, err := a.socket.Read(ctx)
		if err != nil {
			return
		}
		switch m, _ := announce.Decode(b); m := m.(type) {
		case announce.Neighbour:
			a.meet(ctx, m)
		case announce.SignalFrom:
			a.mu.Lock()
			conn := a.conns[m.From]
			a.mu.Unlock()
			if conn != nil {
				conn.Signal(m.Signal)
			}
		}
	}
}

func (a *attacker) meet(ctx context.Context, m announce.Neighbour) {
	dial := engine().Answer
	if m.Offer {
		dial = engine().Offer
	}
	ready := make(chan *rtc.Conn, 1)
	var mine *rtc.Conn
	conn, err := dial(rtc.Handlers{
		OnSignal: func(s announce.Signal) { a.tell(ctx, announce.SignalTo{To: m.ID, Signal: s}) },
		OnOpen: func() {
			mine = <-ready
			mine.Send(wire.Hello{Version: wire.Version, Channel: wire.Key(a.c.id[:8]), Instance: wire.Instance{1}}.Append(nil))
			go a.boast(mine)
		},
		OnMessage: func(b []byte) { a.received(m.ID, mine, b) },
		OnClosed:  func(error) { a.dropped.Add(1) },
	})
	if err != nil {
		return
	}
	ready <- conn
	a.mu.Lock()
	a.conns[m.ID] = conn
	a.mu.Unlock()
}

// boast claims the whole window, again and again, before anybody can have it.
func (a *attacker) boast(conn *rtc.Conn) {
	full := wire.NewBitfield(leaves)
	for i := range leaves {
		full.Set(i)
	}
	for next := a.c.edge() - 3; ; {
		for ; next <= a.c.edge(); next++ {
			root := a.c.segments[next].record.Root
			conn.Send(wire.Have{Key: wire.Key(root[:8]), Leaves: leaves, Bitfield: full}.Append(nil))
		}
		select {
		case <-conn.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *attacker) received(victim announce.PeerID, conn *rtc.Conn, b []byte) {
	for m := range wire.Unbundle(b) {
		if request, ok := m.(wire.Request); ok {
			a.asks(victim, conn, request)
		}
	}
}

func (a *attacker) asks(victim announce.PeerID, conn *rtc.Conn, request wire.Request) {
	for _, segment := range a.c.segments {
		if wire.Key(segment.record.Root[:8]) != request.Key {
			continue
		}
		if request.Flags&wire.FlagNeedList != 0 {
			list := manifest.EncodeLeaves(manifest.LeafHashes(segment.data))
			conn.Send(wire.Leaves{Key: request.Key, Hashes: list}.Append(nil))
		}
		for _, w := range request.Wanted { // of 13 leaves, so each piece is one
			leaf := w.Piece()
			a.asked.Add(1)
			from := int(leaf) * manifest.LeafSize
			a.answer(a, victim, conn, request.Key, int(leaf), segment.data[from:min(from+manifest.LeafSize, segmentBytes)])
		}
	}
}

func TestAHostilePeerHarmsNobody(t *testing.T) {
	t.Parallel()
	for name, answer := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChannel(t)
			viewers := c.audience(t, 3)
			a := c.attack(t, answer)
			time.Sleep(12 * time.Second)
			if a.asked.Load() == 0 {
				t.Error("nobody asked the attacker for anything, so nothing was tested")
			}
			noStalls(t, viewers)
			a.badLeaves.Range(func(victim, count any) bool {
				// What was under way when the first bad leaf was found is never looked at.
				t.Logf("%d bad leaves were sent to %v", count.(*atomic.Int64).Load(), victim)
				return true
			})
			rejected := int64(0)
			for i, v := range viewers {
				o := v.observe()
				rejected += o.RejectedLeaves
				if o.RejectedLeaves > 1 {
					t.Errorf("viewer %d looked at %d bad leaves before it dropped the attacker", i, o.RejectedLeaves)
				}
			}
			if bad := name == "flips a bit" || name == "sends wrong lengths"; bad && rejected == 0 {
				t.Error("no bad leaf was noticed")
			}
			if name != "drips" && name != "says nothing" && a.dropped.Load() == 0 {
				t.Error("nobody dropped the attacker")
			}
		})
	}
}
