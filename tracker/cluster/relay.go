package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
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
	owners   []server.NodeID   // that take rooms, as of the last change
	shards   map[string]int    // of channels that have more than one
	tallies  map[string]*tally // of the channels in this node's rooms
	stays    tight.Index[*stay]
	guests   map[server.NodeID]map[server.ConnID]*counted // other nodes' clients in this node's rooms
	outboxes map[server.NodeID]*outbox
	moving   []move
	orphans  []server.Seat // of clients whose edge is gone
	state    state
	deaf     int   // own ticks since its own heartbeat came back
	lagMs    int64 // that the last one took
}

// move is a stay that is to be looked at: its place may have to be on another node.
type move struct {
	stay *stay
	at   time.Time
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
		wake: make(chan struct{}, 1), done: make(chan struct{}), members: newMembers(id), shards: map[string]int{}, tallies: map[string]*tally{},
		guests: map[server.NodeID]map[server.ConnID]*counted{}, outboxes: map[server.NodeID]*outbox{},
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
	st.seat = r.count(seat, e.Channel)
	return nil
}

// counted is a seat in this node's rooms.
type counted struct {
	server.Seat
	in *tally
}

// tally counts the seats of a channel. There is one as long as it has any.
type tally struct {
	relay   *Relay
	channel string
	seats   int
}

func (c *counted) Leave() { c.Seat.Leave(); c.in.less() }
func (c *counted) Move()  { c.Seat.Move(); c.in.less() }

func (r *Relay) count(seat server.Seat, channel string) *counted {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tallies[channel]
	if t == nil {
		t = &tally{relay: r, channel: channel}
		r.tallies[channel] = t
	}
	t.seats++
	return &counted{seat, t}
}

