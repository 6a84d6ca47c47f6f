package rtc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"

	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

const (
	label = "slipstream" // of the data channel

	// maxBuffered is how much Send queues, in bytes; more means that the caller does not heed BufferedAmount.
	maxBuffered = 8 << 20
	// lingerTime is how long Close waits for what was sent to be received, so that a BYE arrives.
	lingerTime = 200 * time.Millisecond
	// releaseTime is how long the release of a closed connection may take.
	releaseTime = 10 * time.Second
)

// Handlers are told what happens on a connection. They are called one at a time and may begin before Offer or Answer
// has returned; any of them may be nil. All but OnMessage should return soon.
type Handlers struct {
	// OnSignal hands over a signal that must reach the other side, in order.
	OnSignal func(announce.Signal)
	// OnOpen comes before the first OnMessage: Send works from now on.
	OnOpen func()
	// OnMessage hands over one message, which belongs to the handler. While it blocks, the neighbour is held back by
	// the receive window; when Conn.Done closes, it must return.
	OnMessage func([]byte)
	// OnBufferedLow says that BufferedAmount has fallen to BufferedLow or below.
	OnBufferedLow func()
	// BufferedLow is the threshold for OnBufferedLow in bytes.
	BufferedLow int
	// OnClosed comes once, last, whoever closed. The reason is one of ErrClosed, ErrRemoteClosed, ErrConnectTimeout,
	// ErrLost, ErrHandshake, ErrViolation (or wraps it).
	OnClosed func(reason error)
}

// Why a connection was closed.
var (
	ErrClosed         = errors.New("closed by us")
	ErrRemoteClosed   = errors.New("the neighbour closed the connection")
	ErrConnectTimeout = errors.New("the neighbour could not be reached in time")
	ErrLost           = errors.New("the connection to the neighbour is lost")
	ErrHandshake      = errors.New("the secure handshake failed: the neighbour is not the one that was announced, or gave up")
	ErrViolation      = errors.New("the neighbour broke the rules of the connection")
)

// What Send returns.
var (
	ErrNotOpen    = errors.New("the connection is not open")
	ErrBufferFull = errors.New("too much is waiting to be sent to this neighbour")
	ErrTooLarge   = errors.New("the message is too large")
)

// Conn is a connection to one neighbour. It is safe for concurrent use.
type Conn struct {
	engine   *Engine
	handlers Handlers
	offerer  bool
	pc       *webrtc.PeerConnection
	channel  *webrtc.DataChannel
	signals  outbox
	remote   remote
	outgoing queue
	written  chan struct{} // closed when nothing more goes to pion

	ctx    context.Context // ends when the connection is closed
	cancel context.CancelFunc
	ending sync.Once
	open   atomic.Bool
	low    atomic.Bool // an OnBufferedLow is on its way

	callbacks sync.Mutex // held while a handler runs
	ended     bool       // under callbacks: OnClosed was called

	mu      sync.Mutex // orders what follows
	closing bool
	timeout *time.Timer
	workers sync.WaitGroup // reader and mDNS look-ups
}

// Offer begins a connection as the side that makes the offer, which goes to OnSignal.
func (e *Engine) Offer(h Handlers) (*Conn, error) {
	c, err := e.newConn(h, true)
	if err != nil {
		return nil, err
	}
	if err := c.describe(c.pc.CreateOffer(nil)); err != nil {
		c.callbacks.Lock()
		c.ended = true // the error is returned, so there is no OnClosed
		c.callbacks.Unlock()
		c.end(err)
		return nil, err
	}
	return c, nil
}

// Answer begins a connection as the side that waits for the offer: give it to Signal.
func (e *Engine) Answer(h Handlers) (*Conn, error) { return e.newConn(h, false) }

