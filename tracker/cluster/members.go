package cluster

import (
	"slices"

	"slipstream/tracker/server"
)

// members is who is in the cluster, as this node sees it. It is pure: heartbeats and ticks go in.
type members struct {
	self     server.NodeID
	draining bool // this node wants no rooms any more
	others   map[server.NodeID]*node
	met      uint64 // how many nodes came so far
}

// node is another node.
type node struct {
	heartbeat
	sizes   map[string]int // viewers in its rooms, of large channels
	meeting uint64         // the number of its coming
	met     uint64         // this node's, as that one counts; 0 = it does not know this one
	silent  int            // own ticks since it was heard
	lagMs   int64          // that its last heartbeat took, by both clocks
}

// heartbeat is what every node says of itself at every tick.
type heartbeat struct {
	_        struct{} `cbor:",toarray"`
	Node     server.NodeID
	Name     string // for logs
	State    state
	SentMs   int64         // by the sender's clock
	Channels []channelSize // the large ones in its rooms
	Sees     []meeting     // the others that it knows
}

// meeting tells a node that another knows it, and since which of its comings: if that changes, the other took it for gone
// meanwhile, and has emptied the seats of its clients.
type meeting struct {
	_      struct{} `cbor:",toarray"`
	Node   server.NodeID
	Number uint64
}

type state uint8

const (
	ready    state = iota // takes rooms and clients
	draining              // gives its rooms away
	leaving               // is gone after this
)

// channelSize is how many viewers of a channel are in a node's rooms.
type channelSize struct {
	_       struct{} `cbor:",toarray"`
	Channel string
	Viewers int
}

const (
	// awayTicks is how many ticks a node may be silent. They are counted and not timed: a node that was stopped itself
	// for a while has counted none, and does not take the others for gone.
	awayTicks = 5
	maxNodes  = 1_000
	// largeChannel is how many viewers of a channel a node has before it tells, and maxTold of how many channels it does.
	largeChannel = 250
	maxTold      = 1_000
)

func newMembers(self server.NodeID) *members {
	return &members{self: self, others: map[server.NodeID]*node{}}
}

// change is what a heartbeat is news of.
type change struct {
	came   bool // it is new
	went   bool // it owns rooms no more
	forgot bool // it does not have this node's clients any more
}

func (m *members) hear(h heartbeat) (c change) {
	if h.Node == m.self || h.Node == 0 {
		return c
	}
	n := m.others[h.Node]
	if h.State == leaving {
		delete(m.others, h.Node)
		return change{went: n != nil}
	}
	if n == nil {
		if len(m.others) >= maxNodes {
			return c
		}
		m.met++
		n = &node{meeting: m.met}
		m.others[h.Node] = n
		c.came = true
	}
	c.went = !c.came && n.State == ready && h.State == draining
	for _, s := range h.Sees {
		if s.Node == m.self {
			c.forgot = n.met != 0 && n.met != s.Number
			n.met = s.Number
		}
	}
	n.sizes = make(map[string]int, len(h.Channels))
	for _, size := range h.Channels {
		n.sizes[size.Channel] = size.Viewers
	}
	h.Channels, h.Sees = nil, nil
	n.heartbeat, n.silent = h, 0
	return c
}

// sees is what this node tells the others about whom it knows.
func (m *members) sees() (all []meeting) {
	for id, n := range m.others {
		all = append(all, meeting{Node: id, Number: n.meeting})
	}
	return all
}

// tick lets time pass and returns those who are gone.
func (m *members) tick() (gone []heartbeat) {
	for id, n := range m.others {
		if n.silent++; n.silent > awayTicks {
			gone = append(gone, n.heartbeat)
			delete(m.others, id)
		}
	}
	return gone
}

// owners are the nodes that take rooms, in order. A node that nobody would take over from keeps its own.
func (m *members) owners() (ids []server.NodeID) {
	for id, n := range m.others {
		if n.State == ready {
			ids = append(ids, id)
		}
	}
	if !m.draining || len(ids) == 0 {
		ids = append(ids, m.self)
	}
	slices.Sort(ids)
	return ids
}

// viewers is how many a channel has, besides those of this node.
func (m *members) viewers(channel string) (sum int) {
	for _, n := range m.others {
		sum += n.sizes[channel]
	}
	return sum
}
