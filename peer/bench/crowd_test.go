package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// crowd is clients that join a channel of their own and say that they are connected to whom they meet; they come back
// when they lose their tracker, as viewers do.
type crowd struct {
	front  *balancer
	client *http.Client
	secret []byte
	ctx    context.Context
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	all      []*extra
	since    time.Time                // of the watch
	unheard  bool                     // who loses a tracker lost it when the watch began
	orphaned map[*extra]time.Time     // who lost their tracker
	rejoined []time.Duration          // since the watch began
	reformed map[*extra]time.Duration // since they lost it
}

// meeting is the crowd's channel.
var meeting = strings.Repeat("A", 43)

// extra is one of them.
type extra struct {
	crowd *crowd
	knows map[announce.PeerID]bool
}

const (
	wellConnected = 6
	tryFor        = time.Second // for a connection, before the next try
	// comeBackOver is the time over which those who lost their tracker come back, from half of it on.
	comeBackOver = 2 * time.Second
)

func newCrowd(front *balancer, secret []byte) *crowd {
	c := &crowd{front: front, client: visiting(front.dial), secret: secret}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.watch(false)
	return c
}

// visiting makes a client whose WebSockets are made by a dialler.
func visiting(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
}

func (c *crowd) close() {
	c.stop()
	c.done.Wait()
}

// watch begins to look for orphans. Of some accidents they cannot know for a while that they are.
func (c *crowd) watch(unheard bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unheard = unheard
	c.since, c.orphaned, c.rejoined, c.reformed = time.Now(), map[*extra]time.Time{}, nil, map[*extra]time.Duration{}
}

// met is the share of all that have enough neighbours.
func (c *crowd) met() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, e := range c.all {
		if len(e.knows) >= wellConnected {
			n++
		}
	}
	return float64(n) / float64(max(len(c.all), 1))
}

// seen is how many lost their tracker since, how many seconds it took nine of ten of them to have enough neighbours again,
// and how many came back a second at the worst of times.
func (c *crowd) seen() (orphans int, reformedIn, peak float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	orphans = len(c.orphaned)
	if orphans == 0 {
		return 0, 0, 0
	}
	var took []time.Duration
	for _, d := range c.reformed {
		took = append(took, d)
	}
	slices.Sort(took)
	if nth := orphans * 9 / 10; nth < len(took) {
		reformedIn = took[nth].Seconds()
	} else {
		reformedIn = time.Since(c.since).Seconds() // not within the watch
	}
	slices.Sort(c.rejoined)
	const window = 500 * time.Millisecond
	for i, from := range c.rejoined {
		n := 0
		for _, at := range c.rejoined[i:] {
			if at-from < window {
				n++
			}
		}
		peak = max(peak, float64(n)/window.Seconds())
	}
	return orphans, reformedIn, peak
}

// add lets one more join.
func (c *crowd) add() {
	e := &extra{crowd: c}
	c.mu.Lock()
	c.all = append(c.all, e)
	c.mu.Unlock()
	c.done.Go(func() {
		wait := 500 * time.Millisecond
		for c.ctx.Err() == nil {
			began := time.Now()
			code := e.visit()
			if c.ctx.Err() != nil {
				return
			}
			lasted := time.Since(began)
			if lasted > 15*time.Second {
				c.mu.Lock()
				c.orphaned[e] = time.Now()
				if c.unheard {
					c.orphaned[e] = c.since
				}
				delete(c.reformed, e)
				e.knows = nil
				c.mu.Unlock()
				wait = comeBackOver
			}
			pause := wait
			if code == announce.CodeShuttingDown {
				pause = max(pause, comeBackOver)
			}
			select {
			case <-c.ctx.Done():
			case <-time.After(pause/2 + rand.N(pause)):
			}
			wait = min(2*wait, 15*time.Second)
		}
	})
}

