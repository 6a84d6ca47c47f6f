package server

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"

	"slipstream/tracker/announce"
	"slipstream/tracker/tight"
)

// line is a transport's end of one connection.
type line interface {
	// Key is its id.
	Key() uint64
	// send queues an encoded message and never waits; see Post.
	send(frame []byte, end string)
	// cut closes the connection without another word.
	cut()
	// address is the client's.
	address() netip.Addr
}

// lines is the connections of this node by id, in several maps so that cores do not wait for each other.
type lines struct {
	facts  Facts // hears who was expelled; may be nil
	last   atomic.Uint64
	shards [64]shard
}

type shard struct {
	mu    sync.Mutex
	lines tight.Index[line]
}

func newLines(facts Facts) *lines {
	l := &lines{facts: facts}
	var b [8]byte
	rand.Read(b[:])                             // never fails since Go 1.24
	l.last.Store(binary.BigEndian.Uint64(b[:])) // so that an id of before a restart is nobody's
	return l
}

func (l *lines) shard(id ConnID) *shard { return &l.shards[uint64(id)%uint64(len(l.shards))] }

// next is an id for a connection.
func (l *lines) next() ConnID { return ConnID(l.last.Add(1)) }

// add has a connection be found by its id.
func (l *lines) add(c line) {
	s := l.shard(ConnID(c.Key()))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines.Put(c)
}

func (l *lines) remove(id ConnID) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines.Delete(uint64(id))
}

// Deliver implements Post for this node's own.
func (l *lines) Deliver(to Address, frame []byte, end string) {
	s := l.shard(to.Conn)
	s.mu.Lock()
	c := s.lines.Get(uint64(to.Conn))
	s.mu.Unlock()
	if c == nil {
		return
	}
	if end == announce.CodeExpelled && l.facts != nil {
		l.facts.Ban(c.address())
	}
	c.send(frame, end)
}

// each calls do for every connection. It must not wait.
func (l *lines) each(do func(line)) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for c := range s.lines.All() {
			do(c)
		}
		s.mu.Unlock()
	}
}