func (t *tally) less() {
	t.relay.mu.Lock()
	defer t.relay.mu.Unlock()
	if t.seats--; t.seats == 0 {
		delete(t.relay.tallies, t.channel)
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
	if st == nil || st.place() != from && !bytes.HasPrefix(frame, relays) {
		return
	}
	st.note(frame)
	r.connections.Deliver(st.addr(), frame, end)
}

// tell puts an entry into a node's outbox and never waits.
func (r *Relay) tell(to server.NodeID, e entry) {
	r.mu.Lock()
	o := r.outboxes[to]
	if o == nil && len(r.outboxes) < maxNodes {
		o = &outbox{}
		r.outboxes[to] = o
	}
	r.mu.Unlock()
	if o == nil || !o.add(e) {
		r.shed.Inc()
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// flush sends what is in the outboxes.
func (r *Relay) flush() {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-r.done:
			r.sendAll()
			return
		case <-r.wake:
		}
		wait.Reset(coalesce)
		<-wait.C
		r.sendAll()
	}
}

func (r *Relay) sendAll() {
	r.mu.Lock()
	outboxes := make(map[server.NodeID]*outbox, len(r.outboxes))
	for id, o := range r.outboxes {
		outboxes[id] = o
	}
	r.mu.Unlock()
	for id, o := range outboxes {
		for _, batch := range o.take(r.id) {
			if err := r.bus.send(id, batch); err != nil {
				r.shed.Inc()
				r.log.Warn("a batch for another tracker could not be sent", "node", nodeName(id), "error", err)
				continue
			}
			r.batches.Inc()
			r.bytes.Add(float64(len(batch)))
		}
	}
}

// tick says that this node is there, and notices who is not.
func (r *Relay) tick() {
	r.beat()
	r.mu.Lock()
	r.deaf++
	gone := r.members.tick()
	for _, h := range gone {
		r.bury(h.Node)
	}
	if len(gone) > 0 {
		r.reconsider()
	}
	r.mu.Unlock()
	for _, h := range gone {
		r.log.Warn("a tracker of the cluster is silent; its channels move to the others", "node", h.Name)
	}
}

func (r *Relay) beat() {
	r.mu.Lock()
	h := heartbeat{Node: r.id, Name: r.name, State: r.state, SentMs: time.Now().UnixMilli(), Sees: r.members.sees()}
	for c, t := range r.tallies {
		if t.seats >= largeChannel && len(h.Channels) < maxTold {
			h.Channels = append(h.Channels, channelSize{Channel: c, Viewers: t.seats})
		}
	}
	r.nodes.Set(float64(1 + len(r.members.others)))
	r.mu.Unlock()
	if err := r.bus.beat(encode(h)); err != nil {
		r.log.Warn("the other trackers cannot be told that this one is there", "error", err)
	}
}

// hear takes another node's heartbeat, or this node's own as it comes back.
func (r *Relay) hear(b []byte) {
	var h heartbeat
	if err := decoding.Unmarshal(b, &h); err != nil {
		r.log.Warn("a heartbeat that cannot be read", "error", err)
		return
	}
	if h.Node == r.id {
		r.heardSelf(time.Now().UnixMilli() - h.SentMs)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.members.hear(h)
	if n := r.members.others[h.Node]; n != nil {
		n.lagMs = time.Now().UnixMilli() - h.SentMs
	}
	if h.State == leaving {
		r.bury(h.Node)
	}
	if c.forgot {
		for st := range r.stays.All() {
			if st.place() == h.Node {
				st.lost.Store(true)
				r.schedule(st)
			}
		}
	}
	if c.came || c.went {
		r.log.Info("the cluster has changed", "node", h.Name, "came", c.came, "nodes", 1+len(r.members.others))
		r.reconsider()
	}
}

// bury lets a gone node's clients leave their places here; mu is held.
func (r *Relay) bury(id server.NodeID) {
	delete(r.outboxes, id)
	for _, seat := range r.guests[id] {
		r.orphans = append(r.orphans, seat)
	}
	delete(r.guests, id)
}

// reconsider looks where everything belongs now; mu is held.
func (r *Relay) reconsider() {
	owners := r.members.owners()
	if slices.Equal(owners, r.owners) {
		return
	}
	r.owners = owners
	for st := range r.stays.All() {
		if owner(owners, st.belongs()) != st.place() {
			r.schedule(st)
		}
	}
}

// schedule has a stay looked at: soon if it still waits for its welcome, else within the time that all share; mu is held.
func (r *Relay) schedule(st *stay) {
	at := time.Now()
	if id := st.name(); id != 0 {
		at = at.Add(time.Duration(mix(uint64(id)) % uint64(moveWithin)))
	}
	r.moving = append(r.moving, move{st, at})
}

// carry moves the stays that are due, and empties the seats of those who are gone.
func (r *Relay) carry(now time.Time) {
	var due []*stay
	r.mu.Lock()
	r.moving = slices.DeleteFunc(r.moving, func(m move) bool {
		if m.at.After(now) {
			return false
		}
		due = append(due, m.stay)
		return true
	})
	orphans := r.orphans
	r.orphans = nil
	r.mu.Unlock()
	for _, st := range due {
		r.move(st)
	}
	for _, seat := range orphans {
		seat.Leave()
	}
}

// move gives a stay its place at its owner, if it is not there.
func (r *Relay) move(st *stay) {
	r.mu.Lock()
	to := owner(r.owners, st.belongs())
	r.mu.Unlock()
	st.turn.Lock()
	defer st.turn.Unlock()
	if st.left || to == st.place() && !st.lost.Load() {
		return
	}
	st.vacate(moves)
	st.owner.Store(uint64(to))
	r.moved.Inc()
	if refusal := r.settle(st); refusal != nil {
		if frame, err := announce.Encode(*refusal); err == nil {
			r.connections.Deliver(st.addr(), frame, refusal.Code)
		}
	}
}

// receive carries out what another node tells.
func (r *Relay) receive(batch []byte) {
	<-r.started // its rooms are there
	if err := decodeBatch(batch, r.take); err != nil {
		r.log.Warn("what another tracker told cannot be read", "error", err)
	}
}

func (r *Relay) take(from server.NodeID, e entry) {
	switch e.Kind {
	case delivers:
		r.deliver(from, e.Conn, e.Body, e.End)
		return
	case enters:
		r.admit(server.Address{Node: from, Conn: e.Conn}, e.Body)
		return
	}
	r.mu.Lock()
	seat, known := r.guests[from][e.Conn]
	if e.Kind == leaves || e.Kind == moves {
		delete(r.guests[from], e.Conn)
	}
	r.mu.Unlock()
	if !known {
		return // its leaving and something else have crossed
	}
	switch e.Kind {
	case leaves:
		seat.Leave()
	case moves:
		seat.Move()
	default:
		m, err := announce.Decode(e.Body)
		if err != nil {
			r.log.Warn("another tracker passed on a malformed message", "node", nodeName(from), "error", err)
			return
		}
		switch m := m.(type) {
		case announce.SignalTo:
			seat.Signal(m)
		case announce.Report:
			seat.Report(m)
		}
	}
}

// admit gives another node's client a place here.
func (r *Relay) admit(addr server.Address, body []byte) {
	var a arrival
	err := decoding.Unmarshal(body, &a)
	var e server.Enter
	if err == nil {
		e, err = a.enter()
	}
	if err != nil {
		r.log.Warn("another tracker's client cannot enter", "node", nodeName(addr.Node), "error", err)
		return
	}
	seat, refusal := r.here.Enter(addr, e)
	if refusal != nil {
		if frame, err := announce.Encode(*refusal); err == nil {
			r.Deliver(addr, frame, refusal.Code)
		}
		return
	}
	has := r.count(seat, e.Channel)
	r.mu.Lock()
	theirs := r.guests[addr.Node]
	if theirs == nil {
		theirs = map[server.ConnID]*counted{}
		r.guests[addr.Node] = theirs
	}
	before, twice := theirs[addr.Conn]
	theirs[addr.Conn] = has
	r.mu.Unlock()
	if twice {
		before.Move()
	}
}

// vacant tells whether nobody has a place on this node any more.
func (r *Relay) vacant() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tallies) == 0
}

// alone tells whether there is nobody who would take rooms over.
func (r *Relay) alone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Equal(r.owners, []server.NodeID{r.id})
}

// giveAway makes the others take this node's rooms over.
func (r *Relay) giveAway() {
	r.mu.Lock()
	r.state, r.members.draining = draining, true
	r.reconsider()
	r.mu.Unlock()
	r.beat()
}

func nodeName(id server.NodeID) string { return fmt.Sprintf("%016x", uint64(id)) }