// visit is one connection, from the dialling to its end; the code is of the tracker's last word.
func (e *extra) visit() (code string) {
	c := e.crowd
	ws, err := c.join(c.ctx, c.client, meeting)
	if err != nil {
		return ""
	}
	defer ws.CloseNow()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	c.mu.Lock()
	e.knows = map[announce.PeerID]bool{}
	c.mu.Unlock()
	go e.report(ctx, ws)
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			return ""
		}
		m, err := announce.Decode(b)
		if err != nil {
			return ""
		}
		switch m := m.(type) {
		case announce.Welcome:
			c.mu.Lock()
			if _, orphan := c.orphaned[e]; orphan {
				c.rejoined = append(c.rejoined, time.Since(c.since))
			}
			c.mu.Unlock()
		case announce.Neighbour:
			c.mu.Lock()
			e.knows[m.ID] = true
			if at, orphan := c.orphaned[e]; orphan && len(e.knows) >= wellConnected && c.reformed[e] == 0 {
				c.reformed[e] = time.Since(at)
			}
			c.mu.Unlock()
		case announce.Gone:
			c.mu.Lock()
			delete(e.knows, m.ID)
			c.mu.Unlock()
		case announce.Error:
			return m.Code
		}
	}
}

// report says every five seconds that all neighbours are connected.
func (e *extra) report(ctx context.Context, ws *websocket.Conn) {
	time.Sleep(rand.N(5 * time.Second)) // so that they do not report together
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		e.crowd.mu.Lock()
		n := int64(len(e.knows))
		e.crowd.mu.Unlock()
		b, err := announce.Encode(announce.Report{Ready: true, Neighbours: n, Renditions: []string{rendition}, UplinkBps: 4_000_000})
		if err != nil || ws.Write(ctx, websocket.MessageText, b) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// join dials and says join.
func (c *crowd) join(ctx context.Context, client *http.Client, channel string) (*websocket.Conn, error) {
	dialling, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	now := time.Now()
	pass, err := token.Secret(c.secret).Mint("", token.Claims{
		Channel: channel, Role: announce.Viewer, ID: fmt.Sprint(rand.Uint64()), Issued: now, Expires: now.Add(time.Minute),
		Fingerprint: token.Fingerprint{1},
	})
	if err != nil {
		return nil, err
	}
	b, err := announce.Encode(announce.Join{Version: announce.Version, Role: announce.Viewer, Renditions: []string{rendition}})
	if err != nil {
		return nil, err
	}
	ws, _, err := websocket.Dial(dialling, "ws://"+trackers+"/tracker", &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{announce.Subprotocol, pass}})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(announce.MaxMessage)
	if err := ws.Write(dialling, websocket.MessageText, b); err != nil {
		ws.CloseNow()
		return nil, err
	}
	return ws, nil
}

// probe has a newcomer join and leave four times a second until the answer is asked for: how many did, and how many
// seconds the slowest waited for its welcome, over all its tries.
func (c *crowd) probe() (seen func() (joins int, slowest float64)) {
	ctx, stop := context.WithCancel(c.ctx)
	var mu sync.Mutex
	var joins int
	var slowest time.Duration
	var newcomers sync.WaitGroup
	newcomers.Go(func() {
		ticker := time.NewTicker(250 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			newcomers.Go(func() {
				began := time.Now()
				for !c.welcome(ctx) {
					if ctx.Err() != nil {
						return
					}
					select {
					case <-ctx.Done():
						return
					case <-time.After(100 * time.Millisecond):
					}
				}
				mu.Lock()
				defer mu.Unlock()
				joins++
				slowest = max(slowest, time.Since(began))
			})
		}
	})
	return func() (int, float64) {
		stop()
		newcomers.Wait()
		return joins, slowest.Seconds()
	}
}

// welcome joins once and tells whether that was welcome.
func (c *crowd) welcome(ctx context.Context) bool {
	answer, err := c.answer(ctx, c.client, meeting)
	_, ok := answer.(announce.Welcome)
	return err == nil && ok
}

// ask joins a channel at one tracker and tells how that is refused; "" if it is welcome.
func (c *crowd) ask(node int, channel string) (code string) {
	answer, err := c.answer(c.ctx, visiting(c.front.only(node)), channel)
	if err != nil {
		return err.Error()
	}
	if refused, ok := answer.(announce.Error); ok {
		return refused.Code
	}
	return ""
}

// answer is the first that a tracker says to a newcomer.
func (c *crowd) answer(ctx context.Context, client *http.Client, channel string) (announce.Message, error) {
	ws, err := c.join(ctx, client, channel)
	if err != nil {
		return nil, err
	}
	defer ws.CloseNow()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, b, err := ws.Read(ctx)
	if err != nil {
		return nil, err
	}
	return announce.Decode(b)
}
