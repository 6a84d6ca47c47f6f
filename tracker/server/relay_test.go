package server

import (
	"reflect"
	"testing"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
)

// wire joins two nodes in memory: all channels live on the first.
type wire struct {
	id    NodeID
	nodes map[NodeID]*wire
	here  Rooms
	mine  Post
}

func (w *wire) Node() NodeID { return w.id }

func (w *wire) Start(here Rooms, connections Post) (Rooms, Post) {
	w.here, w.mine = here, connections
	return w, w
}

func (w *wire) Enter(from Address, e Enter) (Seat, *announce.Error) {
	return w.nodes[1].here.Enter(from, e)
}

func (w *wire) Deliver(to Address, frame []byte, end string) {
	w.nodes[to.Node].mine.Deliver(to, frame, end)
}

func TestAClientMaySitInTheRoomOfAnotherNode(t *testing.T) {
	nodes := map[NodeID]*wire{}
	for id := NodeID(1); id <= 2; id++ {
		nodes[id] = &wire{id: id, nodes: nodes}
	}
	node := func(id NodeID) *harness {
		return start(t, func(c *Config) { c.Relay = nodes[id] })
	}
	one, two := node(1), node(2)
	a, b := one.join(announce.Viewer), two.join(announce.Viewer)
	if n := receive[announce.Neighbour](a); n.ID != b.id {
		t.Errorf("%s met %s, want %s", a.id, n.ID, b.id)
	}
	receive[announce.Neighbour](b)
	b.send(announce.SignalTo{To: a.id, Signal: offer()})
	if got := receive[announce.SignalFrom](a); got.From != b.id || !reflect.DeepEqual(got.Signal, offer()) {
		t.Errorf("got %+v", got)
	}
	a.send(announce.SignalTo{To: b.id, Signal: offer()})
	receive[announce.SignalFrom](b)
	if s := one.statsUntil(func(s Stats) bool { return s.Viewers == 2 }); len(s.Rooms) != 1 {
		t.Errorf("node 1: %+v", s)
	}
	if s := two.statsUntil(func(Stats) bool { return true }); s.Viewers != 0 {
		t.Errorf("node 2 has a room: %+v", s)
	}
	b.ws.CloseNow()
	if g := receive[announce.Gone](a); g.ID != b.id {
		t.Errorf("%s is gone, want %s", g.ID, b.id)
	}
	c := two.join(announce.Viewer)
	c.send(announce.SignalTo{To: b.id, Signal: offer()})
	c.refused(announce.CodeStranger, "not introduced", websocket.StatusPolicyViolation)
}
