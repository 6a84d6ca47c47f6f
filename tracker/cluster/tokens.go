package cluster

import (
	"time"

	"slipstream/tracker/server"
	"slipstream/tracker/token"
)

// A token is good for one join, in the whole cluster. Each node sees to that for those that are shown to itself; and one
// node, which follows from the token as a channel's owner does from the channel, keeps it for all. The join does not wait for
// its answer: who comes with a used one is sent away some milliseconds after he came in. When a keeper is gone, or a node
// is cut off from it, what it knew is not known for the two minutes that tokens live; joins are worth more than that.

// spending is a token that was used.
type spending struct {
	_     struct{} `cbor:",toarray"`
	Token server.TokenName
	Dead  int64 // in Unix seconds
}

// spend tells a joining client's token to its keeper; false if that is this node and knows it.
func (r *Relay) spend(conn server.ConnID, e server.Enter) bool {
	if e.Token == 0 {
		return true
	}
	r.mu.Lock()
	keeper := highest(r.owners, mix(uint64(e.Token)))
	r.mu.Unlock()
	if keeper == r.id {
		return r.first(spending{Token: e.Token, Dead: e.Dead.Unix()})
	}
	r.tell(keeper, entry{Kind: spends, Conn: conn, Body: encode(spending{Token: e.Token, Dead: e.Dead.Unix()})})
	return true
}

// keep notes a token that was used on another node, and tells that one if it was used before.
func (r *Relay) keep(from server.NodeID, e entry) {
	var s spending
	if err := decoding.Unmarshal(e.Body, &s); err != nil {
		r.log.Warn("another tracker told of a token that cannot be read", "node", nodeName(from), "error", err)
		return
	}
	if !r.first(s) {
		r.tell(from, entry{Kind: again, Conn: e.Conn})
	}
}

// first tells whether a token comes for the first time. One that by this node's clock is not alive is not worth an answer.
func (r *Relay) first(s spending) bool {
	now, dead := time.Now(), time.Unix(s.Dead, 0)
	if dead.Before(now) || dead.Sub(now) > token.MaxLife+token.ClockLeeway {
		return true
	}
	return r.tokens.First(s.Token, dead, now)
}
