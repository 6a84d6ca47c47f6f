// Package store is a viewer's bounded memory of verified media: init sections, segments and parts, whole or in leaves.
//
// Nothing enters unverified. An object becomes known by its signed record ([Store.Add]); its leaf list must add up to
// the record's root ([Store.PutLeaves]); each leaf must match its hash in the list ([Store.PutLeaf]); a whole object
// must add up to the root ([Store.PutObject]). So whatever can be read out again may be played and passed on, however
// many strangers it came through, and whoever sent something that does not fit is named by the error: [Blame] tells the
// sender's fault from ours.
//
// The life of an object:
//
//	Add ──▶ known ──PutLeaves──▶ listed ──PutLeaf…──▶ complete ──budget, Remove──▶ gone
//	          │                                           ▲
//	          └───────────────PutObject───────────────────┘
//
// An object of a single leaf is listed as soon as it is known: its only leaf hash is the root.
//
// Objects are found by wire.Key, the first 8 bytes of the root, and are held to the full root. When the byte budget
// is exceeded, the oldest objects go, oldest meaning the lowest sequence number; an init section is as young as the
// youngest object that needs it. Bytes are stored once: an object's buffer is allocated when its first leaf arrives (the
// size is signed), reads return parts of it, and since buffers are never used again for something else, what was read
// stays good after the object is gone.
//
// The package is a pure core. A Store is not safe for concurrent use: one goroutine owns it, as it owns the scheduler.
package store

import (
	"fmt"
	"slices"

	"slipstream/origin/manifest"
	"slipstream/peer/wire"
)

// overhead is what an object costs besides its data and its leaf list: its record, bitfield and entries in the maps. It
// makes the budget bound the number of objects too.
const overhead = 1024

// Store holds verified objects. Make one with New.
type Store struct {
	budget  int64
	used    int64
	objects map[wire.Key]*object
	order   []*object // all objects, oldest first
	evicted []manifest.Record
}

// object is one object and what is held of it. Invariant: every leaf that is set in have was verified against hashes,
// which were verified against record.Root.
type object struct {
	record manifest.Record
	age    int64 // sequence number that decides when it goes
	hashes []manifest.Hash
	data   []byte // nil, or record.Size bytes
	have   wire.Bitfield
	held   int // leaves set in have
}

// New returns an empty store that keeps at most budget bytes, counting data, leaf lists and 1 KiB for each object.
func New(budget int64) *Store {
	return &Store{budget: budget, objects: make(map[wire.Key]*object)}
}

// Add makes an object known by its record, which the caller has verified: the store believes its size and its root. It
// fails with ErrDuplicate if the object is known, with ErrCollision if another object has the same key, and with
// ErrSize or ErrBudget if the record's size is impossible or more than the whole budget.
//
// When the same bytes are signed twice (an init section for each run, a repeated segment), the record with the highest
// sequence number is kept.
func (s *Store) Add(rec manifest.Record) error {
	if rec.Size < 1 || rec.Size > manifest.MaxObjectSize {
		return fmt.Errorf("%w: a record says %d bytes, allowed are 1 to %d", ErrSize, rec.Size, manifest.MaxObjectSize)
	}
	key := wire.KeyOf(rec.Root)
	if o := s.objects[key]; o != nil {
		if o.record.Root != rec.Root || o.record.Size != rec.Size {
			return fmt.Errorf("%w: %v", ErrCollision, key)
		}
		if rec.Sequence > o.record.Sequence {
			s.take(o)
			o.record, o.age = rec, max(o.age, rec.Sequence)
			s.insert(o)
		}
		s.renewInit(rec)
		return fmt.Errorf("%w: object %v is known", ErrDuplicate, key)
	}
	o := &object{record: rec, age: rec.Sequence, have: wire.NewBitfield(manifest.LeafCount(rec.Size))}
	if manifest.LeafCount(rec.Size) == 1 {
		o.hashes = []manifest.Hash{rec.Root}
	}
	if fullCost(rec.Size) > s.budget {
		return fmt.Errorf("%w: an object of %d bytes, the budget is %d", ErrBudget, rec.Size, s.budget)
	}
	if rec.Kind == manifest.KindInit {
		o.age = s.newestUser(rec)
	}
	s.objects[key] = o
	s.insert(o)
	s.used += o.cost()
	s.renewInit(rec)
	s.evict(o)
	return nil
}

