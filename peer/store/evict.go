package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"

	"slipstream/origin/manifest"
	"slipstream/peer/wire"
)

// This file keeps the store within its budget: order holds all objects from the oldest to the youngest, and used is
// always the sum of their costs.

// maxEvicted bounds what Evicted remembers.
const maxEvicted = 1024

// cost is what the object counts against the budget now.
func (o *object) cost() int64 {
	return overhead + int64(len(o.hashes))*sha256.Size + int64(len(o.data))
}

// fullCost is what an object of that size costs once it is complete.
func fullCost(size int64) int64 {
	return overhead + int64(manifest.LeafCount(size))*sha256.Size + size
}

// older orders objects by age. Init sections come after the media of their age, and roots make the order total.
func older(a, b *object) int {
	return cmp.Or(
		cmp.Compare(a.age, b.age),
		-cmp.Compare(a.record.Kind, b.record.Kind),
		bytes.Compare(a.record.Root[:], b.record.Root[:]),
	)
}

func (s *Store) insert(o *object) {
	i, _ := slices.BinarySearchFunc(s.order, o, older)
	s.order = slices.Insert(s.order, i, o)
}

func (s *Store) take(o *object) {
	i, _ := slices.BinarySearchFunc(s.order, o, older)
	s.order = slices.Delete(s.order, i, i+1)
}

// change runs a change of an object's content, books its cost and pushes out others if need be.
func (s *Store) change(o *object, mutate func()) {
	s.used -= o.cost()
	mutate()
	s.used += o.cost()
	s.evict(o)
}

// evict pushes out the oldest objects but keep until the budget is met. Add has made sure that keep fits alone.
func (s *Store) evict(keep *object) {
	for i := 0; s.used > s.budget && i < len(s.order); {
		o := s.order[i]
		if o == keep {
			i++
			continue
		}
		s.drop(o)
		if len(s.evicted) == maxEvicted {
			s.evicted = slices.Delete(s.evicted, 0, 1)
		}
		s.evicted = append(s.evicted, o.record)
	}
}

func (s *Store) drop(o *object) {
	s.take(o)
	delete(s.objects, wire.KeyOf(o.record.Root))
	s.used -= o.cost()
}

// Renew makes an object as young as age, if it is older: a viewer of a recording looks at it again. Ages given are
// to be above all sequence numbers, or not to be mixed with them.
func (s *Store) Renew(key wire.Key, age int64) {
	if o := s.objects[key]; o != nil {
		s.renew(o, age)
	}
}

// renew makes an object as young as sequence, if it is older.
func (s *Store) renew(o *object, sequence int64) {
	if sequence <= o.age {
		return
	}
	s.take(o)
	o.age = sequence
	s.insert(o)
}

// renewInit keeps the init section that rec needs from going before rec.
func (s *Store) renewInit(rec manifest.Record) {
	if rec.Kind == manifest.KindInit {
		return
	}
	if o := s.objects[wire.KeyOf(rec.Init)]; o != nil && o.record.Root == rec.Init {
		s.renew(o, rec.Sequence)
	}
}

// newestUser is the age of an init section that arrives after media that need it.
func (s *Store) newestUser(init manifest.Record) int64 {
	age := init.Sequence
	for _, o := range s.order {
		if o.record.Init == init.Root {
			age = max(age, o.age)
		}
	}
	return age
}
