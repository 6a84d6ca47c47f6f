package swarm

// Who passes on all that its line carries harms itself: requests and acknowledgements of what it downloads wait behind what it
// uploads. So a viewer that stalls twice in a row while its uplink is busy, and hardly anybody else in its room stalls, is told to upload
// half as much, half of that if it goes on, and after a while more again, step by step. And an operator may bound what each viewer of a
// channel uploads. The lower of the two is what it is told, and what it is given duties by.

const (
	// An uplink is busy of which busyShare is used, in parts of 1000: segments come in bursts, and the pauses count as well.
	busyShare = 500
	// leastCapBps is the lowest cap for a viewer's own good; who uploads less is not harmed by that.
	leastCapBps = firstClassBps
	// minCapMs and maxCapMs bound the time for which a cap holds, and each of its steps upwards, which doubles with each cut.
	minCapMs, maxCapMs = 60_000, 3_600_000
)

// restraint is what a viewer is told for its own good.
type restraint struct {
	bps     int64 // 0 = none
	forMs   int64 // the last time, 0 = never
	untilMs int64
	stalled bool // while its uplink was busy, at the last look
}

// capBps is what v may upload; 0 = as much as it likes.
func (v *viewer) capBps() int64 {
	if v.seeder {
		return 0
	}
	return lowerCap(v.channel.capBps, v.restraint.bps)
}

// lowerCap is the lower of two caps, of which 0 is none.
func lowerCap(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// strength is the class of what v may upload, of what it can.
func (v *viewer) strength() int {
	bps := v.capBps()
	if bps == 0 {
		return v.class
	}
	if class := uplinkClass(0, bps); class < v.class || v.class == 0 && class < unknownCounts {
		return class
	}
	return v.class
}

// tellCap tells v what it may upload, if that is not what it was.
func (s *Swarm) tellCap(v *viewer, before int64) {
	now := v.capBps()
	if now == before {
		return
	}
	s.do(Cap{Viewer: v.id, UploadBps: now})
	s.reseat(v)
	s.touch(v.room)
}

// capsFrom goes on from what v was told to upload at most where it was, and tells it what is new.
func (s *Swarm) capsFrom(v *viewer, bps int64) {
	if bps > 0 {
		v.own().restraint = restraint{bps: bps, forMs: minCapMs, untilMs: s.nowMs + minCapMs}
	}
	s.tellCap(v, bps)
}

// busy tells whether v's uplink was, as far as v may use it.
func (v *viewer) busy() bool {
	uploads, carries := v.fare.uploadBps, lowerCap(v.fare.uplinkBps, v.capBps())
	return v.fare.uplinkBps > 0 && uploads > leastCapBps && uploads*1000 >= carries*busyShare
}

// restrain looks whether v stalled alone while its uplink was busy, and if it did at the last look too cuts what it uploads.
func (s *Swarm) restrain(v *viewer, stalledAlone bool) {
	c, again := &v.restraint, v.restraint.stalled
	if c.stalled = stalledAlone && v.busy(); !c.stalled || !again {
		return
	}
	before, uploads := v.capBps(), v.fare.uploadBps
	c.bps = lowerCap(c.bps, max(uploads/2, leastCapBps))
	c.forMs = min(max(2*c.forMs, minCapMs), maxCapMs)
	c.untilMs = s.nowMs + c.forMs
	s.tellCap(v, before)
}

// ease raises a cap that has held long enough by half, until the uplink is free again.
func (s *Swarm) ease(v *viewer) {
	c := &v.restraint
	if c.bps == 0 || s.nowMs < c.untilMs {
		return
	}
	before := v.capBps()
	if c.bps += c.bps / 2; c.bps >= v.fare.uplinkBps {
		c.bps = 0
	}
	c.untilMs = s.nowMs + c.forMs
	s.tellCap(v, before)
}

// allow sets a channel's cap.
func (s *Swarm) allow(ev Allow) {
	c := s.channels[ev.Room]
	if c == nil || c.capBps == ev.UploadBps {
		return
	}
	before := c.capBps
	c.capBps = ev.UploadBps
	for _, r := range c.rooms {
		for _, v := range r.members.items {
			s.tellCap(v, lowerCap(before, v.restraint.bps))
		}
	}
}
