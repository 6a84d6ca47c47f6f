package epoll

import "time"

// A connection is looked at again when the wheel comes to its appointment: this file says when that is, and what there is to do then.

// at is when a moment is.
func (l *loop) at(m moment) int64 { return l.nowMs + int64(int32(m-moment(l.nowMs))) }

// appoint looks at a connection again at a time.
func (l *loop) appoint(c *Conn, atMs int64) {
	c.appointment++
	c.check = moment(atMs)
	l.wheel.set(entry{c.fd, c.appointment}, atMs)
}

func (l *loop) appointEarlier(c *Conn, atMs int64) {
	if atMs < l.at(c.check) {
		l.appoint(c, atMs)
	}
}

// look keeps an appointment.
func (l *loop) look(e entry) {
	c := l.conn(e.fd)
	if c == nil || c.appointment != e.appointment {
		return
	}
	if l.nowMs >= l.at(c.check) && !l.check(c) {
		return
	}
	l.appoint(c, max(l.at(c.check), l.nowMs+1))
}

// check looks what time it is for a connection, and sets when to look again. False: it is closed.
func (l *loop) check(c *Conn) bool {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	patience, interval := ms(l.cfg.WriteTimeout), ms(l.cfg.PingInterval)
	stuckMs := int64(0)
	if c.stalled {
		stuckMs = l.at(c.stuck)
	}
	if c.phase != open {
		if c.phase == inHead {
			patience = ms(l.cfg.HandshakeTimeout)
		}
		endMs := max(l.at(c.since), stuckMs) + patience
		c.check = moment(endMs)
		if l.nowMs >= endMs {
			if c.phase == inHead {
				l.cfg.Refused(NoHead)
			}
			l.end(c, ErrEnded)
			return false
		}
		return true
	}
	if c.stalled && l.nowMs >= stuckMs+patience {
		l.end(c, ErrSlow)
		return false
	}
	overdueMs := l.at(c.since) + ms(l.cfg.OpenTimeout)
	if !c.awaited && l.nowMs >= overdueMs {
		c.awaited = true
		c.client.Overdue()
	}
	if !c.heard && l.nowMs >= l.at(c.asked)+patience {
		l.end(c, ErrVanished)
		return false
	}
	if l.nowMs >= l.at(c.pinged)+interval {
		if c.pinged = moment(l.nowMs); c.heard {
			c.asked, c.heard = c.pinged, false
		}
		c.controls = 0
		c.client.Pinging()
		c.queue(func(pending []byte) []byte { return appendFrame(pending, opPing, nil) }, false)
	}
	checkMs := l.at(c.pinged) + interval
	if !c.heard {
		checkMs = min(checkMs, l.at(c.asked)+patience)
	}
	if !c.awaited {
		checkMs = min(checkMs, overdueMs)
	}
	if c.stalled {
		checkMs = min(checkMs, stuckMs+patience)
	}
	c.check = moment(checkMs)
	return true
}
