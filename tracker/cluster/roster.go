package cluster

import (
	"cmp"
	"slices"

	"slipstream/tracker/server"
)

// Nodes implements server.Roster.
func (r *Relay) Nodes() []server.NodeStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	nodes := make([]server.NodeStats, 0, 1+len(r.members.others))
	for _, n := range r.members.others {
		nodes = append(nodes, server.NodeStats{Name: n.Name, State: n.State.String(), LagMs: float64(n.lagMs)})
	}
	slices.SortFunc(nodes, func(a, b server.NodeStats) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.State, b.State))
	})
	return slices.Insert(nodes, 0, server.NodeStats{Name: r.name, State: r.state.String(), LagMs: float64(r.lagMs)})
}

// Unready implements server.Unready.
func (r *Relay) Unready() (why []server.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != ready {
		why = append(why, server.Reason{Code: "draining", Message: "The tracker gives its rooms to the others of its cluster."})
	}
	if r.deaf > awayTicks {
		why = append(why, server.Reason{Code: "nats", Message: "The tracker does not hear its own heartbeat over NATS, so it is cut off from its cluster."})
	}
	return why
}

func (s state) String() string {
	switch s {
	case ready:
		return "ready"
	case draining:
		return "draining"
	}
	return "leaving"
}
