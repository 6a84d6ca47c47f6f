package cluster

import (
	"time"

	"slipstream/tracker/server"
)

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

// heardSelf notes that this node's own heartbeat came back.
func (r *Relay) heardSelf(lagMs int64) {
	r.lag.Set(float64(lagMs) / 1000)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf, r.lagMs = 0, lagMs
}

// bury lets a gone node's clients leave their places here; mu is held.
func (r *Relay) bury(id server.NodeID) {
	delete(r.outboxes, id)
	for _, seat := range r.guests[id] {
		r.orphans = append(r.orphans, seat)
	}
	delete(r.guests, id)
}
