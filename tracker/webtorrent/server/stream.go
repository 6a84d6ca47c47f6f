package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"slipstream/tracker/epoll"
	"slipstream/tracker/webtorrent"
)

// stream is a client with goroutines of its own, where no epoll loop can serve it: below TLS, within another server, or
// on another system than Linux.
type stream struct {
	conn
	ws *websocket.Conn

	ctx    context.Context // ends when the connection must end at once
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	queue  [][]byte
	bytes  int          // of them
	status epoll.Status // that follows them; 0: the connection goes on
	reason string
	woken  chan struct{} // something is queued
}

var (
	errSlow   = errors.New("it reads too slowly")
	errSilent = errors.New("it does not answer pings")
)

// ServeHTTP serves one WebSocket until it ends.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		http.Error(w, "This is a WebTorrent tracker: connect a WebSocket (ws:// or wss://) to this address.", http.StatusUpgradeRequired)
		return
	}
	c := &stream{woken: make(chan struct{}, 1)}
	c.line = c
	c.ctx, c.cancel = context.WithCancelCause(s.ctx)
	defer c.cancel(nil)
	if no := s.arrive(r, &c.conn); no != nil {
		if no.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(no.RetryAfter))
		}
		http.Error(w, no.Sentence, no.Status)
		return
	}
	defer s.wg.Done()
	defer s.left(&c.conn)
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the gate did that
	if err != nil {
		return
	}
	ws.SetReadLimit(webtorrent.MaxMessage)
	c.ws = ws
	var wg sync.WaitGroup
	wg.Go(c.write)
	wg.Go(c.ping)
	c.read()
	c.cancel(nil)
	wg.Wait()
	ws.CloseNow()
	if errors.Is(context.Cause(c.ctx), errSlow) {
		s.closedSlow()
	}
}

// Send implements line.
func (c *stream) Send(message []byte) { c.push(slices.Clone(message), 0, "") }

// End implements line.
func (c *stream) End(status epoll.Status, reason string) { c.push(nil, status, reason) }

func (c *stream) push(message []byte, status epoll.Status, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != 0 {
		return
	}
	c.status, c.reason = status, reason
	if message != nil {
		if c.bytes += len(message); c.bytes > c.server.limits.Pending {
			c.cancel(errSlow)
			return
		}
		c.queue = append(c.queue, message)
	}
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

func (c *stream) read() {
	quiet := time.AfterFunc(c.server.limits.OpenTimeout, func() { c.End(epoll.PolicyViolation, "nothing was announced") })
	defer quiet.Stop()
	for {
		_, message, err := c.ws.Read(c.ctx)
		if err != nil {
			if errors.Is(err, websocket.ErrMessageTooBig) {
				c.ws.Close(websocket.StatusMessageTooBig, "") // drains, so that the client hears the status
			}
			return
		}
		quiet.Stop()
		c.server.handle(&c.conn, message)
	}
}

// write sends what is queued, and closes after it if it is the end.
func (c *stream) write() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.woken:
		}
		c.mu.Lock()
		messages, status, reason := c.queue, c.status, c.reason
		c.queue, c.bytes = nil, 0
		c.mu.Unlock()
		for _, m := range messages {
			if err := c.within(func(ctx context.Context) error { return c.ws.Write(ctx, websocket.MessageText, m) }); err != nil {
				c.cancel(errSlow)
				return
			}
		}
		if status != 0 {
			c.ws.Close(websocket.StatusCode(status), reason)
			c.cancel(nil)
			return
		}
	}
}

// ping notices clients that vanished without a word, and keeps proxies from closing quiet connections.
func (c *stream) ping() {
	ticker := time.NewTicker(c.server.limits.PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		}
		if c.within(c.ws.Ping) != nil {
			c.cancel(errSilent)
			return
		}
	}
}

// within gives the client the time that it has to take something.
func (c *stream) within(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(c.ctx, c.server.limits.WriteTimeout)
	defer cancel()
	return f(ctx)
}
