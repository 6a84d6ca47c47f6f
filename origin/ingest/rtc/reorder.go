package rtc

import (
	"time"

	"github.com/pion/rtp"
)

// reorderSize is how many packets may wait for one that is missing, a power of two: half a second of 20 Mb/s.
const reorderSize = 1024

// reorder is a jitter buffer: it puts the packets of one stream into the order of their sequence numbers, and waits a while for one
// that is missing. It adds no delay when nothing is missing.
type reorder struct {
	patience time.Duration // how long a packet waits for one before it

	next  uint16 // the sequence number that is to come
	begun bool
	held  [reorderSize]waiting // by sequence number
	count int
	lost  bool // packets before next were given up
}

type waiting struct {
	packet *rtp.Packet
	at     time.Time
}

// push takes a packet that arrived at now, and gives all that are in order now to emit, which is told whether packets before that
// one are lost.
func (r *reorder) push(p *rtp.Packet, now time.Time, emit func(p *rtp.Packet, lost bool) error) error {
	if !r.begun {
		r.next, r.begun = p.SequenceNumber, true
	}
	ahead := int16(p.SequenceNumber - r.next) // around the wrap, too
	if ahead < 0 {
		return nil // a repetition, or too late
	}
	if ahead >= reorderSize { // whatever happened, nothing that is missing will come now
		for r.count > 0 {
			r.skip()
			if err := r.release(emit); err != nil {
				return err
			}
		}
		r.next, r.lost = p.SequenceNumber, true
	}
	if slot := &r.held[p.SequenceNumber%reorderSize]; slot.packet == nil {
		*slot = waiting{p, now}
		r.count++
	}
	for {
		if err := r.release(emit); err != nil {
			return err
		}
		if r.count == 0 || now.Sub(r.first().at) < r.patience {
			return nil
		}
		r.skip()
	}
}

// release emits packets up to the first that is missing.
func (r *reorder) release(emit func(p *rtp.Packet, lost bool) error) error {
	for {
		slot := &r.held[r.next%reorderSize]
		if slot.packet == nil {
			return nil
		}
		p, lost := slot.packet, r.lost
		*slot = waiting{}
		r.count--
		r.next++
		r.lost = false
		if err := emit(p, lost); err != nil {
			return err
		}
	}
}

// first is the first of the packets that wait. There must be one.
func (r *reorder) first() waiting {
	for i := r.next; ; i++ {
		if slot := r.held[i%reorderSize]; slot.packet != nil {
			return slot
		}
	}
}

// skip gives up what is missing before the first packet that waits.
func (r *reorder) skip() {
	for r.held[r.next%reorderSize].packet == nil {
		r.next++
	}
	r.lost = true
}
