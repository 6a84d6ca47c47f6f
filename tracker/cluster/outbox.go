package cluster

import (
	"sync"
	"time"

	"slipstream/tracker/server"
)

// outbox is what waits to be told to one other node. Adding never waits, so cells and connections may.
type outbox struct {
	mu  sync.Mutex
	buf []byte // a batch without its head
	// ends has the length of buf after each entry that would have made a batch too long.
	ends []int
}

const (
	// Beyond these many bytes reports are left out, which the next one mends, and then all else, which ends with the
	// clients' coming again.
	crowded = 4 << 20
	full    = 32 << 20
)

// add takes an entry; false if there is no room for its like.
func (o *outbox) add(e entry) bool {
	b := encode(e)
	o.mu.Lock()
	defer o.mu.Unlock()
	if size := len(o.buf) + len(b); size > full || size > crowded && e.Kind == reports {
		return false
	}
	begun := 0
	if len(o.ends) > 0 {
		begun = o.ends[len(o.ends)-1]
	}
	if len(o.buf)-begun+len(b) > maxBatch-16 {
		o.ends = append(o.ends, len(o.buf))
	}
	o.buf = append(o.buf, b...)
	return true
}

// take returns what waits as batches of a sender.
func (o *outbox) take(from server.NodeID) (batches [][]byte) {
	o.mu.Lock()
	buf, ends := o.buf, append(o.ends, len(o.buf))
	o.buf, o.ends = nil, nil
	o.mu.Unlock()
	begin := 0
	for _, end := range ends {
		if end > begin {
			batches = append(batches, append(encode(from), buf[begin:end]...))
		}
		begin = end
	}
	return batches
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
