package server

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"

	"slipstream/tracker/announce"
)

// line is a transport's end of one connection.
type line interface {
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
	lines map[ConnID]line
}

func newLines(facts Facts) *lines {
	l := &lines{facts: facts}
	var b [8]byte
	rand.Read(b[:])                             // never fails since Go 1.24
	l.last.Store(binary.BigEndian.Uint64(b[:])) // so that an id of before a restart is nobody's
	for i := range l.shards {
		l.shards[i].lines = map[ConnID]line{}
	}
	return l
}

func (l *lines) shard(id ConnID) *shard { return &l.shards[uint64(id)%uint64(len(l.shards))] }

func (l *lines) add(c line) ConnID {
	id := ConnID(l.last.Add(1))
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines[id] = c
	return id
}

func (l *lines) remove(id ConnID) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lines, id)
}

// Deliver implements Post for this node's own.
func (l *lines) Deliver(to Address, frame []byte, end string) {
	s := l.shard(to.Conn)
	s.mu.Lock()
	c := s.lines[to.Conn]
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
		for _, c := range s.lines {
			do(c)
		}
		s.mu.Unlock()
	}
}
