package server

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"slipstream/tracker/announce"
)

// conn is one client's WebSocket.
type conn struct {
	srv       *Server
	webOrigin string
	addr      netip.Addr
	ws        *websocket.Conn
	queue     chan announce.Message // to the client; an Error is the last one that is sent

	ctx    context.Context // ends when the connection must end at once
	cancel context.CancelCauseFunc
}

var errSlow = errors.New("it reads too slowly")

func newConn(s *Server, webOrigin string, addr netip.Addr) *conn {
	c := &conn{srv: s, webOrigin: webOrigin, addr: addr, queue: make(chan announce.Message, s.cfg.Limits.Queue)}
	c.ctx, c.cancel = context.WithCancelCause(s.ctx)
	return c
}

// send queues a message and never waits: who cannot take his messages is closed.
func (c *conn) send(m announce.Message) {
	select {
	case c.queue <- m:
	default:
		c.cancel(errSlow)
	}
}

// fail says why, and then closes.
func (c *conn) fail(e announce.Error) { c.send(e) }

// serve runs the connection to its end.
func (c *conn) serve(ws *websocket.Conn) {
	ws.SetReadLimit(announce.MaxMessage)
	c.ws = ws
	var wg sync.WaitGroup
	wg.Go(c.write)
	wg.Go(c.ping)
	if refusal := c.read(); refusal != nil {
		c.fail(*refusal)
	} else {
		c.cancel(nil)
	}
	c.srv.hub.post(c, gone{}) // a second one does no harm
	wg.Wait()
	ws.CloseNow()
	if errors.Is(context.Cause(c.ctx), errSlow) {
		c.srv.metrics.slow.Inc()
		c.srv.log.Info("a client reads too slowly and was closed", "address", prefixOf(c.addr))
	}
}

// read passes messages to the hub until the connection ends or breaks a rule, which it returns.
func (c *conn) read() *announce.Error {
	limits := c.srv.cfg.Limits
	bucket := rate.NewLimiter(rate.Limit(limits.MessageRate), limits.MessageBurst)
	noJoin := announce.Error{Code: announce.CodeJoinFirst, Message: "No join message came in time."}
	tooLate := time.AfterFunc(limits.JoinTimeout, func() { c.fail(noJoin) })
	defer tooLate.Stop()
	for joined := false; ; {
		m, refusal := c.next(bucket)
		if refusal != nil || m == nil {
			return refusal
		}
		join, isJoin := m.(announce.Join)
		switch {
		case isJoin && joined:
			return says(announce.CodeMalformed, "A second join on one connection is not allowed.")
		case isJoin:
			if !tooLate.Stop() {
				return &noJoin
			}
			room, refusal := c.srv.admit(join, c.webOrigin)
			if refusal != nil {
				return refusal
			}
			if join.Role == announce.Seeder {
				bucket = rate.NewLimiter(rate.Limit(4*limits.MessageRate), 4*limits.MessageBurst)
			}
			joined = true
			c.srv.hub.post(c, admitted{room, join})
			continue
		case !joined:
			return says(announce.CodeJoinFirst, "The first message must be join.")
		}
		switch m.(type) {
		case announce.Leave:
			c.srv.hub.post(c, gone{}) // before the closing handshake, which the client may draw out
			c.ws.Close(websocket.StatusNormalClosure, "")
			return nil
		case announce.SignalTo, announce.Report:
			c.srv.hub.post(c, m)
		default:
			return says(announce.CodeMalformed, "A %s message is the tracker's to send.", m.Type())
		}
	}
}

// next reads one message; nil if the connection has ended.
func (c *conn) next(bucket *rate.Limiter) (announce.Message, *announce.Error) {
	kind, b, err := c.ws.Read(c.ctx)
	if err != nil {
		if errors.Is(err, websocket.ErrMessageTooBig) {
			c.srv.metrics.errors.WithLabelValues("too-big").Inc()
			c.ws.Close(websocket.StatusMessageTooBig, "") // drains, so that the client hears the status
		}
		return nil, nil
	}
	if !bucket.Allow() {
		return nil, says(announce.CodeRateLimited, "Too many messages; join again in a minute.")
	}
	if kind != websocket.MessageText {
		return nil, says(announce.CodeMalformed, "Messages are text, this one was binary.")
	}
	m, err := announce.Decode(b)
	if err != nil {
		return nil, says(announce.CodeMalformed, "Malformed: %v.", err)
	}
	c.srv.metrics.messages.WithLabelValues(m.Type()).Inc()
	return m, nil
}

// write sends what is queued. After an Error it closes.
func (c *conn) write() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case m := <-c.queue:
			b, err := announce.Encode(m)
			if err != nil {
				c.srv.log.Error("a message of the tracker's own could not be sent", "error", err)
				continue
			}
			if err := c.deliver(b); err != nil {
				c.cancel(err)
				return
			}
			if e, ok := m.(announce.Error); ok {
				c.srv.metrics.errors.WithLabelValues(e.Code).Inc()
				c.ws.Close(statusOf(e.Code), e.Code)
				c.cancel(nil)
				return
			}
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
		ctx, cancel := context.WithTimeout(c.ctx, c.srv.cfg.Limits.WriteTimeout)
		err := c.ws.Ping(ctx)
		cancel()
		if err != nil {
			c.cancel(errors.New("it does not answer pings"))
			return
		}
	}
}
