package world

// Local is how much of the media stayed where it was: inside of places, which are ISPs where it matters.
type Local struct {
	Bytes int64 // that viewers got from neighbours in their own place
	// CouldBytes is what viewers could have got so: all media but one copy of each segment, which must come from outside, in every
	// place in which there are viewers, and not more than the uplinks there can carry in that time.
	CouldBytes int64
}

// placeStats is what happened to a segment, or to many, in one place.
type placeStats struct {
	media    int64 // bytes that its viewers got, from wherever
	local    int64 // of them, from each other
	entering int64 // of them, the copies that must come from outside
	carried  int64 // bytes that the uplinks of those who got any can carry in the time of a segment
}

func (p *placeStats) add(q placeStats) {
	p.media += q.media
	p.local += q.local
	p.entering += q.entering
	p.carried += q.carried
}

// addPlaces adds up place by place.
func addPlaces(sum, more []placeStats) []placeStats {
	for i := range more {
		if i == len(sum) {
			sum = append(sum, placeStats{})
		}
		sum[i].add(more[i])
	}
	return sum
}

// countLocal books a leaf that came from a neighbour, or from the CDN.
func (v *viewer) countLocal(s *segmentStats, bytes int64, first bool, from int32) {
	if s.places == nil {
		s.places = make([]placeStats, len(v.w.cfg.Places))
	}
	p := &s.places[v.place]
	p.media += bytes
	if first {
		p.carried += v.uplink * v.w.stream.segmentMs / 1000
	}
	if from >= 0 {
		if other := v.w.viewers[v.ends[from].peer]; !other.seeder && other.place == v.place {
			p.local += bytes
		}
	}
}

// local is what it comes to.
func local(places []placeStats) (l Local) {
	for _, p := range places {
		l.Bytes += p.local
		l.CouldBytes += min(p.media-p.entering, p.carried)
	}
	return l
}

// largestComponent is the share of those present who are in the largest part of the graph of connections; 1 of nobody.
func (w *world) largestComponent() float64 {
	at := make([]bool, len(w.viewers))
	present, largest := 0, 0
	for i, v := range w.viewers {
		if !v.present() {
			continue
		}
		present++
		if at[i] {
			continue
		}
		at[i] = true
		reached := []int32{int32(i)}
		for n := 0; n < len(reached); n++ {
			u := w.viewers[reached[n]]
			for e := range u.ends {
				if peer := u.ends[e].peer; u.ends[e].open && !at[peer] && w.viewers[peer].present() {
					at[peer] = true
					reached = append(reached, peer)
				}
			}
		}
		largest = max(largest, len(reached))
	}
	if present == 0 {
		return 1
	}
	return float64(largest) / float64(present)
}
