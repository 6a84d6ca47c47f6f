package cluster

import (
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/server"
	"slipstream/tracker/token"
)

// A token is good once, to join or to stay, in the whole cluster. Each node sees to that for those that are shown to itself; and one
// node, which follows from the token as a channel's owner does from the channel, keeps it for all. Nobody waits for
// its answer: who comes with a used one is sent away some milliseconds after he came in. When a keeper is gone, or a node
// is cut off from it, what it knew is not known for the two minutes that tokens live; joins are worth more than that.

// spending is a token that was used.
type spending struct {
	_     struct{} `cbor:",toarray"`
	Token server.TokenName
	Dead  int64 // in Unix seconds
}

// Spend implements server.Keeper.
func (r *Relay) Spend(from server.Address, t server.Token) *announce.Error {
	r.mu.Lock()
	keeper := highest(r.owners, mix(uint64(t.Name)))
	r.mu.Unlock()
	s := spending{Token: t.Name, Dead: t.Dead.Unix()}
	switch {
	case keeper != r.id:
		r.tell(keeper, entry{Kind: spends, Conn: from.Conn, Body: encode(s)})
	case !r.first(s):
		return server.TokenUsed()
	}
	return nil
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