func (e *Engine) newConn(h Handlers, offerer bool) (*Conn, error) {
	pc, err := e.newPeerConnection(offerer)
	if err != nil {
		return nil, fmt.Errorf("a WebRTC connection cannot be made: %w", err)
	}
	negotiated, id := true, uint16(0)
	channel, err := pc.CreateDataChannel(label, &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a data channel cannot be made: %w", err), pc.Close())
	}
	c := &Conn{engine: e, handlers: h, offerer: offerer, pc: pc, channel: channel}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.signals.send = c.signal
	c.outgoing.filled, c.written = make(chan struct{}, 1), make(chan struct{})
	if err := e.add(c); err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	pc.OnICECandidate(c.onCandidate)
	pc.OnConnectionStateChange(c.onState)
	pc.SCTP().Transport().OnStateChange(c.onSecurity)
	pc.OnDataChannel(func(*webrtc.DataChannel) {
		c.end(fmt.Errorf("%w: it opened a second data channel", ErrViolation))
	})
	channel.SetBufferedAmountLowThreshold(uint64(max(h.BufferedLow, 0)))
	channel.OnBufferedAmountLow(c.onBufferedLow)
	channel.OnOpen(c.onOpen)
	return c, nil
}

// Send queues one message and keeps no reference to b. It never blocks: it fails with ErrNotOpen, ErrBufferFull or
// ErrTooLarge, in which case nothing of b is sent.
func (c *Conn) Send(b []byte) error {
	switch {
	case len(b) > wire.MaxMessage:
		return fmt.Errorf("%w: %d bytes, allowed are %d", ErrTooLarge, len(b), wire.MaxMessage)
	case !c.open.Load():
		return ErrNotOpen
	case c.BufferedAmount()+len(b) > maxBuffered:
		return ErrBufferFull
	}
	c.outgoing.add(bytes.Clone(b))
	return nil
}

// BufferedAmount is the number of bytes that were sent and are not yet known to be received. A message that is just being
// handed to pion may count twice: too much for a moment misleads nobody, too little would pass for a fast uplink.
func (c *Conn) BufferedAmount() int { return c.outgoing.sizeWith(c.channel.BufferedAmount) }

// write gives pion what Send queued, to the last message.
func (c *Conn) write() {
	defer close(c.written)
	for closing := false; !closing; {
		select {
		case <-c.outgoing.filled:
		case <-c.ctx.Done():
			closing = true
		}
		for b := range c.outgoing.each {
			if err := c.channel.Send(b); err != nil {
				return // the reader learns why
			}
		}
	}
}

// RTT is the time of a round trip as ICE last measured it, 0 if it has not.
func (c *Conn) RTT() time.Duration {
	stats, ok := c.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePairStats()
	if !ok {
		return 0
	}
	return time.Duration(stats.CurrentRoundTripTime * float64(time.Second))
}

// Done is closed as soon as the connection is closed, whoever closed it, before OnClosed.
func (c *Conn) Done() <-chan struct{} { return c.ctx.Done() }

// Close closes the connection and returns at once; what was sent gets a moment to leave. OnClosed follows with
// ErrClosed, unless the connection has ended for another reason. Closing again does nothing.
func (c *Conn) Close() { c.end(ErrClosed) }

// begin starts a goroutine that ends with the connection, unless that has ended.
func (c *Conn) begin(work func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.workers.Go(work)
	}
}

// end closes the connection for the first reason that comes. It is called from handlers and from pion's callbacks, for
// whose return the release of pion's resources waits: so that happens in a goroutine of its own.
func (c *Conn) end(reason error) {
	c.ending.Do(func() {
		c.mu.Lock()
		c.closing = true
		wasOpen := c.open.Swap(false)
		c.timeout.Stop()
		c.mu.Unlock()
		c.signals.stop()
		c.cancel()
		c.engine.log.Debug("connection closed", "reason", reason)
		go c.release(reason, wasOpen)
	})
}

func (c *Conn) release(reason error, wasOpen bool) {
	c.deliver(func() {
		c.ended = true
		if c.handlers.OnClosed != nil {
			c.handlers.OnClosed(reason)
		}
	})
	if wasOpen && errors.Is(reason, ErrClosed) {
		c.linger()
	}
	released := make(chan struct{})
	go func() {
		defer close(released)
		if err := c.pc.GracefulClose(); err != nil {
			c.engine.log.Debug("closing a connection", "error", err)
		}
		c.workers.Wait()
	}()
	select {
	case <-released:
	case <-time.After(releaseTime): // see DisableCloseByDTLS: one connection that is stuck must not hold up the rest
		c.engine.log.Warn("a connection could not be closed properly; some memory is lost")
	}
	c.engine.remove(c)
}