// PutLeaves gives an object its leaf list and keeps the slice. It fails with ErrUnknown, ErrDuplicate, or with
// ErrBadList if the hashes do not add up to the root: whoever sent them is to blame.
func (s *Store) PutLeaves(key wire.Key, hashes []manifest.Hash) error {
	o, err := s.find(key)
	if err != nil {
		return err
	}
	if o.hashes != nil {
		return fmt.Errorf("%w: the leaf list of object %v", ErrDuplicate, key)
	}
	if err := manifest.Leaves(o.record, hashes); err != nil {
		return fmt.Errorf("%w: %w", ErrBadList, err)
	}
	s.change(o, func() { o.hashes = slices.Clip(hashes) })
	return nil
}

// PutLeaf copies one leaf into its object. It fails with ErrUnknown, ErrNoList, ErrDuplicate (the leaf is held, data
// was not looked at), or with ErrBadLeaf if the object has no such leaf, or the data is not of its length, or does not
// match its hash: whoever sent it is to blame.
func (s *Store) PutLeaf(key wire.Key, index int, data []byte) error {
	o, err := s.find(key)
	switch {
	case err != nil:
		return err
	case o.hashes == nil:
		return fmt.Errorf("%w: object %v", ErrNoList, key)
	case o.have.Has(index):
		return fmt.Errorf("%w: leaf %d of object %v", ErrDuplicate, index, key)
	}
	if err := manifest.Leaf(o.record, o.hashes, index, data); err != nil {
		return fmt.Errorf("%w: %w", ErrBadLeaf, err)
	}
	if o.data == nil {
		s.change(o, func() { o.data = make([]byte, o.record.Size) })
	}
	copy(o.data[index*manifest.LeafSize:], data)
	o.have.Set(index)
	o.held++
	return nil
}

// PutObject gives a whole object, for which no leaf list is needed, and keeps the slice: the caller must not change it
// any more, and it should have no spare capacity, which the budget does not see. It fails with ErrUnknown, with ErrDuplicate if the object is complete, with ErrSize if data is not of the
// signed size, or with ErrBadObject if it does not add up to the root. For the last two the source is to blame.
func (s *Store) PutObject(key wire.Key, data []byte) error {
	o, err := s.find(key)
	if err != nil {
		return err
	}
	if o.complete() {
		return fmt.Errorf("%w: object %v is complete", ErrDuplicate, key)
	}
	if int64(len(data)) != o.record.Size {
		return fmt.Errorf("%w: object %v has %d bytes, these are %d", ErrSize, key, o.record.Size, len(data))
	}
	hashes := manifest.LeafHashes(data)
	if err := manifest.Leaves(o.record, hashes); err != nil {
		return fmt.Errorf("%w: %w", ErrBadObject, err)
	}
	s.change(o, func() {
		o.hashes = hashes
		o.data = slices.Clip(data)
	})
	for i := range hashes {
		o.have.Set(i)
	}
	o.held = len(hashes)
	return nil
}

// Remove forgets an object. It is not reported by Evicted.
func (s *Store) Remove(key wire.Key) {
	if o := s.objects[key]; o != nil {
		s.drop(o)
	}
}

// Evicted returns the records of objects that the budget has pushed out since the last call, in that order: neighbours
// who were told of them should hear LOST. The store remembers the last 1,024 only, so ask after every Add and Put.
func (s *Store) Evicted() []manifest.Record {
	evicted := s.evicted
	s.evicted = nil
	return evicted
}

// Used is the number of bytes counted against the budget.
func (s *Store) Used() int64 { return s.used }
