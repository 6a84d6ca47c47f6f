package session

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"slipstream/origin/manifest"
	"slipstream/peer/sched"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// This file passes records on from neighbour to neighbour (PROTOCOL.md, section 6): whoever announces an object that
// we do not know is asked for its record, and whoever asks us gets it.

const (
	askAgainMs    = 400 // without an answer, somebody else is asked
	questionMs    = 4000
	maxUnanswered = 8 // questions to one neighbour that it has not answered
	askRate       = 4 // questions a second to one neighbour, beyond a burst:
	askBurst      = 32
	maxAsked      = wire.MaxAnnounced
	maxAhead      = 8   // records of later segments than the next that are kept
	maxForeign    = 512 // keys of genuine records that are of no use here
)

// questions is what we want to know of whomever.
type questions struct {
	open    map[wire.Key]question
	foreign map[wire.Key]struct{} // objects whose genuine record was of no use
}

// question is one that was put to a neighbour.
type question struct {
	neighbour     int32
	atMs, sinceMs int64 // when to it, when for the first time
}

func newQuestions() questions {
	return questions{open: make(map[wire.Key]question), foreign: make(map[wire.Key]struct{})}
}

// settled forgets a question whose answer is known.
func (q *questions) settled(key wire.Key) { delete(q.open, key) }

// useless remembers that a record says nothing to us: of another rendition, or not to be had without the playlist.
func (q *questions) useless(key wire.Key) {
	delete(q.open, key)
	if len(q.foreign) >= maxForeign {
		clear(q.foreign) // some questions are asked again
	}
	q.foreign[key] = struct{}{}
}

// asking is what one neighbour was asked.
type asking struct {
	limit      *rate.Limiter
	unanswered map[wire.Key]bool
	asked      map[wire.Key]bool // at any time, so nothing is asked twice
	order      []wire.Key        // of asked, oldest first
}

func newAsking() asking {
	return asking{limit: rate.NewLimiter(askRate, askBurst), unanswered: make(map[wire.Key]bool), asked: make(map[wire.Key]bool)}
}

// begin books a question, if there is room for it.
func (a *asking) begin(now time.Time, key wire.Key) bool {
	if a.asked[key] || len(a.unanswered) >= maxUnanswered || !a.limit.AllowN(now, 1) {
		return false
	}
	if len(a.order) == maxAsked {
		delete(a.asked, a.order[0])
		a.order = a.order[1:]
	}
	a.order = append(a.order, key)
	a.asked[key], a.unanswered[key] = true, true
	return true
}

// answered books a RECORD; false if there was no question.
func (a *asking) answered(key wire.Key) bool {
	due := a.unanswered[key]
	delete(a.unanswered, key)
	return due
}

// lost books that the neighbour does not know the record any more; it may announce it anew.
func (a *asking) lost(key wire.Key) {
	if a.unanswered[key] {
		delete(a.unanswered, key)
		delete(a.asked, key)
		a.order = slices.DeleteFunc(a.order, func(k wire.Key) bool { return k == key })
	}
}

// ask puts a question to a neighbour that announced something unknown, unless somebody is about to answer it.
func (s *Session) ask(n *neighbour, key wire.Key, nowMs int64) {
	if _, useless := s.questions.foreign[key]; useless || s.listed(key) || len(s.judge().window) == 0 {
		return
	}
	q, open := s.questions.open[key]
	if open && nowMs-q.atMs < askAgainMs || !n.asking.begin(s.clock(), key) {
		return
	}
	if !open {
		q.sinceMs = nowMs
	}
	q.neighbour, q.atMs = n.id, nowMs
	s.questions.open[key] = q
	n.send(wire.Ask{Key: key})
}

// listed tells that a key is in a recording that we have the playlist of.
func (s *Session) listed(key wire.Key) bool {
	for _, r := range s.renditions {
		if _, is := r.byKey[key]; is {
			return true
		}
	}
	return false
}

// askAgain puts questions that were not answered to somebody else who announced the object.
func (s *Session) askAgain(nowMs int64) {
	for key, q := range s.questions.open {
		if nowMs-q.sinceMs > questionMs {
			s.questions.settled(key) // it may come up again
			continue
		}
		if nowMs-q.atMs < askAgainMs {
			continue
		}
		for _, id := range slices.Sorted(maps.Keys(s.neighbours.byID)) {
			n := s.neighbours.byID[id]
			if _, announced := n.unknown.held[key]; announced && n.open {
				s.ask(n, key, nowMs)
			}
		}
	}
}

// receivedAsk answers at once and once: asking costs a neighbour as much as answering costs us.
func (s *Session) receivedAsk(n *neighbour, m wire.Ask) {
	rec, known := s.store.Record(m.Key)
	switch {
	case !known:
		n.send(wire.Lost(m))
	case !n.told[m.Key]:
		n.told[m.Key] = true
		n.send(wire.Record{Key: m.Key, Data: rec.Encode()})
	}
}

