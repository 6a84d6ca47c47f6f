package webtorrent

// Limits bound what the swarms may grow to. Zero values mean the defaults in brackets.
type Limits struct {
	Swarms     int   // [100,000]
	SwarmPeers int   // of one swarm [50,000]
	ExpiryMs   int64 // after which a peer that has said nothing is forgotten [360,000]
}

func (l *Limits) setDefaults() {
	setDefault(&l.Swarms, 100_000)
	setDefault(&l.SwarmPeers, 50_000)
	setDefault(&l.ExpiryMs, 360_000)
}

func setDefault[N int | int64](limit *N, otherwise N) {
	if *limit <= 0 {
		*limit = otherwise
	}
}

// Why an announce is refused that is well-formed.
const (
	errSwarmFull   = Refusal("The swarm is full; try again later.")
	errTrackerFull = Refusal("The tracker has no room for another swarm; try again later.")
	errPeerIDTaken = Refusal("Another connection announced this peer_id; try again later, or with another one.")
)

// Swarms are who announced what. C is a client's connection, as the shell knows it.
type Swarms[C comparable] struct {
	limits Limits
	random random
	swarms map[Hash]*swarm[C]
	peers  int
}

// swarm holds its peers twice: by name, and in a list from which to draw, leechers before seeders.
type swarm[C comparable] struct {
	byID      map[ID]*peer[C]
	list      []*peer[C]
	leechers  int // list[:leechers]
	completed int // ever
}

type peer[C comparable] struct {
	id      ID
	conn    C
	at      int // in the list
	heardMs int64
}

// New makes swarms whose draws follow from the seed.
func New[C comparable](limits Limits, seed uint64) *Swarms[C] {
	limits.setDefaults()
	return &Swarms[C]{limits: limits, random: random{seed}, swarms: map[Hash]*swarm[C]{}}
}

// Outcome is what an announce leads to. The caller may use one again and again.
type Outcome[C comparable] struct {
	Counts   Counts
	OffersTo []C // the i-th offer goes to OffersTo[i]; those beyond it find nobody
	AnswerTo C   // meaningful if Answered
	Answered bool
}

// Announce does what the request asks for, an announce of a client on conn. nowMs may be any clock that does not go back.
func (s *Swarms[C]) Announce(nowMs int64, conn C, r *Request, out *Outcome[C]) error {
	*out = Outcome[C]{OffersTo: out.OffersTo[:0]}
	w := s.swarms[r.InfoHash]
	var p *peer[C]
	if w != nil {
		p = w.byID[r.PeerID]
	}
	if p != nil && p.conn != conn {
		return errPeerIDTaken
	}
	if r.Event == Stopped {
		if p != nil {
			s.remove(r.InfoHash, w, p)
		}
		if w != nil {
			out.Counts = w.counts()
		}
		return nil
	}
	if p == nil {
		if w == nil {
			if len(s.swarms) >= s.limits.Swarms {
				return errTrackerFull
			}
			w = &swarm[C]{byID: map[ID]*peer[C]{}}
			s.swarms[r.InfoHash] = w
		} else if len(w.list) >= s.limits.SwarmPeers {
			return errSwarmFull
		}
		p = &peer[C]{id: r.PeerID, conn: conn, at: len(w.list)}
		w.byID[p.id] = p
		w.list = append(w.list, p)
		s.peers++
		w.setSeeder(p, false)
	}
	p.heardMs = nowMs
	if r.Answer != nil {
		if to := w.byID[r.ToPeerID]; to != nil {
			out.AnswerTo, out.Answered = to.conn, true
		}
		return nil
	}
	if r.Event == Completed && p.at < w.leechers {
		w.completed++
	}
	// A seeder stays one: who re-announces without saying what is left has not lost what it had.
	if r.Seeder || r.Event == Completed {
		w.setSeeder(p, true)
	}
	out.Counts = w.counts()
	s.draw(w, p, len(r.Offers), out)
	return nil
}

// Leave forgets a peer whose connection has ended; that of another connection stays.
func (s *Swarms[C]) Leave(conn C, hash Hash, id ID) {
	w := s.swarms[hash]
	if w == nil {
		return
	}
	if p := w.byID[id]; p != nil && p.conn == conn {
		s.remove(hash, w, p)
	}
}

