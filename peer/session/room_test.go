package session_test

import (
	"bytes"
	"context"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"slipstream/origin/manifest"
	"slipstream/peer/rtc"
	"slipstream/peer/session"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// A room in memory: real sessions, links that take their time, a CDN without sockets, and the fake clock of
// testing/synctest. Minutes pass in no time, and nothing depends on how fast the machine is.

const (
	oneWay = 30 * time.Millisecond
	cdnRTT = 20 * time.Millisecond
)

// inMemory is an HTTP client whose server is a handler.
func (c *channel) inMemory() *http.Client {
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		time.Sleep(cdnRTT)
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		w := httptest.NewRecorder()
		c.serve(w, r)
		return w.Result(), nil
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// watch lets a viewer join without WebRTC; the test connects it.
func (c *channel) watch(t *testing.T, change func(*session.Config)) *spectator {
	t.Helper()
	t.Cleanup(func() { time.Sleep(time.Minute) }) // after its end: what was under way ends too
	return c.join(t, func(cfg *session.Config) {
		cfg.Client, cfg.Engine = c.inMemory(), nil
		if change != nil {
			change(cfg)
		}
	})
}

// pipe is one end of a link in memory. Messages arrive in order, oneWay later.
type pipe struct {
	mu     sync.Mutex
	queue  chan parcel
	closed bool
	waits  int
}

type parcel struct {
	b  []byte
	at time.Time
}

// newPipe delivers to deliver until ctx ends or it is closed; then it calls end.
func newPipe(ctx context.Context, deliver func([]byte), end func()) *pipe {
	p := &pipe{queue: make(chan parcel, 1<<14)}
	go func() {
		defer end()
		for {
			select {
			case <-ctx.Done():
				return
			case m, open := <-p.queue:
				if !open {
					return
				}
				time.Sleep(time.Until(m.at))
				deliver(m.b)
				p.mu.Lock()
				p.waits -= len(m.b)
				p.mu.Unlock()
			}
		}
	}()
	return p
}

func (p *pipe) Send(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return context.Canceled
	}
	select {
	case p.queue <- parcel{bytes.Clone(b), time.Now().Add(oneWay)}:
		p.waits += len(b)
		return nil
	default:
		return rtc.ErrBufferFull
	}
}

func (p *pipe) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.queue)
	}
}

func (p *pipe) BufferedAmount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waits
}

func (p *pipe) Signal(announce.Signal) error { return nil }

func peerID(name string) announce.PeerID {
	h := fnv.New64a()
	h.Write([]byte(name))
	return announce.PeerID(h.Sum64())
}

// connect makes two viewers neighbours.
func connect(ctx context.Context, a, b *spectator, name string) {
	var atA, atB *session.Adopted
	ready := make(chan struct{})
	toB := newPipe(ctx, func(m []byte) { <-ready; atB.Receive(m) }, func() { <-ready; atB.Closed() })
	toA := newPipe(ctx, func(m []byte) { <-ready; atA.Receive(m) }, func() { <-ready; atA.Closed() })
	atA = a.session.Adopt(peerID("b"+name), toB)
	atB = b.session.Adopt(peerID("a"+name), toA)
	close(ready)
}

// stranger speaks the protocol to one viewer as the test wants.
type stranger struct {
	adopted *session.Adopted
	hears   func(wire.Message)

	mu   sync.Mutex
	gone bool
	said []wire.Message
}

// intrude connects a stranger and says HELLO.
func (c *channel) intrude(v *spectator, name string, hears func(*stranger, wire.Message)) *stranger {
	return c.intrudeWith(v, name, 0, hears)
}

func (c *channel) intrudeWith(v *spectator, name string, flags uint8, hears func(*stranger, wire.Message)) *stranger {
	s := &stranger{}
	s.hears = func(m wire.Message) {
		if hears != nil {
			hears(s, m)
		}
	}
	s.adopted = v.session.Adopt(peerID(name), s)
	s.say(wire.Hello{Version: wire.Version, Channel: wire.Key(c.id[:8]), Flags: flags, Instance: wire.Instance([]byte(name + "________")[:8])})
	return s
}

func (s *stranger) say(m wire.Message) { s.adopted.Receive(m.Append(nil)) }

// heard returns what the viewer has said so far, in order.
func (s *stranger) heard() []wire.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]wire.Message(nil), s.said...)
}

func (s *stranger) dropped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// The stranger's end of the link is this.

func (s *stranger) Send(b []byte) error {
	for m, err := range wire.Unbundle(bytes.Clone(b)) {
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.said = append(s.said, m)
		s.mu.Unlock()
		go s.hears(m)
	}
	return nil
}

func (s *stranger) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}

func (s *stranger) BufferedAmount() int          { return 0 }
func (s *stranger) Signal(announce.Signal) error { return nil }

// count is how many messages of a type the viewer has said.
func (s *stranger) count(kind wire.Type) int {
	n := 0
	for _, m := range s.heard() {
		if m.Type() == kind {
			n++
		}
	}
	return n
}

// have announces an object by its record alone.
func have(rec manifest.Record) wire.Have {
	n := manifest.LeafCount(rec.Size)
	return wire.Have{Key: wire.KeyOf(rec.Root), Leaves: uint16(n), Bitfield: wire.NewBitfield(wire.Pieces(n))}
}

// untilEdge sleeps to a moment after the next segment came out.
func (c *channel) untilEdge(after time.Duration) {
	now := time.Now().UnixMilli()
	time.Sleep(time.Duration(segmentMs-now%segmentMs)*time.Millisecond + after)
}
