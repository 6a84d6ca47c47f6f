package store

import (
	"fmt"

	"slipstream/origin/manifest"
	"slipstream/peer/wire"
)

// Leaf returns a verified leaf, as a part of the store that must not be changed. It fails with ErrUnknown or ErrMissing.
func (s *Store) Leaf(key wire.Key, index int) ([]byte, error) {
	o, err := s.find(key)
	if err != nil {
		return nil, err
	}
	if !o.have.Has(index) {
		return nil, fmt.Errorf("%w: leaf %d of object %v", ErrMissing, index, key)
	}
	start := index * manifest.LeafSize
	end := start + manifest.LeafLength(o.record.Size, index)
	return o.data[start:end:end], nil
}

// Object returns the bytes of a complete object, as a part of the store that must not be changed. It fails with
// ErrUnknown or ErrMissing.
func (s *Store) Object(key wire.Key) ([]byte, error) {
	o, err := s.find(key)
	if err != nil {
		return nil, err
	}
	if !o.complete() {
		return nil, fmt.Errorf("%w: object %v lacks %d of %d leaves", ErrMissing, key, o.leaves()-o.held, o.leaves())
	}
	return o.data, nil
}

// Leaves returns an object's verified leaf list, which must not be changed. It fails with ErrUnknown or ErrNoList.
func (s *Store) Leaves(key wire.Key) ([]manifest.Hash, error) {
	o, err := s.find(key)
	if err != nil {
		return nil, err
	}
	if o.hashes == nil {
		return nil, fmt.Errorf("%w: object %v", ErrNoList, key)
	}
	return o.hashes, nil
}

// Record returns the record of a known object.
func (s *Store) Record(key wire.Key) (manifest.Record, bool) {
	if o := s.objects[key]; o != nil {
		return o.record, true
	}
	return manifest.Record{}, false
}

// Bitfield returns a copy of the bitfield of the leaves held, nil if the object is not known.
func (s *Store) Bitfield(key wire.Key) wire.Bitfield {
	if o := s.objects[key]; o != nil {
		return append(wire.Bitfield(nil), o.have...)
	}
	return nil
}

// Has reports whether a leaf is held.
func (s *Store) Has(key wire.Key, index int) bool {
	o := s.objects[key]
	return o != nil && o.have.Has(index)
}

// Listed reports whether the object's leaf list is held, without which no single leaf can be put.
func (s *Store) Listed(key wire.Key) bool {
	o := s.objects[key]
	return o != nil && o.hashes != nil
}

// Complete reports whether all leaves are held.
func (s *Store) Complete(key wire.Key) bool {
	o := s.objects[key]
	return o != nil && o.complete()
}

// Records returns the records of all known objects, oldest first.
func (s *Store) Records() []manifest.Record {
	records := make([]manifest.Record, len(s.order))
	for i, o := range s.order {
		records[i] = o.record
	}
	return records
}

func (s *Store) find(key wire.Key) (*object, error) {
	if o := s.objects[key]; o != nil {
		return o, nil
	}
	return nil, fmt.Errorf("%w: %v", ErrUnknown, key)
}

func (o *object) leaves() int { return manifest.LeafCount(o.record.Size) }

func (o *object) complete() bool { return o.held == o.leaves() }
