package server

import (
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// memory is Facts of one ban and one channel.
type memory struct {
	sharing atomic.Value // token.Sharing
	banned  atomic.Value // netip.Addr
	most    atomic.Int64
}

func (m *memory) Ban(a netip.Addr)         { m.banned.Store(a) }
func (m *memory) Banned(a netip.Addr) bool { return m.banned.Load() == a }
func (m *memory) UploadBps(string) int64   { return m.most.Load() }
func (m *memory) Sharing(c string) token.Sharing {
	if s, set := m.sharing.Load().(token.Sharing); set && c == channel {
		return s
	}
	return token.Direct
}

func TestWhoWasExpelledDoesNotComeBackWithAnotherToken(t *testing.T) {
	addr := netip.MustParseAddr("203.0.113.7")
	var network atomic.Uint32 // of the others, one for each
	h := start(t, func(c *Config) {
		c.Facts = &memory{}
		c.ClientAddr = func(*http.Request) netip.Addr {
			if n := network.Load(); n > 0 {
				return netip.AddrFrom4([4]byte{198, 51, byte(n), 8})
			}
			return addr
		}
	})
	bad := h.join(announce.Viewer)
	var witnesses []*client
	for n := range uint32(5) {
		network.Store(1 + n)
		witnesses = append(witnesses, h.join(announce.Viewer))
	}
	for _, w := range witnesses {
		w.send(announce.Report{
			Ready: true, Renditions: []string{"360p"}, Dropped: []announce.Drop{{ID: bad.id, Reason: announce.BadLeaf}},
		})
	}
	bad.refused(announce.CodeExpelled, "Several neighbours", websocket.StatusPolicyViolation)
	network.Store(0)
	if status, err := h.dialStatus(nil); status != http.StatusForbidden {
		t.Errorf("it came back: %d, %v", status, err)
	}
	network.Store(9)
	h.join(announce.Viewer)
}

func TestAnOperatorEndsSharing(t *testing.T) {
	facts := &memory{}
	h := start(t, func(c *Config) { c.Facts = facts })
	h.join(announce.Viewer)
	facts.sharing.Store(token.NoSharing)
	c := h.connect()
	c.send(announce.Join{Version: announce.Version, Token: h.tokenFor(announce.Viewer), Role: announce.Viewer})
	c.refused(announce.CodeSharingOff, "do not share", websocket.StatusPolicyViolation)
}

func TestAnOperatorBoundsWhatViewersUpload(t *testing.T) {
	facts := &memory{}
	h := start(t, func(c *Config) {
		c.Cells, c.Facts, c.Caps = 1, facts, map[string]int64{"*": 3_000_000, channel: 2_000_000, otherChannel: 1}
	})
	second := func() { h.server.local.cells[0].second() }
	told := func(c *client, want int64) {
		t.Helper()
		if got := receive[announce.Cap](c).UploadBps; got != want {
			t.Errorf("told %d b/s, want %d", got, want)
		}
	}
	viewer := h.join(announce.Viewer)
	second()
	told(viewer, 2_000_000)
	facts.most.Store(1_000_000) // set for the cluster, while it watches
	second()
	told(viewer, 1_000_000)
	newcomer := h.join(announce.Viewer)
	told(newcomer, 1_000_000)
	receive[announce.Neighbour](viewer)
	if err := h.server.Change(Policy{Secret: secret}); err != nil {
		t.Fatal(err)
	}
	facts.most.Store(0)
	second()
	told(viewer, 0)
}
