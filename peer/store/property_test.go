package store

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slipstream/origin/manifest"
)

// TestNothingUnverifiedEnters throws true and corrupted lists, leaves and objects at a small store in any order, and
// checks after every step that what can be read is what the owner made, that senders are blamed exactly for what is
// false, and that the books are right.
func TestNothingUnverifiedEnters(t *testing.T) {
	sizes := []int{1, 100, manifest.LeafSize, manifest.LeafSize + 1, 2 * manifest.LeafSize, 3*manifest.LeafSize + 5, 5 * manifest.LeafSize}
	var pool []sample
	for i, size := range sizes {
		pool = append(pool, makeSample(int64(100+i), size), makeSample(int64(90-i), size))
	}
	rapid.Check(t, func(t *rapid.T) {
		s := New(rapid.Int64Range(fullCost(5*manifest.LeafSize), 500_000).Draw(t, "budget"))
		pick := func(t *rapid.T) sample { return rapid.SampledFrom(pool).Draw(t, "object") }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				if err := s.Add(pick(t).record); err != nil && !errors.Is(err, ErrDuplicate) {
					t.Fatalf("Add: %v", err)
				}
			},
			"list": func(t *rapid.T) {
				x := pick(t)
				hashes := slices.Clone(x.hashes)
				if rapid.Bool().Draw(t, "corrupt") {
					i := rapid.IntRange(0, len(hashes)-1).Draw(t, "hash")
					hashes[i][rapid.IntRange(0, 31).Draw(t, "byte")] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
				}
				known, listed := s.Bitfield(x.key()) != nil, s.Listed(x.key())
				judge(t, s.PutLeaves(x.key(), hashes), slices.Equal(hashes, x.hashes), known && !listed)
			},
			"leaf": func(t *rapid.T) {
				x := pick(t)
				i := rapid.IntRange(0, len(x.hashes)).Draw(t, "leaf")
				data := corrupt(t, x.leaf(min(i, len(x.hashes)-1)))
				genuine := i < len(x.hashes) && bytes.Equal(data, x.leaf(i))
				open := s.Listed(x.key()) && !s.Has(x.key(), i)
				judge(t, s.PutLeaf(x.key(), i, data), genuine, open)
				clear(data) // the store must not have kept it
			},
			"object": func(t *rapid.T) {
				x := pick(t)
				data := corrupt(t, x.data)
				known, complete := s.Bitfield(x.key()) != nil, s.Complete(x.key())
				judge(t, s.PutObject(x.key(), data), bytes.Equal(data, x.data), known && !complete)
			},
			"remove":  func(t *rapid.T) { s.Remove(pick(t).key()) },
			"evicted": func(*rapid.T) { s.Evicted() },
			"":        func(t *rapid.T) { inspect(t, s, pool) },
		})
	})
}

// corrupt returns a copy of data that is true or false.
func corrupt(t *rapid.T, data []byte) []byte {
	data = bytes.Clone(data)
	switch rapid.IntRange(0, 5).Draw(t, "corruption") {
	case 0:
		data[rapid.IntRange(0, len(data)-1).Draw(t, "byte")] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
	case 1:
		data = data[:rapid.IntRange(0, len(data)-1).Draw(t, "length")]
	case 2:
		data = append(data, 0)
	}
	return data
}

// judge holds the answer to a put against whether the content was genuine and whether the store was waiting for it.
func judge(t *rapid.T, err error, genuine, awaited bool) {
	switch {
	case err == nil && !genuine:
		t.Fatal("something false was stored")
	case err != nil && genuine && awaited:
		t.Fatalf("something true that was missing was refused: %v", err)
	case Blame(err) != (awaited && !genuine):
		t.Fatalf("genuine %v, awaited %v, yet Blame(%v) is %v", genuine, awaited, err, Blame(err))
	}
}

func inspect(t *rapid.T, s *Store, pool []sample) {
	used := int64(0)
	for _, x := range pool {
		o := s.objects[x.key()]
		if o == nil {
			if _, err := s.Object(x.key()); !errors.Is(err, ErrUnknown) {
				t.Fatalf("reading an unknown object says %v", err)
			}
			continue
		}
		used += o.cost()
		for i := range x.hashes {
			leaf, err := s.Leaf(x.key(), i)
			if s.Has(x.key(), i) != (err == nil) || err == nil && !bytes.Equal(leaf, x.leaf(i)) {
				t.Fatalf("leaf %d of segment %d is not what its owner made (%v)", i, x.record.Sequence, err)
			}
		}
		object, err := s.Object(x.key())
		if s.Complete(x.key()) != (err == nil) || err == nil && !bytes.Equal(object, x.data) {
			t.Fatalf("segment %d is not what its owner made (%v)", x.record.Sequence, err)
		}
		if o.held != o.have.Count() {
			t.Fatalf("segment %d counts %d leaves and holds %d", x.record.Sequence, o.held, o.have.Count())
		}
	}
	if s.Used() != used || used > s.budget {
		t.Fatalf("the store counts %d bytes, holds %d, and may hold %d", s.Used(), used, s.budget)
	}
	if len(s.order) != len(s.objects) || !slices.IsSortedFunc(s.order, older) {
		t.Fatal("the order of age is broken")
	}
}
