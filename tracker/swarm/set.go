package swarm

import "slices"

// set holds viewers in an order that depends on nothing but the calls, with all operations in constant time. It must not be copied.
type set struct {
	items []*viewer
	// index has, where there are more than few, the place of each plus one: a hash table with linear probing, four bytes
	// an entry. Every viewer is in several sets, and in a map each would be seven times as much.
	index []uint32

	first [4]*viewer // where items begin: most sets are subnets of one viewer or two
}

// few are found without an index. Most subnets and many ISPs of a room have no more.
const few = 8

// len is 0 for no set at all.
func (s *set) len() int {
	if s == nil {
		return 0
	}
	return len(s.items)
}

func (s *set) has(v *viewer) bool {
	i, _ := s.find(v)
	return i >= 0
}

// find tells v's place, -1 if it has none, and where the index says so.
func (s *set) find(v *viewer) (place int, at uint32) {
	if s.index == nil {
		return slices.Index(s.items, v), 0
	}
	for at = s.home(v); s.index[at] != 0; at = s.after(at) {
		if i := int(s.index[at]) - 1; s.items[i] == v {
			return i, at
		}
	}
	return -1, at
}

// home is where the index should have v (Fibonacci hashing).
func (s *set) home(v *viewer) uint32 {
	return uint32(v.id*0x9e3779b97f4a7c15>>32) & uint32(len(s.index)-1)
}

func (s *set) after(at uint32) uint32 { return (at + 1) & uint32(len(s.index)-1) }

func (s *set) add(v *viewer) {
	i, at := s.find(v)
	if i >= 0 {
		return
	}
	if s.items == nil {
		s.items = s.first[:0]
	}
	s.items = append(s.items, v)
	switch n := len(s.items); {
	case n > few && 4*n > 3*len(s.index):
		s.reindex(max(2*len(s.index), 2*few))
	case s.index != nil:
		s.index[at] = uint32(n)
	}
}

func (s *set) reindex(size int) {
	s.index = make([]uint32, size)
	for i, v := range s.items {
		at := s.home(v)
		for s.index[at] != 0 {
			at = s.after(at)
		}
		s.index[at] = uint32(i + 1)
	}
}

// remove moves the last one into the place that becomes free.
func (s *set) remove(v *viewer) {
	i, at := s.find(v)
	if i < 0 {
		return
	}
	last := len(s.items) - 1
	if s.index != nil {
		s.vacate(at)
		if i != last {
			_, at = s.find(s.items[last])
			s.index[at] = uint32(i + 1)
		}
	}
	s.items[i], s.items[last] = s.items[last], nil
	if s.items = s.items[:last]; last <= few/2 {
		s.index = nil
	}
}

// vacate takes an entry out of the index. Those behind it that would not be found any more move up (Knuth, The Art of
// Computer Programming, volume 3, 6.4, algorithm R).
func (s *set) vacate(at uint32) {
	mask := uint32(len(s.index) - 1)
	for next := s.after(at); s.index[next] != 0; next = s.after(next) {
		home := s.home(s.items[s.index[next]-1])
		if (next-home)&mask >= (next-at)&mask {
			s.index[at] = s.index[next]
			at = next
		}
	}
	s.index[at] = 0
}
