package session

import (
	"maps"

	"slipstream/origin/manifest"
	"slipstream/peer/sched"
	"slipstream/peer/wire"
)

// planEveryMs is how often deadlines are asked for again; deadlineSlackMs is how
// far one must move to be worth telling the scheduler.
const (
	planEveryMs     = 250
	deadlineSlackMs = 100
	// departedMs is how long after an object left us its leaves may still arrive.
	departedMs = 10_000
)

// object is a segment whose record is verified.
type object struct {
	id         int32
	key        wire.Key
	record     manifest.Record
	rendition  *rendition
	url        string
	deadlineMs int64
	firstMs    int64 // when its first leaf was there, its last; epoch ms, 0 before
	doneMs     int64
	list       *leafList // its leaf list is being fetched
}

func keyOf(rec manifest.Record) wire.Key { return wire.KeyOf(rec.Root) }

func (o *object) leaves() int { return manifest.LeafCount(o.record.Size) }

// addObject makes a verified segment known to store, scheduler and neighbours.
func (s *Session) addObject(r *rendition, e entry) {
	live := len(r.recorded) == 0
	if _, known := s.byKey[e.key]; known || e.Gap || live && e.Number <= r.evicted {
		return
	}
	if err := s.store.Add(e.record); err != nil {
		s.log.Warn("a segment does not fit the store", "segment", e.Number, "error", err)
		return
	}
	o := &object{id: s.nextObject, key: e.key, record: e.record, rendition: r, url: e.url}
	s.nextObject++
	s.objects[o.id], s.byKey[o.key] = o, o.id
	o.deadlineMs = s.deadline(r, e, s.nowMs())
	s.event(sched.Event{
		Kind: sched.ObjectAdd, Object: o.id, Rendition: r.id, Sequence: turn(e.record),
		Leaves: int32(o.leaves()), Size: e.record.Size, Value: o.deadlineMs,
	})
	s.questions.settled(o.key)
	s.neighbours.replayAnnouncements(s, o)
}

// deadline is by when the audience wants a segment, 0 if it does not.
func (s *Session) deadline(r *rendition, e entry, nowMs int64) int64 {
	if !r.active || e.assembled {
		return 0
	}
	return s.cfg.Audience.DeadlineMs(nowMs, e.Segment)
}

func (s *Session) removeObject(o *object) {
	s.event(sched.Event{Kind: sched.ObjectRemove, Object: o.id})
	s.forgetTold(o)
	o.rendition.changed = true
	s.store.Remove(o.key)
	delete(s.objects, o.id)
	delete(s.byKey, o.key)
	now := s.nowMs()
	maps.DeleteFunc(s.departed, func(_ wire.Key, leftMs int64) bool { return now-leftMs > departedMs })
	s.departed[o.key] = now
	for _, n := range s.neighbours.byID {
		delete(n.lists, o.key)
		delete(n.told, o.key)
		delete(n.known, o.id)
	}
}

// forgetEvicted follows the store when it made room.
func (s *Session) forgetEvicted() {
	for _, rec := range s.store.Evicted() {
		if o := s.objectByKey(keyOf(rec)); o != nil {
			o.rendition.evicted = max(o.rendition.evicted, rec.Sequence)
			s.removeObject(o)
		}
	}
}

// plan asks the audience again by when it needs what is still missing.
func (s *Session) plan(nowMs int64) {
	for _, r := range s.renditions {
		for _, e := range r.window {
			if o := s.objectByKey(e.key); o != nil && !s.store.Complete(o.key) {
				s.want(o, s.deadline(r, e, nowMs))
			}
		}
	}
}

// want tells the scheduler of a deadline that has moved.
func (s *Session) want(o *object, deadlineMs int64) {
	moved := deadlineMs - o.deadlineMs
	if moved > deadlineSlackMs || moved < -deadlineSlackMs {
		o.deadlineMs = deadlineMs
		s.event(sched.Event{Kind: sched.ObjectWant, Object: o.id, Value: deadlineMs})
	}
}

// stored books a leaf that the store took, and tells the scheduler.
func (s *Session) stored(o *object, leaf int, from int32, bytes int) {
	s.stats.VerifiedLeaves++
	if o.firstMs == 0 {
		o.firstMs = s.nowMs()
	}
	if s.store.Complete(o.key) {
		o.doneMs, o.rendition.changed = s.nowMs(), true
		s.assemble(o.rendition, o.record.Sequence)
		s.meetOthers()
	}
	if from != sched.CDN {
		s.stats.P2PBytes += int64(bytes)
	} else {
		s.fetched(o, leaf)
	}
	if s.cfg.Verified != nil {
		s.cfg.Verified(o.key, leaf, from == sched.CDN)
	}
	s.event(sched.Event{Kind: sched.Verified, Object: o.id, Leaf: int32(leaf), Neighbour: from})
}
