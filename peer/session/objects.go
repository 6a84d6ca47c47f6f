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
	list       *leafList // its leaf list is being fetched
}

func keyOf(rec manifest.Record) wire.Key { return wire.KeyOf(rec.Root) }

func (o *object) leaves() int { return manifest.LeafCount(o.record.Size) }

// addObject makes a verified segment known to store, scheduler and neighbours.
func (s *Session) addObject(r *rendition, v manifest.Verified, url string) {
	key := keyOf(v.Record)
	if _, known := s.byKey[key]; known || v.Record.Sequence <= r.evicted {
		return
	}
	if err := s.store.Add(v.Record); err != nil {
		s.log.Warn("a segment does not fit the store", "segment", v.Record.Sequence, "error", err)
		return
	}
	o := &object{id: s.nextObject, key: key, record: v.Record, rendition: r, url: url}
	s.nextObject++
	s.objects[o.id], s.byKey[key] = o, o.id
	now := s.nowMs()
	o.deadlineMs = s.cfg.Audience.DeadlineMs(now, s.segment(r, v))
	s.event(sched.Event{
		Kind: sched.ObjectAdd, Object: o.id, Rendition: r.id, Sequence: v.Record.Sequence,
		Leaves: int32(o.leaves()), Size: v.Record.Size, Value: o.deadlineMs,
	})
	s.questions.settled(o.key)
	s.neighbours.replayAnnouncements(s, o)
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
		delete(n.listSent, o.key)
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
			o := s.objectByKey(e.key)
			if o == nil || s.store.Complete(o.key) {
				continue
			}
			deadline := s.cfg.Audience.DeadlineMs(nowMs, e.Segment)
			moved := deadline - o.deadlineMs
			if moved > deadlineSlackMs || moved < -deadlineSlackMs {
				o.deadlineMs = deadline
				s.event(sched.Event{Kind: sched.ObjectWant, Object: o.id, Value: deadline})
			}
		}
	}
}

// stored books a leaf that the store took, and tells the scheduler.
func (s *Session) stored(o *object, leaf int, from int32, bytes int) {
	s.stats.VerifiedLeaves++
	o.rendition.changed = o.rendition.changed || s.store.Complete(o.key)
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
