package cluster

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

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

// cutBucket is a bucket that may be beyond a partition.
type cutBucket struct {
	jetstream.KeyValue
	cut     bool
	created map[string]bool
	updates chan jetstream.KeyValueEntry
}

func (b *cutBucket) Create(_ context.Context, key string, _ []byte, _ ...jetstream.KVCreateOpt) (uint64, error) {
	if b.cut {
		return 0, context.DeadlineExceeded
	}
	if b.created[key] {
		return 0, jetstream.ErrKeyExists
	}
	b.created[key] = true
	return 1, nil
}

func (b *cutBucket) WatchAll(context.Context, ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	return cutWatcher{updates: b.updates}, nil
}

type cutWatcher struct {
	jetstream.KeyWatcher
	updates chan jetstream.KeyValueEntry
}

func (w cutWatcher) Updates() <-chan jetstream.KeyValueEntry { return w.updates }
func (w cutWatcher) Stop() error                             { return nil }

type setting struct {
	jetstream.KeyValueEntry
	key, value string
}

func (s setting) Key() string                     { return s.key }
func (s setting) Value() []byte                   { return []byte(s.value) }
func (s setting) Created() time.Time              { return time.Time{} }
func (s setting) Operation() jetstream.KeyValueOp { return jetstream.KeyValuePut }

func TestABanByATrackerThatIsCutOffIsToldAfterwards(t *testing.T) {
	f, bucket := NewFacts(), &cutBucket{cut: true, created: map[string]bool{}}
	attackers := []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")}
	for _, a := range attackers {
		f.Ban(a)
	}
	if err := f.tellUntold(t.Context(), bucket); err == nil {
		t.Error("nobody could be told, and it is no error")
	}
	bucket.cut = false
	for range 2 { // it is not told twice
		if err := f.tellUntold(t.Context(), bucket); err != nil {
			t.Error(err)
		}
	}
	if len(bucket.created) != len(attackers) || len(f.untold) != 0 {
		t.Errorf("%d of %d bans are told, and %d are to be", len(bucket.created), len(attackers), len(f.untold))
	}
}

// The bucket takes a ban out, and after a minute it has forgotten that it did: who is cut off for so long never hears of it.
func TestABanEndsAlsoWhereItsEndIsNotHeard(t *testing.T) {
	f, now := NewFacts(), time.Now()
	f.now = func() time.Time { return now }
	own, others := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	f.Ban(own)
	f.learn(banKey+f.digest(others), nil, now, true)
	now = now.Add(BanFor - time.Second)
	if !f.Banned(own) || !f.Banned(others) {
		t.Error("a ban ended early")
	}
	now = now.Add(time.Second)
	if f.Banned(own) || f.Banned(others) {
		t.Error("a ban did not end")
	}
	f.Ban(netip.MustParseAddr("198.51.100.3"))
	if len(f.bans) != 1 || len(f.untold) != 1 {
		t.Errorf("%d bans are remembered, %d to be told", len(f.bans), len(f.untold))
	}
}

func TestTheBucketIsReadAnewWhenNATSIsBack(t *testing.T) {
	f, bucket := NewFacts(), &cutBucket{updates: make(chan jetstream.KeyValueEntry)}
	f.reread()
	f.reread() // nobody waits
	if err := f.follow(t.Context(), bucket); !errors.Is(err, errBack) {
		t.Error(err)
	}
}

func TestASettingThatWasTakenBackUnheardIsGone(t *testing.T) {
	const kept, taken = "channel.kept", "channel.taken"
	f, bucket := NewFacts(), &cutBucket{updates: make(chan jetstream.KeyValueEntry)}
	for _, key := range []string{kept, taken} {
		f.learn(key, []byte(`{"sharing":"off"}`), time.Time{}, true)
	}
	ended := make(chan error)
	go func() { ended <- f.follow(t.Context(), bucket) }()
	bucket.updates <- setting{key: kept, value: `{"sharing":"relay"}`}
	if f.Sharing("taken") != token.NoSharing {
		t.Error("it is gone before all is read")
	}
	bucket.updates <- nil
	close(bucket.updates)
	if err := <-ended; err == nil {
		t.Error("the watch ended, and it is no error")
	}
	if f.Sharing("kept") != token.RelayOnly || f.Sharing("taken") != token.Direct {
		t.Errorf("%q and %q", f.Sharing("kept"), f.Sharing("taken"))
	}
}
