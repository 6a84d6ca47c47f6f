package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
)

// conn is one client's WebSocket with goroutines of its own: one that reads, one that writes, one that pings.
type conn struct {
	guest
	srv *Server
	ws  *websocket.Conn

	ctx    context.Context // ends when the connection must end at once
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	pending [][]byte      // to the client
	bytes   int           // of them
	end     string        // the code of the error that is the last of them
	wake    chan struct{} // something is pending
}

var errSlow = errors.New("it reads too slowly")

func newConn(s *Server) *conn {
	c := &conn{srv: s, wake: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancelCause(s.ctx)
	return c
}

// send implements line: who cannot take his messages is closed.
func (c *conn) send(frame []byte, end string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != "" || frame == nil {
		return
	}
	if c.bytes += len(frame); c.bytes > c.srv.cfg.Limits.Pending {
		c.cancel(errSlow)
		return
	}
	c.pending, c.end = append(c.pending, slices.Clone(frame)), end
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// cut implements line.
func (c *conn) cut() { c.cancel(nil) }

// fail says why, and then closes.
func (c *conn) fail(e *announce.Error) { c.send(c.srv.encode(*e)) }

// serve runs the connection to its end.
func (c *conn) serve(ws *websocket.Conn) {
	ws.SetReadLimit(announce.MaxMessage)
	c.ws = ws
	var wg sync.WaitGroup
	wg.Go(c.write)
	wg.Go(c.ping)
	if refusal := c.read(); refusal != nil {
		c.fail(refusal)
	} else {
		c.cancel(nil)
	}
	c.leave()
	wg.Wait()
	ws.CloseNow()
	if errors.Is(context.Cause(c.ctx), errSlow) {
		c.srv.closedSlow(&c.guest)
	}
}

// read takes messages until the connection ends or breaks a rule, which it returns.
func (c *conn) read() *announce.Error {
	tooLate := time.AfterFunc(c.srv.cfg.Limits.JoinTimeout, func() { c.fail(noJoin()) })
	defer tooLate.Stop()
	for {
		kind, b, err := c.ws.Read(c.ctx)
		if err != nil {
			if errors.Is(err, websocket.ErrMessageTooBig) {
				c.srv.metrics.reject(c.srv.metrics.errors, "too-big")
				c.ws.Close(websocket.StatusMessageTooBig, "") // drains, so that the client hears the status
			}
			return nil
		}
		if !c.joined && !tooLate.Stop() {
			return noJoin()
		}
		refusal, left := c.take(c.srv.cfg.Now(), kind == websocket.MessageText, b)
		if left {
			c.ws.Close(websocket.StatusNormalClosure, "")
		}
		if refusal != nil || left {
			return refusal
		}
	}
}

// write sends what is pending. After an error message it closes.
func (c *conn) write() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		}
		c.mu.Lock()
		frames, end := c.pending, c.end
		c.pending, c.bytes = nil, 0
		c.mu.Unlock()
		for _, b := range frames {
			if err := c.deliver(b); err != nil {
				c.cancel(err)
				return
			}
		}
		if end != "" {
			c.srv.metrics.reject(c.srv.metrics.errors, end)
			c.ws.Close(statusOf(end), end)
			c.cancel(nil)
			return
		}
	}
}

func (c *conn) deliver(b []byte) error {
	ctx, cancel := context.WithTimeoutCause(c.ctx, c.srv.cfg.Limits.WriteTimeout, errSlow)
	defer cancel()
	err := c.ws.Write(ctx, websocket.MessageText, b)
	if err != nil && errors.Is(context.Cause(ctx), errSlow) {
		return errSlow
	}
	return err
}

func statusOf(code string) websocket.StatusCode {
	if code == announce.CodeShuttingDown {
		return websocket.StatusGoingAway
	}
	return websocket.StatusPolicyViolation
}

// ping notices clients that vanished without a word, and keeps proxies from closing quiet connections.
func (c *conn) ping() {
	ticker := time.NewTicker(c.srv.cfg.Limits.PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		}
		if refusal := c.overdue(c.srv.cfg.Now()); refusal != nil {
			c.fail(refusal)
			return
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.srv.cfg.Limits.WriteTimeout)
		err := c.ws.Ping(ctx)
		cancel()
		if err != nil {
			c.cancel(errors.New("it does not answer pings"))
			return
		}
	}
}
