package tracker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"slipstream/tracker/announce"
	"slipstream/tracker/cluster"
)

// node is a tracker of a cluster, in this process and with real NATS.
type node struct {
	url  string
	stop func() // and wait
}

func runNode(t *testing.T, cfg cluster.Config) *node {
	t.Helper()
	cfg.Name = "test"
	ln := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, Config{Secret: secret, Listener: ln, Log: quiet(), Cluster: cfg}) }()
	stopped := false
	n := &node{url: "ws://" + ln.Addr().String() + "/tracker"}
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(n.stop)
	return n
}

// viewer is a WebSocket that has joined.
type viewer struct {
	t  *testing.T
	ws *websocket.Conn
	id announce.PeerID
}

func (n *node) join(t *testing.T) *viewer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, n.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": strings.Repeat("A", 43), "org": "", "role": "viewer", "jti": fmt.Sprint(time.Now().UnixNano()), "iat": time.Now().Unix(),
		"exp": time.Now().Unix() + 120,
	}).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{t: t, ws: ws}
	v.send(announce.Join{Version: announce.Version, Token: token, Role: announce.Viewer, Renditions: []string{"360p"}})
	v.id = next[announce.Welcome](v).ID
	return v
}

func (v *viewer) send(m announce.Message) {
	v.t.Helper()
	b, err := announce.Encode(m)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := v.ws.Write(v.t.Context(), websocket.MessageText, b); err != nil {
		v.t.Fatal(err)
	}
}

// next reads until a message of a type comes.
func next[M announce.Message](v *viewer) M {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, b, err := v.ws.Read(ctx)
		if err != nil {
			v.t.Fatal(err)
		}
		m, err := announce.Decode(b)
		if err != nil {
			v.t.Fatal(err)
		}
		if want, ok := m.(M); ok {
			return want
		}
	}
}

// meet waits until a viewer of each tracker knows one of the other: heartbeats need a moment to find each other.
func meet(t *testing.T, one, two *node) (a, b *viewer) {
	t.Helper()
	a, b = one.join(t), two.join(t)
	for met := next[announce.Neighbour](a); met.ID != b.id; met = next[announce.Neighbour](a) {
	}
	for met := next[announce.Neighbour](b); met.ID != a.id; met = next[announce.Neighbour](b) {
	}
	return a, b
}

// exchange sends a signal each way.
func exchange(t *testing.T, a, b *viewer) {
	t.Helper()
	signal := announce.Signal{
		Kind: announce.Offer, Ufrag: "abcd", Pwd: strings.Repeat("p", 22), Setup: "actpass",
		Fingerprint: "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
	}
	for _, way := range [][2]*viewer{{a, b}, {b, a}} {
		way[0].send(announce.SignalTo{To: way[1].id, Signal: signal})
		if got := next[announce.SignalFrom](way[1]); got.From != way[0].id {
			t.Errorf("a signal from %s, want %s", got.From, way[0].id)
		}
	}
}

// survives has two viewers on different trackers of three meet, and then each tracker restarted that neither is connected
// to, or has its rooms: they still reach each other.
func survives(t *testing.T, open func(name string) *node) {
	one, two := open("one"), open("two")
	a, b := meet(t, one, two)
	exchange(t, a, b)
	three := open("three")
	exchange(t, a, b)
	three.stop()
	exchange(t, a, b)
	c := one.join(t)
	next[announce.Neighbour](c)
}

func TestTrackersThatFindEachOtherAreOne(t *testing.T) {
	var first string
	survives(t, func(name string) *node {
		ln := listen(t)
		address := ln.Addr().String()
		ln.Close()
		cfg := cluster.Config{Node: name, Listen: address}
		if first != "" {
			cfg.Routes = []string{first}
		}
		first = address
		return runNode(t, cfg)
	})
}

func TestTrackersMeetOverANATSOfItsOwn(t *testing.T) {
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS did not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	survives(t, func(name string) *node { return runNode(t, cluster.Config{Node: name, URL: s.ClientURL()}) })
}

func TestAClusterThatCannotBeSaysWhy(t *testing.T) {
	taken := listen(t)
	for _, c := range []struct {
		cfg  cluster.Config
		says string
	}{
		{cluster.Config{Name: "a b", Listen: ":0"}, "no name for a cluster"},
		{cluster.Config{Name: "a"}, "needs an address"},
		{cluster.Config{Name: "a", Listen: "nowhere"}, "no address for other trackers"},
		{cluster.Config{Name: "a", Listen: "127.0.0.1:0", Routes: []string{"b"}}, "no address of another tracker"},
		{cluster.Config{Name: "a", Listen: taken.Addr().String()}, "address already in use"},
		{cluster.Config{Name: "a", URL: "nats://user:secret@127.0.0.1:1"}, "cannot reach NATS at nats://user:xxxxx@127.0.0.1:1"},
	} {
		_, err := NewHandler(Config{Secret: secret, Log: quiet(), Cluster: c.cfg})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.says)
		}
	}
}
