package session

import (
	"slices"
	"time"

	"golang.org/x/time/rate"

	"slipstream/peer/rtc"
	"slipstream/peer/sched"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// bufferedLow is when a connection asks for more to send. It is less than a leaf,
// so that it is crossed even if a single one was waiting.
const bufferedLow = wire.LeafSize / 2

// A neighbour may send so many messages other than leaves, a second and at once. An
// honest one sends a few tens a second, and a HAVE for each object that it holds when
// it comes: an hour of two renditions is 3,600.
const (
	chatterRate  = 200
	chatterBurst = 8192
)

// link is the way to a neighbour, an *rtc.Conn but in tests.
type link interface {
	Send(bundle []byte) error // keeps no reference to it
	Signal(signal announce.Signal) error
	BufferedAmount() int
	Close()
}

// neighbour is a connection to another viewer or seeder.
type neighbour struct {
	id       int32           // the scheduler's name for it
	peer     announce.PeerID // the tracker's
	conn     link
	done     chan struct{} // closed when we have forgotten it
	open     bool          // its HELLO was good: the scheduler knows it
	instance wire.Instance
	tellIt   bool // it wants records unasked

	chatter   *rate.Limiter      // messages other than leaves
	announced map[int32]wire.Key // objects that it was told of
	lists     map[wire.Key]bool  // leaf lists that it asked us for: whether it has got them
	known     map[int32]bool     // objects that it announced
	told      map[wire.Key]bool  // records that it got from us
	unknown   unknown
	asking    asking
	buffered  int  // as last told to the scheduler
	sentLeaf  bool // since then
	deaf      bool // it does not read what we send
	talk      *talk
	out       outbox
	rttMs     int64 // as last told to the tracker
}

// A connection costs milliseconds of work, so that many are begun at once and then a second.
const (
	introductionsBurst = 64
	introductionsRate  = 1
)

// neighbours is who we are connected to, or are connecting to.
type neighbours struct {
	introductions *rate.Limiter
	byID          map[int32]*neighbour
	byPeer        map[announce.PeerID]*neighbour
	nextID        int32
}

func newNeighbours() neighbours {
	return neighbours{
		introductions: rate.NewLimiter(introductionsRate, introductionsBurst),
		byID:          make(map[int32]*neighbour), byPeer: make(map[announce.PeerID]*neighbour),
	}
}

// open counts the neighbours that can be asked for leaves.
func (ns *neighbours) open() int {
	count := 0
	for _, n := range ns.byID {
		if n.open {
			count++
		}
	}
	return count
}

// roundTrips are those that are new to the tracker: just measured, or twice or half of what it was told.
func (ns *neighbours) roundTrips() (rtts []announce.RTT) {
	for _, n := range ns.byID {
		line, ok := n.conn.(interface{ RTT() time.Duration })
		if !ok || !n.open || len(rtts) == announce.MaxRTTs {
			continue
		}
		ms := min(line.RTT().Milliseconds(), announce.MaxRTT)
		if ms > 0 && (ms >= 2*n.rttMs || 2*ms <= n.rttMs) {
			n.rttMs = ms
			rtts = append(rtts, announce.RTT{ID: n.peer, Ms: ms})
		}
	}
	return rtts
}

func (ns *neighbours) closeAll(reason string) {
	for _, n := range ns.byID {
		n.leave(reason)
	}
}

// meet starts a connection to a viewer that the tracker introduced.
func (s *Session) meet(peer announce.PeerID, offer bool) {
	if s.neighbours.byPeer[peer] != nil || len(s.neighbours.byID) >= s.cfg.MaxNeighbours ||
		!s.neighbours.introductions.AllowN(s.clock(), 1) {
		return
	}
	n := s.newNeighbour(peer)
	visit := s.tracker.visits
	dial := s.cfg.Engine.Answer
	if offer {
		dial = s.cfg.Engine.Offer
	}
	// The handlers run in the connection's goroutine and before dial returns too.
	hand := func(f func()) {
		select {
		case s.inbox <- f:
		case <-n.done:
		case <-s.ended:
		}
	}
	conn, err := dial(rtc.Handlers{
		OnSignal: func(sig announce.Signal) {
			hand(func() {
				if s.tracker.visits == visit { // in another visit the tracker does not know us as introduced
					s.tracker.send(announce.SignalTo{To: peer, Signal: sig})
				}
			})
		},
		OnOpen:        func() { hand(func() { s.opened(n) }) },
		OnMessage:     func(b []byte) { hand(func() { s.received(n, b) }) },
		OnBufferedLow: func() { hand(func() { s.observeBuffer(n) }) },
		BufferedLow:   bufferedLow,
		OnClosed:      func(reason error) { s.post(func() { s.closed(n, reason.Error()) }) },
	})
	if err != nil {
		s.log.Warn("a connection could not be set up", "neighbour", peer, "error", err)
		return
	}
	s.connecting(n, conn)
}

func (s *Session) newNeighbour(peer announce.PeerID) *neighbour {
	s.neighbours.nextID++
	return &neighbour{
		id: s.neighbours.nextID, peer: peer, done: make(chan struct{}),
		chatter:   rate.NewLimiter(chatterRate, chatterBurst),
		announced: make(map[int32]wire.Key), lists: make(map[wire.Key]bool),
		known: make(map[int32]bool), told: make(map[wire.Key]bool), asking: newAsking(), talk: &s.talk,
	}
}

func (s *Session) connecting(n *neighbour, conn link) {
	n.conn = conn
	s.neighbours.byID[n.id], s.neighbours.byPeer[n.peer] = n, n
}

func (s *Session) signalled(peer announce.PeerID, sig announce.Signal) {
	if n := s.neighbours.byPeer[peer]; n != nil {
		if err := n.conn.Signal(sig); err != nil {
			s.log.Debug("a signal was not understood", "neighbour", peer, "error", err)
		}
	}
}

func (s *Session) opened(n *neighbour) {
	n.send(wire.Hello{Version: wire.Version, Channel: wire.KeyOf(s.channel), Flags: wire.FlagTellMe, Instance: s.instance})
	time.AfterFunc(wire.HelloTimeoutMs*time.Millisecond, func() {
		s.post(func() {
			if !n.open && s.neighbours.byID[n.id] == n {
				s.drop(n, announce.Protocol, "said no HELLO")
			}
		})
	})
}

// drop ends a connection for a reason that the tracker should know.
func (s *Session) drop(n *neighbour, reason announce.Reason, sentence string) {
	s.log.Info("dropping a neighbour", "neighbour", n.peer, "reason", sentence)
	n.leave(sentence)
	s.forget(n)
	if s.tracker != nil {
		s.tracker.dropped(n.peer, reason)
	}
}

// part ends a connection because the tracker wants both ends to have room for others; it needs no telling.
func (s *Session) part(peer announce.PeerID) {
	if n := s.neighbours.byPeer[peer]; n != nil {
		n.leave("the tracker has others for us")
		s.forget(n)
	}
}

// closed is told by the connection itself.
func (s *Session) closed(n *neighbour, reason string) {
	if s.neighbours.byID[n.id] != n {
		return
	}
	s.log.Debug("a connection ended", "neighbour", n.peer, "reason", reason)
	why := announce.Lost
	if !n.open {
		why = announce.Unreachable
	}
	s.forget(n)
	if s.tracker != nil {
		s.tracker.dropped(n.peer, why)
	}
}

func (s *Session) forget(n *neighbour) {
	delete(s.neighbours.byID, n.id)
	close(n.done)
	if s.neighbours.byPeer[n.peer] == n {
		delete(s.neighbours.byPeer, n.peer)
	}
	s.event(sched.Event{Kind: sched.NeighbourRemove, Neighbour: n.id})
}

// observeBuffers tells the scheduler how much waits in the send buffers.
func (s *Session) observeBuffers() {
	for _, n := range s.neighbours.byID {
		switch {
		case n.deaf:
			s.drop(n, announce.Stalled, "does not read what it is sent")
		case n.open:
			s.observeBuffer(n)
		}
	}
}

func (s *Session) observeBuffer(n *neighbour) {
	if n.buffered == 0 && !n.sentLeaf {
		return // nothing of weight is on its way
	}
	buffered := n.conn.BufferedAmount()
	n.buffered, n.sentLeaf = buffered, false
	s.event(sched.Event{Kind: sched.Buffered, Neighbour: n.id, Value: int64(buffered)})
}

// unknown remembers what a neighbour announced of objects whose records we have
// not seen yet: playlists reach viewers at different moments.
type unknown struct {
	held  map[wire.Key]early
	order []wire.Key // oldest first
}

// early is what was announced of one object.
type early struct {
	wire.Have
	coming wire.Bitfield // pieces that are on their way there
}

func (u *unknown) have(m wire.Have) {
	if u.held == nil {
		u.held = make(map[wire.Key]early)
	}
	if _, known := u.held[m.Key]; !known {
		if len(u.order) == wire.MaxAnnounced {
			delete(u.held, u.order[0])
			u.order = u.order[1:]
		}
		u.order = append(u.order, m.Key)
	}
	m.Bitfield = slices.Clone(m.Bitfield)
	u.held[m.Key] = early{Have: m, coming: wire.NewBitfield(wire.Pieces(int(m.Leaves)))}
}

func (u *unknown) gain(m wire.Gain) {
	if known, ok := u.held[m.Key]; ok {
		known.add(known.Bitfield, m.Pieces)
	}
}

func (u *unknown) coming(m wire.Coming) {
	if known, ok := u.held[m.Key]; ok {
		known.add(known.coming, m.Pieces)
	}
}

func (e *early) add(to wire.Bitfield, pieces []uint16) {
	for _, piece := range pieces {
		if int(piece) < wire.Pieces(int(e.Leaves)) {
			to.Set(int(piece))
		}
	}
}

func (u *unknown) forget(key wire.Key) {
	if _, ok := u.held[key]; ok {
		delete(u.held, key)
		u.order = slices.DeleteFunc(u.order, func(k wire.Key) bool { return k == key })
	}
}

// replayAnnouncements tells the scheduler who already holds a new object.
func (ns *neighbours) replayAnnouncements(s *Session, o *object) {
	for _, n := range ns.byID {
		known, ok := n.unknown.held[o.key]
		if !ok {
			continue
		}
		n.unknown.forget(o.key)
		s.heardOf(n, o)
		s.haveEvent(n, o, known.Have)
		for piece := range wire.Pieces(o.leaves()) {
			if known.coming.Has(piece) {
				s.event(sched.Event{Kind: sched.Coming, Neighbour: n.id, Object: o.id, Piece: int32(piece)})
			}
		}
	}
}
