package cluster

import (
	"log/slog"
	"testing"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/server"
)

// show uses a token, and tells how that ends; "" if it is welcome to stay.
func (tr *tracker) show(t *testing.T, conn server.ConnID, name server.TokenName) (end string) {
	t.Helper()
	c := &client{told: told{knows: map[announce.PeerID]bool{}}}
	tr.mu.Lock()
	tr.clients[conn] = c
	tr.mu.Unlock()
	at := server.Address{Node: tr.relay.id, Conn: conn}
	if refusal := tr.relay.Spend(at, server.Token{Name: name, Dead: time.Now().Add(time.Minute)}); refusal != nil {
		return refusal.Code
	}
	tr.net.settle()
	return c.look().end
}

func TestATokenIsGoodOnceInAWholeCluster(t *testing.T) {
	n, _ := crowd(t, 1)
	conn := server.ConnID(1000)
	for name := server.TokenName(1); name <= 10; name++ { // of some each node is the keeper
		for i := range 3 {
			id := server.NodeID((i+int(name))%3 + 1)
			want := ""
			if i > 0 {
				want = announce.CodeTokenUsed
			}
			if conn++; n.nodes[id].show(t, conn, name) != want {
				t.Errorf("token %d, the %d. time, on node %d: want %q", name, i+1, id, want)
			}
		}
	}
}

// A keeper that nobody hears keeps nobody out; and a node that is cut off from all keeps what is shown to itself.
func TestNoTokenIsRefusedBecauseItsKeeperIsGone(t *testing.T) {
	n, _ := crowd(t, 1)
	n.side[3] = 1
	for name := server.TokenName(1); name <= 10; name++ { // also before it is noticed
		if end := n.nodes[1].show(t, server.ConnID(1000+name), name); end != "" {
			t.Errorf("token %d: %s", name, end)
		}
	}
	n.run(awayTicks + 3)
	for name := server.TokenName(11); name <= 20; name++ {
		for _, id := range []server.NodeID{1, 3} {
			if end := n.nodes[id].show(t, server.ConnID(1000+name), name); end != "" {
				t.Errorf("token %d on node %d: %s", name, id, end)
			}
		}
		if end := n.nodes[2].show(t, server.ConnID(1000+name), name); end != announce.CodeTokenUsed {
			t.Errorf("token %d again: %q", name, end)
		}
	}
}

// What a node tells of tokens is bounded by what tokens are.
func TestATokenThatCannotBeIsNotKept(t *testing.T) {
	n, _ := crowd(t, 1)
	for _, dead := range []int64{-1 << 62, 0, time.Now().Unix() - 60, time.Now().Unix() + 3600, 1 << 62} {
		for range 2 {
			if !n.nodes[1].relay.first(spending{Token: 7, Dead: dead}) {
				t.Errorf("a token that is dead at %d is kept", dead)
			}
		}
	}
	n.nodes[1].relay.keep(2, entry{Kind: spends, Body: []byte{0xff}})
}

// What a token costs a join on its node and on its keeper, besides NATS.
func BenchmarkToken(b *testing.B) {
	n := newNetwork()
	for id := server.NodeID(1); id <= 2; id++ {
		r := newRelay(id, "", port{n, id}, slog.New(slog.DiscardHandler))
		r.owners = []server.NodeID{1, 2}
		n.nodes[id] = &tracker{relay: r}
	}
	from, keeper := n.nodes[1].relay, n.nodes[2].relay
	close(keeper.started)
	name, dead := server.TokenName(0), time.Now().Add(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		for name++; highest(from.owners, mix(uint64(name))) != 2; {
			name++
		}
		from.Spend(server.Address{Node: 1, Conn: 1}, server.Token{Name: name, Dead: dead})
		if name%256 == 0 {
			from.sendAll()
			for _, l := range n.mail {
				keeper.receive(l.data)
			}
			n.mail = n.mail[:0]
		}
	}
}
