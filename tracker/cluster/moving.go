package cluster

import (
	"slices"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/server"
)

// move is a stay that is to be looked at: its place may have to be on another node.
type move struct {
	stay *stay
	at   time.Time
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
		r.vacate(seat, leaves)
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
		r.end(st.conn, refusal)
	}
}

// end closes a client's connection with a word.
func (r *Relay) end(conn server.ConnID, why *announce.Error) {
	if frame, err := announce.Encode(*why); err == nil {
		r.connections.Deliver(server.Address{Node: r.id, Conn: conn}, frame, why.Code)
	}
}

// giveAway makes the others take this node's rooms over.
func (r *Relay) giveAway() {
	r.mu.Lock()
	r.state, r.members.draining = draining, true
	r.reconsider()
	r.mu.Unlock()
	r.beat()
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
