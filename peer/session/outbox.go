package session

import (
	"errors"

	"slipstream/peer/rtc"
	"slipstream/peer/wire"
)

// This file gathers what is said to each neighbour. A message of the data channel costs both ends about the same whether it
// carries ten bytes or a thousand: so what is said in one step of the loop travels as one bundle, and what is in no hurry
// waits for company.

// companyMs is how long something that is in no hurry waits for something else to be said.
const companyMs = 2000

// talk is what is said to all neighbours.
type talk struct {
	speaking []*neighbour // have something to send at the end of this step
	scratch  []byte
	messages [wire.Types]int64 // said so far, by type
	bundles  int64             // that they travelled in
}

// outbox is what one neighbour is told next.
type outbox struct {
	bundle  []byte
	sinceMs int64 // when the first of it came, if all of it can wait
	hurries bool  // it leaves at the end of this step
}

// send tells a neighbour something at the end of this step.
func (n *neighbour) send(m wire.Message) {
	n.add(m)
	if !n.out.hurries {
		n.out.hurries = true
		n.talk.speaking = append(n.talk.speaking, n)
	}
}

// mention tells a neighbour something together with what it is told next, or after companyMs.
func (n *neighbour) mention(m wire.Message, nowMs int64) {
	if len(n.out.bundle) == 0 {
		n.out.sinceMs = nowMs
	}
	n.add(m)
}

func (n *neighbour) add(m wire.Message) {
	n.out.bundle = append(n.out.bundle[:0], n.with(m)...)
}

// sendLeaf sends a leaf at once, behind what waits: a leaf ends a bundle. It returns false if the connection did not take it.
func (n *neighbour) sendLeaf(m wire.Leaf) bool { return n.transmit(n.with(m)) }

// with is the bundle that waits and a message behind it. If that is too much, what waits is sent first.
func (n *neighbour) with(m wire.Message) []byte {
	n.talk.messages[m.Type()]++
	b := m.Append(append(n.talk.scratch[:0], n.out.bundle...))
	if len(b) > wire.MaxMessage {
		n.flush()
		b = m.Append(b[:0])
	}
	n.talk.scratch = b
	return b
}

// flush sends what waits.
func (n *neighbour) flush() {
	if len(n.out.bundle) > 0 {
		n.transmit(n.out.bundle)
	}
}

// transmit sends a bundle. That the connection is gone OnClosed will tell by itself.
func (n *neighbour) transmit(bundle []byte) bool {
	err := n.conn.Send(bundle)
	n.out.bundle = n.out.bundle[:0]
	n.talk.bundles++
	n.deaf = n.deaf || errors.Is(err, rtc.ErrBufferFull)
	return err == nil
}

// leave says why we close a connection, and closes it.
func (n *neighbour) leave(reason string) {
	n.add(wire.Bye{Reason: reason})
	n.flush()
	n.conn.Close()
}

// speak sends what was said in this step.
func (t *talk) speak() {
	for _, n := range t.speaking {
		n.out.hurries = false
		n.flush()
	}
	clear(t.speaking)
	t.speaking = t.speaking[:0]
}

// sendLonely sends what found no company.
func (ns *neighbours) sendLonely(nowMs int64) {
	for _, n := range ns.byID {
		if nowMs-n.out.sinceMs >= companyMs {
			n.flush()
		}
	}
}
