package rtc

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"slipstream/tracker/announce"
)

// patience is how long a test waits for what must happen. It is far beyond any real time, for slow machines.
const patience = 20 * time.Second

// side is one end of a connection under test, with what its handlers heard.
type side struct {
	conn     *Conn
	inbound  chan announce.Signal // signals for this side
	opened   chan struct{}
	messages chan []byte
	low      chan struct{}
	closed   chan error

	mu   sync.Mutex
	sent []announce.Signal
}

func newSide() *side {
	return &side{
		inbound:  make(chan announce.Signal, 64),
		opened:   make(chan struct{}),
		messages: make(chan []byte, 16),
		low:      make(chan struct{}, 1),
		closed:   make(chan error, 1),
	}
}

// handlers sends signals to the other side through change, which may be nil, and drops those that do not pass as a
// message of the tracker's protocol.
func (s *side) handlers(t testing.TB, other *side, change func(announce.Signal) announce.Signal) Handlers {
	return Handlers{
		OnSignal: func(signal announce.Signal) {
			s.mu.Lock()
			s.sent = append(s.sent, signal)
			s.mu.Unlock()
			if change != nil {
				signal = change(signal)
			}
			text, err := announce.Encode(announce.SignalTo{To: 1, Signal: signal})
			if err != nil {
				t.Errorf("the tracker would refuse the signal %+v: %v", signal, err)
				return
			}
			m, err := announce.Decode(text)
			if err != nil {
				t.Errorf("the tracker would refuse the signal %s: %v", text, err)
				return
			}
			other.inbound <- m.(announce.SignalTo).Signal
		},
		OnOpen: func() { close(s.opened) },
		OnMessage: func(b []byte) {
			select {
			case s.messages <- b:
			case <-s.conn.Done():
			}
		},
		OnBufferedLow: func() {
			select {
			case s.low <- struct{}{}:
			default:
			}
		},
		BufferedLow: 256 << 10,
		OnClosed:    func(reason error) { s.closed <- reason },
	}
}

// listen gives the conn its signals until it is closed.
func (s *side) listen(t testing.TB) {
	for {
		select {
		case signal := <-s.inbound:
			if err := s.conn.Signal(signal); err != nil {
				t.Errorf("Signal: %v", err)
			}
		case <-s.conn.Done():
			return
		}
	}
}

func wait[T any](t testing.TB, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatalf("%s: nothing happened within %v", what, patience)
	}
	return v
}

func newEngine(t testing.TB, cfg Config) *Engine {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// connect begins a connection from offerer to answerer. change, if not nil, plays the man in the middle of the signals.
func connect(t testing.TB, offerer, answerer *Engine, change func(announce.Signal) announce.Signal) (offering, answering *side) {
	t.Helper()
	offering, answering = newSide(), newSide()
	var err error
	if answering.conn, err = answerer.Answer(answering.handlers(t, offering, change)); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	h := offering.handlers(t, answering, change)
	onMessage := h.OnMessage
	h.OnMessage = func(b []byte) { <-ready; onMessage(b) }
	if offering.conn, err = offerer.Offer(h); err != nil {
		t.Fatal(err)
	}
	close(ready)
	var listeners sync.WaitGroup
	listeners.Go(func() { offering.listen(t) })
	listeners.Go(func() { answering.listen(t) })
	t.Cleanup(func() {
		offering.conn.Close()
		answering.conn.Close()
		listeners.Wait()
	})
	return offering, answering
}

func connected(t testing.TB, offerer, answerer *Engine) (offering, answering *side) {
	t.Helper()
	offering, answering = connect(t, offerer, answerer, nil)
	wait(t, "open at the offering side", offering.opened)
	wait(t, "open at the answering side", answering.opened)
	return offering, answering
}

// pour sends total bytes of pseudo-random messages from one side to the other, never with more than highWater queued,
// and checks that they arrive unchanged and in order.
func pour(t testing.TB, from, to *side, total, size int) {
	t.Helper()
	const highWater = 1 << 20
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		r := rand.New(rand.NewPCG(1, 2))
		for left := total; left > 0; left -= size {
			for from.conn.BufferedAmount() > highWater {
				select {
				case <-from.low:
				case <-from.conn.Done():
					return
				}
			}
			if err := from.conn.Send(message(r, size)); err != nil {
				t.Errorf("Send: %v", err)
				return
			}
			if n := from.conn.BufferedAmount(); n > highWater+2*size { // one may count twice
				t.Errorf("%d bytes are buffered, more than were sent", n)
			}
		}
	}()
	r := rand.New(rand.NewPCG(1, 2))
	for left := total; left > 0; left -= size {
		if got := wait(t, "a message", to.messages); !bytes.Equal(got, message(r, size)) {
			t.Fatalf("a message of %d bytes arrived changed, with %d bytes still to come", len(got), left)
		}
	}
	wait(t, "the end of sending", sent)
}

// message is size bytes that differ from call to call.
func message(r *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := 0; i+8 <= size; i += 512 {
		x := r.Uint64()
		for j := range 8 {
			b[i+j] = byte(x >> (8 * j))
		}
	}
	return b
}
