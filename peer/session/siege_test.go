package session_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	hostile "slipstream/peer/attack"
	"slipstream/peer/session"
	"slipstream/tracker/announce"
)

// A siege is a room in memory, a good quarter of it hostile: the attackers of peer/attack, as they are measured over real
// WebRTC by peer/bench, here in virtual time. Ten honest viewers know six of their own each, and two or three attackers;
// the tracker has taken the attackers for viewers and dealt them four duties of fourteen.

const besieged, besiegers = 10, 4

// witness is a spectator that compares what it would show with what was published.
type witness struct {
	*spectator
	c      *channel
	next   int64
	shown  int
	forged []int64 // numbers of segments with a byte in them that nobody published
}

// Advance implements session.Audience.
func (w *witness) Advance(nowMs int64, name string, window []session.Segment) {
	w.spectator.Advance(nowMs, name, window)
	for _, seg := range window {
		if seg.StartMs >= w.bufferedMs || !seg.Complete || seg.Number < w.next {
			continue
		}
		w.next = seg.Number + 1
		w.shown++
		if !bytes.Equal(w.session.Media(name, seg.Number), w.c.segments[seg.Number].data) {
			w.forged = append(w.forged, seg.Number)
		}
	}
}

// besiege lets an attacker loose on a viewer.
func besiege(ctx context.Context, a *hostile.Attacker, victim *spectator, name string) {
	var adopted *session.Adopted
	var receive func([]byte)
	var closed func()
	ready := make(chan struct{})
	toVictim := newPipe(ctx, func(m []byte) { <-ready; adopted.Receive(m) }, func() { <-ready; adopted.Closed() })
	toAttacker := newPipe(ctx, func(m []byte) { <-ready; receive(m) }, func() { <-ready; closed() })
	adopted = victim.session.Adopt(peerID("attacker"+name), toAttacker)
	receive, closed = a.Approach(peerID("victim"+name), toVictim)
	close(ready)
}

// siege plays for 20 seconds and returns what share of the media came from neighbours.
func siege(t *testing.T, kind hostile.Kind) (offload float64) {
	c := offline(t)
	var viewers []*spectator
	var witnesses []*witness
	for range besieged {
		viewers = append(viewers, c.watch(t, func(cfg *session.Config) {
			w := &witness{spectator: cfg.Audience.(*spectator), c: c}
			witnesses = append(witnesses, w)
			cfg.Audience = w
		}))
	}
	time.Sleep(time.Second)
	for i := range viewers {
		for step := 1; step <= 3; step++ {
			connect(t.Context(), viewers[i], viewers[(i+step)%besieged], fmt.Sprint(i, "+", step))
		}
		mask := uint16(0)
		for stripe := i; stripe < announce.Stripes; stripe += besieged + besiegers {
			mask |= 1 << stripe
		}
		viewers[i].session.Deal(announce.Share{Rendition: rendition, Stripes: mask})
	}
	var attackers []*hostile.Attacker
	for i := range besiegers {
		if kind == "" {
			break
		}
		a := hostile.New(hostile.Config{Playlist: c.url, Kind: kind, Client: c.inMemory(), Seed: uint64(i)})
		go a.Run(t.Context())
		attackers = append(attackers, a)
	}
	for visit := range 2 { // who was dropped comes back under a new name
		for i, a := range attackers {
			for j := range 6 {
				besiege(t.Context(), a, viewers[(2*i+j)%besieged], fmt.Sprint(visit, "-", i, "-", j))
			}
		}
		time.Sleep(10 * time.Second)
	}
	var http, p2p int64
	for i, w := range witnesses {
		o := viewers[i].observe()
		http, p2p = http+o.HTTPBytes, p2p+o.P2PBytes
		w.session.Do(func() {
			if len(w.forged) > 0 || w.shown < 8 {
				t.Errorf("viewer %d showed %d segments, of which %v are not what was published", i, w.shown, w.forged)
			}
		})
	}
	noStalls(t, viewers)
	victims, dropped := int64(0), int64(0)
	for _, a := range attackers {
		victims, dropped = victims+a.Count().Victims.Load(), dropped+a.Count().Dropped.Load()
	}
	t.Logf("%d connections of attackers, %d of them dropped", victims, dropped)
	if kind != "" && victims < besiegers*6 {
		t.Errorf("attackers reached %d viewers, so little was tested", victims)
	}
	return float64(p2p) / float64(http+p2p)
}

func TestARoomUnderSiegePlaysOnAndTheCDNIsSpared(t *testing.T) {
	clean := 0.0
	synctest.Test(t, func(t *testing.T) { clean = siege(t, "") })
	for _, kind := range hostile.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				offload := siege(t, kind)
				t.Logf("%.1f %% from neighbours, %.1f %% without attackers", 100*offload, 100*clean)
				if least := 0.7*clean - 0.02; offload < least {
					t.Errorf("%.1f %% came from neighbours, want at least %.1f %%", 100*offload, 100*least)
				}
			})
		})
	}
}
