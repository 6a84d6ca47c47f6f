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
	"slipstream/tracker/epoll"
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
	v := n.show(t, fresh(t))
	v.id = next[announce.Welcome](v).ID
	return v
}

// fresh is a token.
func fresh(t *testing.T) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": strings.Repeat("A", 43), "org": "", "role": "viewer", "jti": fmt.Sprint(time.Now().UnixNano()), "iat": time.Now().Unix(),
		"exp": time.Now().Unix() + 120,
	}).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// show says join.
func (n *node) show(t *testing.T, token string) *viewer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, n.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	v := &viewer{t: t, ws: ws}
	v.send(announce.Join{Version: announce.Version, Token: token, Role: announce.Viewer, Renditions: []string{"360p"}})
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

func TestATokenOfOneTrackerIsUsedOnAnother(t *testing.T) {
	first := listen(t)
	address := first.Addr().String()
	first.Close()
	one := runNode(t, cluster.Config{Node: "one", Listen: address})
	two := runNode(t, cluster.Config{Node: "two", Listen: "127.0.0.1:0", Routes: []string{address}})
	a, b := meet(t, one, two)
	for range 4 { // each is the keeper of some
		token := fresh(t)
		next[announce.Welcome](one.show(t, token))
		exchange(t, a, b) // so that what one tracker has told before has arrived
		if refused := next[announce.Error](two.show(t, token)); refused.Code != announce.CodeTokenUsed {
			t.Errorf("refused with %+v", refused)
		}
	}
	renewal := fresh(t)
	a.send(announce.Renew{Token: renewal})
	exchange(t, a, b)
	if refused := next[announce.Error](two.show(t, renewal)); refused.Code != announce.CodeTokenUsed {
		t.Errorf("a token that another stays with is refused with %+v", refused)
	}
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

// What an operator is to be told of a tracker in a cluster, each by a metric of its own.
func TestAnOperatorIsToldHowATrackerFares(t *testing.T) {
	n := runNode(t, cluster.Config{Node: "one", Listen: "127.0.0.1:0"})
	n.join(t)
	base := "http" + strings.TrimSuffix(strings.TrimPrefix(n.url, "ws"), "/tracker")
	if status, _ := get(t, base+"/favicon.ico"); status != 404 {
		t.Errorf("nothing is there: %d", status)
	}
	if status, _ := get(t, base+"/tracker?x"); status != 426 { // no WebSocket
		t.Errorf("half a visit: %d", status)
	}
	_, told := get(t, base+"/metrics")
	if !strings.Contains(told, `slipstream_tracker_refused_total{reason="not-found"} 1`) && epoll.Available {
		t.Error("who asked for nothing that there is was not counted")
	}
	for what, metric := range map[string]string{
		"joins":                     `joins_total{role="viewer"} 1`,
		"how long they took":        `join_seconds_bucket{le="0.0001"}`,
		"viewers by ISP and state":  `isp_viewers{isp="unknown",state="waiting"} 1`,
		"offload":                   `offload_ratio 0`,
		"stalls":                    `stall_ratio 0`,
		"pairs within ISPs":         `same_isp_ratio 0`,
		"bytes within ISPs":         `p2p_bytes_estimate_total{isp="same"} 0`,
		"who was refused":           `refused_total{reason="handshake"} 1`,
		"how long NATS takes":       `cluster_nats_lag_seconds `,
		"the trackers it hears":     `cluster_nodes 1`,
		"media":                     `media_bytes_total{path="p2p"} 0`,
		"what the cluster left out": `cluster_shed_total 0`,
	} {
		if !strings.Contains(told, "\nslipstream_tracker_"+metric) {
			t.Errorf("%s: no %s", what, metric)
		}
	}
}
