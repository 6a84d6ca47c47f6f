package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// balancer leads connections to the trackers by turns, as an operator's would: those that do not answer /readyz within half a
// second get none, and those who are connected to one that has not answered at all for a while are sent away (HAProxy:
// on-marked-down shutdown-sessions). It does so where the viewers dial, which saves the machine a proxy.
type balancer struct {
	nodes []string // addresses
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu       sync.Mutex
	ready    []bool
	sessions []map[net.Conn]bool
	next     int
}

const (
	// trackers is where viewers find them.
	trackers = "trackers.test:80"
	// silentFor is how long a tracker does not answer before its viewers are sent away.
	silentFor = 5 * time.Second
	// spoken goes before each connection: this machine's own addresses are not limited as a crowd behind one other would be.
	spoken = "PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n"
)

func newBalancer(nodes []string) *balancer {
	b := &balancer{nodes: nodes, ready: make([]bool, len(nodes))}
	b.ctx, b.stop = context.WithCancel(context.Background())
	for i := range nodes {
		b.sessions = append(b.sessions, map[net.Conn]bool{})
		b.done.Go(func() { b.check(i) })
	}
	return b
}

// check asks one tracker whether it is ready.
func (b *balancer) check(i int) {
	client := &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true, DialContext: b.only(i)}}
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	for answered := time.Now(); ; {
		select {
		case <-b.ctx.Done():
			return
		case <-ticker.C:
		}
		resp, err := client.Get("http://" + trackers + "/readyz")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			answered = time.Now()
		}
		b.mu.Lock()
		b.ready[i] = err == nil && resp.StatusCode == http.StatusOK
		var away []net.Conn
		if time.Since(answered) > silentFor {
			for c := range b.sessions[i] {
				away = append(away, c)
			}
		}
		b.mu.Unlock()
		for _, c := range away {
			c.Close()
		}
	}
}

// session is a viewer's connection to a tracker.
type viewerSession struct {
	net.Conn
	balancer *balancer
	node     int
}

func (s *viewerSession) Close() error {
	s.balancer.mu.Lock()
	delete(s.balancer.sessions[s.node], s)
	s.balancer.mu.Unlock()
	return s.Conn.Close()
}

// dial is for viewers: it leads those who want the trackers to one that is ready, and others where they want.
func (b *balancer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if address != trackers {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	b.mu.Lock()
	b.next++
	var turn []int
	for i := range b.nodes {
		if at := (b.next + i) % len(b.nodes); b.ready[at] {
			turn = append(turn, at)
		}
	}
	b.mu.Unlock()
	for _, i := range turn {
		conn, err := b.only(i)(ctx, network, address)
		if err != nil {
			continue
		}
		s := &viewerSession{conn, b, i}
		b.mu.Lock()
		b.sessions[i][s] = true
		b.mu.Unlock()
		return s, nil
	}
	return nil, fmt.Errorf("none of %d trackers takes this connection", len(b.nodes))
}

// only dials one tracker, ready or not.
func (b *balancer) only(i int) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: time.Second}
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, b.nodes[i])
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(conn, spoken); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

func (b *balancer) isReady(i int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready[i]
}

// heaviest is the tracker with the most connections, and how many those are.
func (b *balancer) heaviest() (node, most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range b.sessions {
		if len(s) > most {
			node, most = i, len(s)
		}
	}
	return node, most
}

func (b *balancer) close() {
	b.stop()
	b.done.Wait()
}