// receivedRecord believes nothing but the signature. Unasked it may come as often as we may ask.
func (s *Session) receivedRecord(n *neighbour, m wire.Record) {
	if !n.asking.answered(m.Key) && !n.asking.limit.AllowN(s.clock(), 1) {
		s.event(sched.Event{Kind: sched.Unsolicited, Neighbour: n.id, Object: -1})
		return
	}
	rec, err := manifest.ParseRecord(m.Data)
	if err != nil || keyOf(rec) != m.Key {
		s.drop(n, announce.Protocol, "sent something else than the record that it was asked for")
		return
	}
	if s.objectByKey(m.Key) != nil {
		return // another was faster
	}
	r := s.renditionOf(rec.Rendition)
	if r != nil && rec.Sequence <= r.verifier.Head() {
		return // or says it is: so it says nothing about what others would say
	}
	judge := r
	if judge == nil || len(judge.window) == 0 {
		judge = s.judge()
	}
	switch err := judge.verifier.Genuine(rec); manifest.CodeOf(err) {
	case "":
		s.news(r, rec)
	case manifest.Signature:
		s.blame(n, err)
	default: // the key is new, or invented
		s.event(sched.Event{Kind: sched.Unsolicited, Neighbour: n.id, Object: -1})
		judge.edge.hurry(s.nowMs())
	}
}

// judge is a rendition of which we have a playlist, and so the channel's signing keys.
func (s *Session) judge() *rendition {
	for _, r := range s.renditions {
		if len(r.window) > 0 {
			return r
		}
	}
	return s.renditions[0]
}

func (s *Session) renditionOf(name string) *rendition {
	for _, r := range s.renditions {
		if r.name == name {
			return r
		}
	}
	return nil
}

// news takes in a genuine record; r is nil if we do not follow its rendition.
func (s *Session) news(r *rendition, rec manifest.Record) {
	now := s.nowMs()
	switch {
	case r == nil || rec.Kind == manifest.KindPart && len(r.parts) == 0:
		s.questions.useless(keyOf(rec))
	case len(r.window) > 0 && !r.isNext(rec): // what comes before it may be on its way
		if len(r.ahead) < maxAhead {
			r.ahead = append(r.ahead, rec)
			s.questions.settled(keyOf(rec))
		}
		r.edge.hurry(now + askAgainMs)
	case len(r.window) == 0 || !s.extend(r, rec, now):
		s.questions.useless(keyOf(rec))
		r.edge.hurry(now)
	default:
		s.catchUp(r, now)
	}
}

// catchUp goes on with records that came too early.
func (s *Session) catchUp(r *rendition, nowMs int64) {
	for {
		r.ahead = slices.DeleteFunc(r.ahead, func(rec manifest.Record) bool { return rec.Sequence <= r.verifier.Head() })
		next := slices.IndexFunc(r.ahead, r.isNext)
		if next < 0 {
			return
		}
		rec := r.ahead[next]
		r.ahead = slices.Delete(r.ahead, next, next+1)
		if !s.extend(r, rec, nowMs) {
			r.edge.hurry(nowMs)
			return
		}
	}
}

// tell lets neighbours know that we have found an object's record in the playlist. Those who announced it know it, too, and if
// we hold something of it already the scheduler announces that, as it does where others told us. We are likely the first to
// know, so we tell the record itself: to be asked for it takes a round trip, and a part has half a second.
func (s *Session) tell(o *object) {
	if !s.core.PassesOn() {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.neighbours.byID)) {
		n := s.neighbours.byID[id]
		if !n.open || n.known[o.id] {
			continue
		}
		if n.tellIt {
			s.receivedAsk(n, wire.Ask{Key: o.key})
		}
		s.tellOne(n, o)
	}
}

func (s *Session) tellOne(n *neighbour, o *object) {
	if _, announced := n.announced[o.id]; announced || s.store.Bitfield(o.key).Count() > 0 {
		return
	}
	n.announced[o.id] = o.key
	n.send(wire.Have{Key: o.key, Leaves: uint16(o.leaves()), Bitfield: wire.NewBitfield(wire.Pieces(o.leaves()))})
}

// forgetTold takes back what tell has said of an object that goes; the scheduler does so for what it announced.
func (s *Session) forgetTold(o *object) {
	if s.store.Bitfield(o.key).Count() > 0 {
		return
	}
	now := s.nowMs()
	for _, n := range s.neighbours.byID {
		if _, announced := n.announced[o.id]; announced {
			delete(n.announced, o.id)
			n.mention(wire.Lost{Key: o.key}, now)
		}
	}
}

// introduceHeads tells a new neighbour of the newest record of each rendition.
func (s *Session) introduceHeads(n *neighbour) {
	if !s.core.PassesOn() {
		return
	}
	for _, r := range s.renditions {
		if len(r.window) > 0 {
			if o := s.objectByKey(r.window[len(r.window)-1].key); o != nil {
				s.tellOne(n, o)
			}
		}
	}
}

// heardOf books that a neighbour announced an object that we know.
func (s *Session) heardOf(n *neighbour, o *object) {
	n.known[o.id] = true
	if o.record.StartMs+o.record.DurationMs == o.rendition.edge.endMs {
		o.rendition.edge.announced(s.nowMs())
	}
}
