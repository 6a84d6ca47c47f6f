package swarm

// set holds viewers in an order that depends on nothing but the calls, with all operations in constant time.
type set struct {
	items []*viewer
	at    map[uint64]int
}

// len is 0 for no set at all.
func (s *set) len() int {
	if s == nil {
		return 0
	}
	return len(s.items)
}

func (s *set) add(v *viewer) {
	if _, ok := s.at[v.id]; ok {
		return
	}
	if s.at == nil {
		s.at = map[uint64]int{}
	}
	s.at[v.id] = len(s.items)
	s.items = append(s.items, v)
}

// remove moves the last one into the place that becomes free.
func (s *set) remove(v *viewer) {
	i, ok := s.at[v.id]
	if !ok {
		return
	}
	delete(s.at, v.id)
	last := len(s.items) - 1
	if i != last {
		s.items[i] = s.items[last]
		s.at[s.items[i].id] = i
	}
	s.items[last] = nil
	s.items = s.items[:last]
}
