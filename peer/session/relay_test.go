package session_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/peer/rtc"
	"slipstream/peer/session"
	"slipstream/tracker/relay"
	"slipstream/tracker/server"
	"slipstream/tracker/token"
)

// Where viewers meet through the relay only, what they get from each other has passed through it, all of it.
func TestViewersOfARelayOnlyChannelMeetThroughTheRelay(t *testing.T) {
	t.Parallel()
	ice, err := relay.Start(relay.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ice.Close)
	c := newChannel(t, func(cfg *server.Config) {
		cfg.ICE, cfg.Sharing = ice, map[string]token.Sharing{"*": token.RelayOnly}
	})
	var viewers []*spectator
	for range 3 {
		engine, err := rtc.New(rtc.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(engine.Close)
		viewers = append(viewers, c.join(t, func(cfg *session.Config) { cfg.Engine = engine }))
	}
	within(t, 10*time.Second, "playing with neighbours", viewers, joined)
	within(t, 10*time.Second, "getting segments from neighbours", viewers, func(o observation) bool { return o.P2PBytes > segmentBytes/2 })
	noStalls(t, viewers)
	var fromNeighbours int64
	for _, v := range viewers {
		fromNeighbours += v.observe().P2PBytes
	}
	if relayed := relayedBytes(t, ice); relayed < fromNeighbours {
		t.Errorf("%d bytes came from neighbours, %d through the relay", fromNeighbours, relayed)
	}
}

func relayedBytes(t *testing.T, r *relay.Relay) int64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	if err := r.Register(reg); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "slipstream_relay_bytes_total" {
			return int64(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	t.Fatal("the relay does not count bytes")
	return 0
}
