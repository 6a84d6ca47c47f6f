package world

import (
	"slipstream/peer/sched"
	"slipstream/sim/network"
)

// This file lets records travel from neighbour to neighbour, as package session does (section 6 of PROTOCOL.md): who
// hears of a segment that it does not know asks for its record. So one viewer polls, and the others only where that fails.

const (
	askAgainMs  = 400 // without an answer, somebody else is asked
	blockMs     = 150 // whose turn it is asks so long before there can be news, and the edge holds the request
	waitShare   = 5   // a part of a segment, for which the others wait at least
	waitSpread  = 3   // tenths of a segment, for which they wait at most besides
	waitTenths  = 10
	recordBytes = 221
)

// ask wants the record of a segment that a neighbour has announced.
func (v *viewer) ask(n, object int32) {
	if p := &v.playlist; v.w.cfg.Stream.Gossip && v.w.nowMs-p.askedMs >= askAgainMs {
		p.askedMs = v.w.nowMs
		v.say(n, saying{kind: kindAsk, object: object}, network.AskBytes)
	}
}

// tellRecord tells neighbours of the record that we found by polling.
func (v *viewer) tellRecord(startup bool) {
	if !v.w.cfg.Stream.Gossip || startup || v.seeder || v.noUpload {
		return
	}
	for n := range v.ends {
		if v.ends[n].open {
			v.say(int32(n), saying{kind: kindRecord, object: v.playlist.head}, network.RecordBytes(recordBytes))
		}
	}
}

// asked answers.
func (v *viewer) asked(n, object int32) {
	if v.objects.at(object) != nil {
		v.say(n, saying{kind: kindRecord, object: object}, network.RecordBytes(recordBytes))
	}
}

// learn takes a record that a neighbour sent.
func (v *viewer) learn(object int32) {
	p := &v.playlist
	p.askedMs = 0
	if !p.loaded || object <= p.head {
		return
	}
	p.head = object
	v.window(p.head, false)
	if !p.loading {
		v.schedulePlaylist(false, true)
	}
}

// lookMs is when to look for the next segment: who has the duty for its first piece, or nobody to tell it, when it can be
// there, the others one after the other.
func (v *viewer) lookMs() int64 {
	next := v.playlist.head + 1
	s := &v.w.stream
	expectedMs := s.publishedMs(next) + v.w.cdn.OneWayMs
	if v.member.neighbours == 0 || v.member.duties>>(s.sequence(next)%sched.Stripes)&1 != 0 {
		return expectedMs - blockMs
	}
	lot := v.w.draw.Below(s.segmentMs*waitSpread/waitTenths, v.number, drawLot, int64(next))
	return expectedMs + s.segmentMs/waitShare + lot
}
