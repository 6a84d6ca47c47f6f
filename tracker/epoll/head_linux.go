package epoll

import (
	"bytes"
	"net/netip"

	"golang.org/x/sys/unix"
)

// What a connection wants is in the head of its request: a WebSocket, an answer of the HTTP server, or nothing that there is.

// readHead takes a part of the request's head, and answers it once it is complete.
func (l *loop) readHead(c *Conn, b []byte) {
	head := c.unfinished
	ours := len(head.rest) > 0
	if ours {
		b = append(head.rest, b...)
	}
	if head.behind {
		if b = l.readProxy(c, b); head.behind || c.fd < 0 {
			return
		}
	}
	size := headEnd(b)
	if size == 0 {
		if len(b) > maxHead {
			l.turnAway(c, BadRequest, Refusal{Status: 431, Sentence: "The head of this request is too large."})
			return
		}
		if !ours {
			b = bytes.Clone(b)
		}
		head.rest = b
		return
	}
	c.unfinished = nil
	r, err := parseHead(b[:size], l.lines)
	if err != nil {
		l.turnAway(c, BadRequest, Refusal{Status: 400, Sentence: "This is no HTTP request."})
		return
	}
	opening := l.cfg.Paths[r.URL.Path]
	if opening == nil || !wantsWebSocket(r) {
		if l.cfg.Known != nil && !l.cfg.Known(r) {
			l.turnAway(c, NotFound, Refusal{Status: 404, Sentence: "There is nothing here."})
			return
		}
		l.giveAway(c, head.remote, bytes.Clone(b))
		return
	}
	accept, ok := acceptKey(r)
	if !ok {
		l.turnAway(c, BadRequest, Refusal{Status: 400, Sentence: "This WebSocket has no key, or another version than 13."})
		return
	}
	r.RemoteAddr = head.remote.String()
	client, no := opening(r, c)
	if no != nil {
		l.refuse(c, *no)
		return
	}
	c.client, c.phase, c.heard = client, open, true
	c.since, c.pinged = moment(l.nowMs), moment(l.nowMs)
	l.appoint(c, l.nowMs+min(l.cfg.OpenTimeout, l.cfg.PingInterval).Milliseconds())
	protocol := ""
	if has(r.Header, "Sec-Websocket-Protocol", l.cfg.Subprotocol) {
		protocol = l.cfg.Subprotocol
	}
	c.switchProtocols(accept, protocol)
	if rest := b[size:]; len(rest) > 0 {
		l.feed(c, rest)
	}
}

// switchProtocols puts the answer before whatever the client's owner had to say already.
func (c *Conn) switchProtocols(accept, protocol string) {
	b := emptyBuffer()
	*b = appendSwitch(*b, accept, protocol)
	c.mu.Lock()
	if early := c.pending; early != nil {
		*b = append(*b, *early...)
		buffers.Put(early)
	}
	c.pending = b
	tell := !c.queued
	c.queued = true
	c.mu.Unlock()
	if tell {
		c.loop.enqueue(c)
	}
}

// readProxy takes what a terminator tells, and returns what comes after it.
func (l *loop) readProxy(c *Conn, b []byte) []byte {
	client, size, err := readProxy(b)
	switch {
	case err != nil:
		l.cfg.Refused(BadRequest)
		l.end(c, ErrEnded)
	case size == 0:
		c.unfinished.rest = bytes.Clone(b)
	default:
		if client.IsValid() {
			c.unfinished.remote = client
		}
		c.unfinished.behind, c.unfinished.rest = false, nil
	}
	return b[size:]
}

// turnAway refuses who is no client's business.
func (l *loop) turnAway(c *Conn, why string, no Refusal) {
	l.cfg.Refused(why)
	l.refuse(c, no)
}

func (l *loop) refuse(c *Conn, no Refusal) {
	c.phase = ending
	c.mu.Lock()
	c.queued = true // it is written here and now
	c.mu.Unlock()
	c.queue(func(pending []byte) []byte { return appendRefusal(pending, no) }, true)
	l.write(c)
}

// giveAway hands a connection over to the HTTP server.
func (l *loop) giveAway(c *Conn, remote netip.AddrPort, begun []byte) {
	v := l.veil(c)
	fd := c.shut()
	l.forget(fd)
	unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, fd, nil) //nolint:errcheck // it is in there
	l.server.rest.give(fd, v, remote, begun)
}