// linger waits a moment for the send buffer to drain: pion's Close throws it away.
func (c *Conn) linger() {
	enough := time.After(lingerTime)
	select {
	case <-c.written:
	case <-enough:
		return
	}
	drained := make(chan struct{})
	var once sync.Once
	c.channel.SetBufferedAmountLowThreshold(0)
	c.channel.OnBufferedAmountLow(func() { once.Do(func() { close(drained) }) })
	if c.channel.BufferedAmount() == 0 {
		return
	}
	select {
	case <-drained:
	case <-enough:
	}
}

// deliver runs a handler, if the connection is not over for the handlers.
func (c *Conn) deliver(handler func()) {
	c.callbacks.Lock()
	defer c.callbacks.Unlock()
	if !c.ended {
		handler()
	}
}

// onState hears of the end of a connection. Before it is open, ICE's failure says little, since late candidates may
// still come and the connect timeout decides; and pion closes when the handshake fails.
func (c *Conn) onState(state webrtc.PeerConnectionState) {
	open := c.open.Load()
	switch {
	case state == webrtc.PeerConnectionStateFailed && open:
		c.end(ErrLost)
	case state == webrtc.PeerConnectionStateClosed && open:
		c.end(ErrRemoteClosed)
	case state == webrtc.PeerConnectionStateClosed:
		c.end(ErrHandshake)
	}
}

// onSecurity hears of a handshake that failed, at once. pion holds a lock meanwhile, so nothing of pion is called.
func (c *Conn) onSecurity(state webrtc.DTLSTransportState) {
	if state == webrtc.DTLSTransportStateFailed {
		c.end(ErrHandshake)
	}
}

func (c *Conn) onBufferedLow() {
	if c.handlers.OnBufferedLow == nil || c.low.Swap(true) {
		return
	}
	c.deliver(func() {
		c.low.Store(false)
		c.handlers.OnBufferedLow()
	})
}

func (c *Conn) onOpen() {
	raw, err := c.channel.Detach()
	if err != nil {
		c.end(fmt.Errorf("%w: %w", ErrLost, err))
		return
	}
	c.begin(func() {
		c.mu.Lock()
		c.open.Store(!c.closing && c.timeout.Stop())
		c.mu.Unlock()
		if !c.open.Load() {
			return // too late
		}
		c.begin(c.write)
		c.deliver(func() {
			if c.handlers.OnOpen != nil {
				c.handlers.OnOpen()
			}
		})
		c.end(c.read(raw))
	})
}

// The buffer that messages are read into has one of these sizes, in bytes: most messages are small, most bytes come in
// LEAFs, and the largest is a leaf list. A connection over which no leaf ever comes keeps a small one.
var readBuffers = []int{1 << 10, wire.LeafSize + 64, wire.MaxMessage}

// read hands messages over until the channel ends, and returns why it did.
func (c *Conn) read(raw datachannel.ReadWriteCloser) error {
	size := 0
	buffer := make([]byte, readBuffers[size])
	for {
		n, text, err := raw.ReadDataChannel(buffer)
		switch {
		case errors.Is(err, io.ErrShortBuffer) && size+1 < len(readBuffers): // the message is kept for another try
			size++
			buffer = make([]byte, readBuffers[size])
		case errors.Is(err, io.ErrShortBuffer):
			return fmt.Errorf("%w: it sent a message of more than %d bytes", ErrViolation, wire.MaxMessage)
		case errors.Is(err, io.EOF):
			return ErrRemoteClosed
		case err != nil: // SCTP's abort; a network that fails is noticed by ICE
			return fmt.Errorf("%w: %w", ErrRemoteClosed, err)
		case text:
			return fmt.Errorf("%w: it sent text", ErrViolation)
		default:
			message := buffer[:n:n]
			if n < len(buffer)/2 {
				message = bytes.Clone(message)
			} else { // giving the buffer away is cheaper than to copy it
				buffer = make([]byte, len(buffer))
			}
			c.deliver(func() {
				if c.handlers.OnMessage != nil {
					c.handlers.OnMessage(message)
				}
			})
		}
	}
}
