package cluster

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"slipstream/tracker/token"
)

// eventually waits for what other processes do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func open(t *testing.T, cfg Config) *Node {
	t.Helper()
	cfg.Secret, cfg.Log = make([]byte, 32), slog.New(slog.DiscardHandler)
	n, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Abandon)
	return n
}

// kept checks that what one node learns all know, and that a visitor can change it.
func kept(t *testing.T, nodes []*Node, visit Config) {
	t.Helper()
	attacker, neighbour := netip.MustParseAddr("2a01:db8:1:2::3"), netip.MustParseAddr("2a01:db8:1:3::3")
	eventually(t, "the bucket never came", func() bool {
		nodes[0].Facts.mu.RLock()
		defer nodes[0].Facts.mu.RUnlock()
		return nodes[0].Facts.bucket != nil
	})
	nodes[0].Facts.Ban(attacker)
	visit.Secret, visit.Log = make([]byte, 32), slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := SetChannel(ctx, visit, channel, Settings{Sharing: token.NoSharing, UploadBps: 2_000_000}); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		eventually(t, "a node did not hear of it", func() bool {
			return n.Facts.Sharing(channel) == token.NoSharing && n.Facts.UploadBps(channel) == 2_000_000 && n.Facts.Banned(attacker)
		})
		if n.Facts.Banned(neighbour) || !n.Facts.Banned(netip.MustParseAddr("2a01:db8:1:2:ffff::1")) {
			t.Errorf("node %d does not ban the /64 and nobody else", i)
		}
	}
	if err := SetChannel(ctx, visit, channel, Settings{}); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		eventually(t, "a setting that was taken back is still there", func() bool { return n.Facts.Sharing(channel) == token.Direct })
	}
	for says, channelAndSharing := range map[string][2]string{"is not a channel id": {"demo", "off"}, "is no way to share": {channel, "no"}} {
		if err := SetChannel(ctx, visit, channelAndSharing[0], Settings{Sharing: token.Sharing(channelAndSharing[1])}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", channelAndSharing, err)
		}
	}
}

func TestWhatANATSKeepsAllTrackersKnow(t *testing.T) {
	t.Parallel()
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS did not start")
	}
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	cfg := Config{Name: "test", URL: s.ClientURL()}
	kept(t, []*Node{open(t, cfg), open(t, cfg)}, cfg)
}

func TestWhatTrackersKeepTogetherAllOfThemKnow(t *testing.T) {
	t.Parallel()
	var addresses []string
	for range 3 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, ln.Addr().String())
		ln.Close()
	}
	var nodes []*Node
	for i, name := range []string{"one", "two", "three"} {
		nodes = append(nodes, open(t, Config{Name: "test", Node: name, Listen: addresses[i], Routes: addresses, Data: t.TempDir()}))
	}
	kept(t, nodes, Config{Name: "test", Routes: addresses})
}
