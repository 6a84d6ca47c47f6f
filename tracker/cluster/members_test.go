package cluster

import (
	"slices"
	"testing"

	"slipstream/tracker/server"
)

func TestANodeIsGoneWhenItIsSilentOrSaysSo(t *testing.T) {
	m := newMembers(5)
	for _, id := range []server.NodeID{9, 2} {
		if !m.hear(heartbeat{Node: id}).came {
			t.Errorf("node %d did not come", id)
		}
	}
	if got := m.owners(); !slices.Equal(got, []server.NodeID{2, 5, 9}) {
		t.Fatalf("owners %v", got)
	}
	for tick := 1; ; tick++ {
		m.hear(heartbeat{Node: 9})
		gone := m.tick()
		if len(gone) == 0 && tick <= awayTicks {
			continue
		}
		if len(gone) != 1 || gone[0].Node != 2 || tick != awayTicks+1 {
			t.Errorf("tick %d: %v are gone", tick, gone)
		}
		break
	}
	if !m.hear(heartbeat{Node: 9, State: leaving}).went {
		t.Error("a node that leaves did not go")
	}
	if got := m.owners(); !slices.Equal(got, []server.NodeID{5}) {
		t.Errorf("owners %v", got)
	}
}

func TestANodeThatDrainsOwnsNothingUnlessItIsTheLast(t *testing.T) {
	m := newMembers(5)
	m.hear(heartbeat{Node: 2})
	if !m.hear(heartbeat{Node: 2, State: draining}).went {
		t.Error("its rooms were not given up")
	}
	if got := m.owners(); !slices.Equal(got, []server.NodeID{5}) {
		t.Errorf("owners %v", got)
	}
	if m.draining = true; !slices.Equal(m.owners(), []server.NodeID{5}) {
		t.Errorf("owners %v: nobody keeps the rooms", m.owners())
	}
	if m.hear(heartbeat{Node: 2}); !slices.Equal(m.owners(), []server.NodeID{2}) {
		t.Errorf("owners %v", m.owners())
	}
}

func TestNobodyIsHimselfOrEndless(t *testing.T) {
	m := newMembers(5)
	m.hear(heartbeat{Node: 5})
	m.hear(heartbeat{})
	for id := range server.NodeID(2 * maxNodes) {
		m.hear(heartbeat{Node: 100 + id, Channels: []channelSize{{Channel: "a", Viewers: 3}}})
	}
	if len(m.others) != maxNodes || m.viewers("a") != 3*maxNodes || m.viewers("b") != 0 {
		t.Errorf("%d nodes with %d viewers", len(m.others), m.viewers("a"))
	}
}

func TestANodeLearnsThatItWasTakenForGone(t *testing.T) {
	a, b := newMembers(1), newMembers(2)
	beat := func(from, to *members) change { return to.hear(heartbeat{Node: from.self, Sees: from.sees()}) }
	beat(a, b)
	for range 3 {
		if c := beat(b, a); c.forgot {
			t.Fatal("forgotten at the first meeting")
		}
		beat(a, b)
	}
	for range awayTicks + 1 { // a is stopped: it counts no ticks and says nothing
		b.tick()
	}
	beat(a, b)
	if c := beat(b, a); !c.forgot || c.came {
		t.Errorf("after it was taken for gone: %+v", c)
	}
	if c := beat(b, a); c.forgot {
		t.Error("the same is news twice")
	}
}
