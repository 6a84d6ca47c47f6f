package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/server"
	"slipstream/tracker/tight"
)

// bus carries what nodes tell each other. What is sent to one node arrives in order, or not at all.
type bus interface {
	send(to server.NodeID, batch []byte) error
	beat(heartbeat []byte) error
}

// Relay is this node's part of the cluster. It implements server.Relay, server.Rooms and server.Post.
type Relay struct {
	id   server.NodeID
	name string
	log  *slog.Logger
	bus  bus
	metrics

	here        server.Rooms // of this node
	connections server.Post  // to this node's clients

	started chan struct{}
	wake    chan struct{} // something is in an outbox
	done    chan struct{}
	wg      sync.WaitGroup

	// mu is never held while anything waits.
	mu       sync.Mutex
	members  *members
	owners   []server.NodeID    // that take rooms, as of the last change
	tokens   *server.UsedTokens // those that this node keeps; it has a lock of its own
	shards   map[string]int     // of channels that have more than one
	tallies  map[string]*tally  // of the channels in this node's rooms
	stays    tight.Index[*stay]
	guests   map[server.NodeID]map[server.ConnID]server.Seat // other nodes' clients in this node's rooms
	outboxes map[server.NodeID]*outbox
	moving   []move
	orphans  []server.Seat // of clients whose edge is gone
	state    state
	deaf     int   // own ticks since its own heartbeat came back
	lagMs    int64 // that the last one took
}

const (
	tickEvery = 250 * time.Millisecond
	// moveWithin spreads the moving of a node's clients, so that the new owner is not run over. Silence, spread and
	// settling together are less than a swarm waits for its movers (swarm.moveMs).
	moveWithin = 2 * time.Second
	moveEvery  = 20 * time.Millisecond
	// coalesce is how long the first entry of a batch waits for others.
	coalesce = 2 * time.Millisecond
)

func newRelay(id server.NodeID, name string, b bus, log *slog.Logger) *Relay {
	r := &Relay{
		id: id, name: name, log: log, bus: b, metrics: newMetrics(), started: make(chan struct{}),
		wake: make(chan struct{}, 1), done: make(chan struct{}), members: newMembers(id), tokens: server.NewUsedTokens(), shards: map[string]int{}, tallies: map[string]*tally{},
		guests: map[server.NodeID]map[server.ConnID]server.Seat{}, outboxes: map[server.NodeID]*outbox{},
	}
	r.owners = r.members.owners()
	return r
}

// Node implements server.Relay.
func (r *Relay) Node() server.NodeID { return r.id }

// Start implements server.Relay.
func (r *Relay) Start(here server.Rooms, connections server.Post) (server.Rooms, server.Post) {
	r.here, r.connections = here, connections
	close(r.started)
	r.beat()
	r.wg.Go(r.flush)
	r.wg.Go(func() { r.every(tickEvery, func(time.Time) { r.tick() }) })
	r.wg.Go(func() { r.every(moveEvery, r.carry) })
	return r, r
}

func (r *Relay) every(interval time.Duration, do func(now time.Time)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-r.done:
			return
		case now := <-ticker.C:
			do(now)
		}
	}
}

// stop ends the goroutines; it tells the others goodbye.
func (r *Relay) stop() {
	r.mu.Lock()
	r.state = leaving
	r.mu.Unlock()
	r.beat()
	close(r.done)
	r.wg.Wait()
}

// Enter implements server.Rooms.
func (r *Relay) Enter(from server.Address, e server.Enter) (server.Seat, *announce.Error) {
	st := newStay(r, from, e)
	r.mu.Lock()
	n := shards(r.shards[e.Channel], r.size(e.Channel)+r.members.viewers(e.Channel))
	if r.shards[e.Channel] = n; n == 1 {
		delete(r.shards, e.Channel)
	}
	st.shard = uint16(shardOf(n, e.ISP, from.Conn))
	st.owner.Store(uint64(owner(r.owners, st.belongs())))
	r.stays.Put(st)
	r.mu.Unlock()
	st.turn.Lock()
	defer st.turn.Unlock()
	if refusal := r.settle(st); refusal != nil {
		r.forget(st)
		return nil, refusal
	}
	return st, nil
}

// settle gives a stay its place at its owner; its turn is held.
func (r *Relay) settle(st *stay) *announce.Error {
	st.lost.Store(false)
	e := st.enter()
	if st.place() != r.id {
		r.tell(st.place(), entry{Kind: enters, Conn: st.conn, Body: encode(arrivalOf(e))})
		return nil
	}
	seat, refusal := r.here.Enter(st.addr(), e)
	if refusal != nil {
		return refusal
	}
	st.seat = seat
	r.count(e.Channel)
	return nil
}

// tally counts the seats of a channel in this node's rooms. There is one as long as it has any.
type tally struct{ seats int }

func (r *Relay) count(channel string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tallies[channel]
	if t == nil {
		t = &tally{}
		r.tallies[channel] = t
	}
	t.seats++
}

// vacate gives up a seat in this node's rooms, which was counted.
func (r *Relay) vacate(seat server.Seat, how kind) {
	if how == moves {
		seat.Move()
	} else {
		seat.Leave()
	}
	channel := seat.Channel()
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tallies[channel]
	if t.seats--; t.seats == 0 {
		delete(r.tallies, channel)
	}
}

// size is how many of a channel have their places in this node's rooms; mu is held.
func (r *Relay) size(channel string) int {
	if t := r.tallies[channel]; t != nil {
		return t.seats
	}
	return 0
}

func (r *Relay) forget(st *stay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stays.Delete(st.Key())
}

// Deliver implements server.Post.
func (r *Relay) Deliver(to server.Address, frame []byte, end string) {
	if to.Node == r.id {
		r.deliver(r.id, to.Conn, frame, end)
		return
	}
	r.tell(to.Node, entry{Kind: delivers, Conn: to.Conn, End: end, Body: frame})
}

// deliver brings a message to a client of this node. What a former owner says counts no more, but for the signals that it
// passes on.
func (r *Relay) deliver(from server.NodeID, conn server.ConnID, frame []byte, end string) {
	r.mu.Lock()
	st := r.stays.Get(uint64(conn))
	r.mu.Unlock()
	if st == nil { // its leaving has crossed this, or was lost with a route
		if from != r.id {
			r.tell(from, entry{Kind: leaves, Conn: conn})
		}
		return
	}
	if st.place() != from && !bytes.HasPrefix(frame, relays) {
		return
	}
	st.note(frame)
	r.connections.Deliver(st.addr(), frame, end)
}

func nodeName(id server.NodeID) string { return fmt.Sprintf("%016x", uint64(id)) }
