package tight

import "iter"

// Keyed knows its own key, which is never 0 and as good as random.
type Keyed interface {
	comparable
	Key() uint64
}

// Index finds entries by their keys, as a map does, which has the keys besides: with pointers as entries it takes half of the
// memory. It is a hash table with linear probing. The zero Index is empty.
type Index[E Keyed] struct {
	slots []E // a power of two; at most three quarters are taken
	count int
}

const leastSlots = 8

// Len is the number of entries.
func (x *Index[E]) Len() int { return x.count }

// Get finds an entry; the zero E if there is none.
func (x *Index[E]) Get(key uint64) (e E) {
	if x.count == 0 {
		return e
	}
	e, _ = x.find(key)
	return e
}

// find tells also where it is, or where there would be place for it. There are slots.
func (x *Index[E]) find(key uint64) (e E, at uint64) {
	var none E
	mask := uint64(len(x.slots) - 1)
	for at = home(key) & mask; ; at = (at + 1) & mask {
		if e = x.slots[at]; e == none || e.Key() == key {
			return e, at
		}
	}
}

// home is where a key shall be (Fibonacci hashing).
func home(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 24 }

// Put adds an entry, in place of another one with its key.
func (x *Index[E]) Put(e E) {
	var none E
	if 4*(x.count+1) > 3*len(x.slots) {
		before := x.slots
		x.slots = make([]E, max(2*len(before), leastSlots))
		for _, old := range before {
			if old != none {
				_, at := x.find(old.Key())
				x.slots[at] = old
			}
		}
	}
	old, at := x.find(e.Key())
	if x.slots[at] = e; old == none {
		x.count++
	}
}

// Delete takes an entry out, if it is there. Those behind it that would not be found any more move up (Knuth, The Art of
// Computer Programming, volume 3, 6.4, algorithm R).
func (x *Index[E]) Delete(key uint64) {
	var none E
	if x.count == 0 {
		return
	}
	e, at := x.find(key)
	if e == none {
		return
	}
	mask := uint64(len(x.slots) - 1)
	for next := (at + 1) & mask; x.slots[next] != none; next = (next + 1) & mask {
		if (next-home(x.slots[next].Key()))&mask >= (next-at)&mask {
			x.slots[at] = x.slots[next]
			at = next
		}
	}
	x.slots[at] = none
	x.count--
}

// All are the entries, in no order. Meanwhile there must be no Put and no Delete.
func (x *Index[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		var none E
		for _, e := range x.slots {
			if e != none && !yield(e) {
				return
			}
		}
	}
}