// Expire forgets who has said nothing for too long. It looks at every peer: call it a few times a minute.
func (s *Swarms[C]) Expire(nowMs int64) {
	for hash, w := range s.swarms {
		for i := len(w.list) - 1; i >= 0; i-- {
			if p := w.list[i]; nowMs-p.heardMs >= s.limits.ExpiryMs {
				s.remove(hash, w, p) // who takes its place comes from further back and has been looked at
			}
		}
	}
}

// Scrape counts a swarm's peers.
func (s *Swarms[C]) Scrape(hash Hash) Counts {
	if w := s.swarms[hash]; w != nil {
		return w.counts()
	}
	return Counts{}
}

// Len counts the swarms and the peers in them. Who is in two swarms counts twice.
func (s *Swarms[C]) Len() (swarms, peers int) { return len(s.swarms), s.peers }

// Each calls f with every peer.
func (s *Swarms[C]) Each(f func(conn C, id ID, seeder bool)) {
	for _, w := range s.swarms {
		for _, p := range w.list {
			f(p.conn, p.id, p.at >= w.leechers)
		}
	}
}

func (s *Swarms[C]) remove(hash Hash, w *swarm[C], p *peer[C]) {
	w.setSeeder(p, true) // now the last place can be given up without disorder
	last := len(w.list) - 1
	w.swap(p.at, last)
	w.list[last] = nil
	w.list = w.list[:last]
	delete(w.byID, p.id)
	s.peers--
	if last == 0 {
		delete(s.swarms, hash)
	}
}

// setSeeder moves a peer to the right side of the list. A new one is at its end, and with that a seeder.
func (w *swarm[C]) setSeeder(p *peer[C], seeder bool) {
	switch is := p.at >= w.leechers; {
	case seeder && !is:
		w.leechers--
		w.swap(p.at, w.leechers)
	case !seeder && is:
		w.swap(p.at, w.leechers)
		w.leechers++
	}
}

func (w *swarm[C]) swap(i, j int) {
	w.list[i], w.list[j] = w.list[j], w.list[i]
	w.list[i].at, w.list[j].at = i, j
}

func (w *swarm[C]) counts() Counts {
	complete := len(w.list) - w.leechers
	return Counts{Complete: complete, Incomplete: w.leechers, Downloaded: max(complete, w.completed)}
}

// draw chooses whom the offers of p go to: different peers at random, but a seeder's to leechers as long as there are
// any, since two seeders have nothing to give each other.
func (s *Swarms[C]) draw(w *swarm[C], p *peer[C], offers int, out *Outcome[C]) {
	offers = min(offers, len(w.list)-1)
	if p.at < w.leechers {
		s.drawFrom(w.list, p, offers, out)
		return
	}
	leechers := min(offers, w.leechers)
	s.drawFrom(w.list[:w.leechers], p, leechers, out)
	s.drawFrom(w.list[w.leechers:], p, offers-leechers, out)
}

// drawFrom draws n different peers without p, of whom the list must have so many.
func (s *Swarms[C]) drawFrom(list []*peer[C], p *peer[C], n int, out *Outcome[C]) {
	if n <= 0 {
		return
	}
	if len(list) <= 4*n { // most would be drawn twice: go round from a random place
		for i := s.random.below(len(list)); n > 0; i++ {
			if q := list[i%len(list)]; q != p {
				out.OffersTo = append(out.OffersTo, q.conn)
				n--
			}
		}
		return
	}
	var drawn [MaxOffers]int
	for k := 0; k < n; {
		i := s.random.below(len(list))
		if list[i] == p || contains(drawn[:k], i) {
			continue
		}
		drawn[k] = i
		k++
		out.OffersTo = append(out.OffersTo, list[i].conn)
	}
}

func contains(list []int, n int) bool {
	for _, m := range list {
		if m == n {
			return true
		}
	}
	return false
}

// random is SplitMix64 (Steele, Lea, Flood 2014).
type random struct{ state uint64 }

func (r *random) below(n int) int {
	r.state += 0x9e3779b97f4a7c15
	x := r.state
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return int(x >> 32 * uint64(n) >> 32) // biased by n/2³² at most
}
