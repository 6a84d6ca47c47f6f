package rtc

import (
	"time"

	"github.com/pion/rtp"
)

// A distributor makes pictures and sound of arrivals. It has no goroutine and no clock.
type distributor struct {
	to       Receiver
	patient  bool      // sound was offered and has not come
	arrivals []arrival // that wait for sound
	heard    bool

	order     [2]reorder
	assembler assembler
	sound     unwrapper
	clock     alignment
	keyframes keyframes
	waiting   bool // nothing can be made of pictures without a key frame
}

func newDistributor(sound bool, to Receiver) *distributor {
	d := &distributor{to: to, patient: sound, clock: newAlignment(), waiting: true}
	d.order[pictures].patience, d.order[sounds].patience = retransmission, reordering
	return d
}

// take handles an arrival, and reports whether a key frame is to be asked for now. It is not before there are pictures.
func (d *distributor) take(a arrival) (ask bool, err error) {
	if err := d.admit(a); err != nil {
		return false, err
	}
	return a.stream == pictures && d.keyframes.ask(d.waiting && !d.patient, a.at), nil
}

// admit handles an arrival, at first not before there is sound.
func (d *distributor) admit(a arrival) error {
	if !d.patient {
		return d.handle(a)
	}
	d.arrivals = append(d.arrivals, a)
	heard := a.stream == sounds && a.packet != nil
	if !heard && a.at.Sub(d.arrivals[0].at) < soundWait && len(d.arrivals) < queueSize {
		return nil
	}
	d.patient = false
	if heard {
		if err := d.hear(); err != nil {
			return err
		}
	}
	waited := d.arrivals
	d.arrivals = nil
	for _, a := range waited {
		if err := d.handle(a); err != nil {
			return err
		}
	}
	return nil
}

// hear notes that there is sound.
func (d *distributor) hear() error {
	if d.heard {
		return nil
	}
	d.heard = true
	return d.to.SoundBegins()
}

func (d *distributor) handle(a arrival) error {
	if a.packet == nil {
		d.clock.report(a.stream, a.ntp, a.rtp)
		return nil
	}
	if a.stream == sounds {
		if err := d.hear(); err != nil {
			return err
		}
		return d.order[sounds].push(a.packet, a.at, func(p *rtp.Packet, _ bool) error { return d.play(p, a.at) })
	}
	show := func(p picture) error { return d.show(p, a.at) }
	damage := func() { d.keyframes.damaged(a.at) }
	return d.order[pictures].push(a.packet, a.at, func(p *rtp.Packet, lost bool) error {
		return d.assembler.take(p, lost, show, damage)
	})
}

func (d *distributor) show(p picture, now time.Time) (err error) {
	pts := d.clock.pictureTime(p.ticks, now)
	if d.keyframes.shows(p.keyframe, now) {
		d.waiting, err = d.to.Picture(pts, p.units, now)
	}
	return err
}

func (d *distributor) play(p *rtp.Packet, now time.Time) error {
	ticks := d.sound.ticks(p.Timestamp)
	if len(p.Payload) == 0 || len(p.Payload) > maxSound {
		return nil
	}
	if pts, ok := d.clock.soundTime(ticks, now); ok {
		return d.to.Sound(pts, p.Payload)
	}
	return nil
}
