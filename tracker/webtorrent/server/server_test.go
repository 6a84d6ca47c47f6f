package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"slipstream/tracker/epoll"
)

func TestTwoPeersExchangeDescriptions(t *testing.T) {
	onEach(t, nil, func(t *testing.T, h *harness) {
		a, b := h.connect(), h.connect()
		m := a.announce("a", `"event":"started","left":0,`)
		if m.Action != "announce" || m.InfoHash != swarm || *m.Complete != 1 || *m.Incomplete != 0 || m.Interval != 120 || m.TrackerID == "" {
			t.Errorf("the first was told %+v", m)
		}
		m = b.announce("b", `"offers":[{"offer":{"type":"offer","sdp":"v=0\r\n€"},"offer_id":"12345678901234567890"},{"offer":{},"offer_id":"1234567890123456789x"}],`)
		if *m.Complete != 1 || *m.Incomplete != 1 || m.TrackerID != "" {
			t.Errorf("the second was told %+v", m)
		}
		m = a.hear()
		if string(m.Offer) != `{"type":"offer","sdp":"v=0\r\n€"}` || m.OfferID != "12345678901234567890" || m.PeerID != peerID("b") || m.InfoHash != swarm {
			t.Errorf("the offer came as %+v", m)
		}
		a.say(`{"action":"announce","info_hash":` + quoted(swarm) + `,"peer_id":` + quoted(peerID("a")) + `,"to_peer_id":` + quoted(m.PeerID) + `,"offer_id":"12345678901234567890","answer":{"type":"answer"}}`)
		m = b.hear()
		if string(m.Answer) != `{"type":"answer"}` || m.OfferID != "12345678901234567890" || m.PeerID != peerID("a") || m.InfoHash != swarm {
			t.Errorf("the answer came as %+v", m)
		}
		a.say(`{"action":"scrape","info_hash":[` + quoted(swarm) + `,"12345678901234567890"]}`)
		if files := a.hear().Files; len(files) != 2 || files[swarm].Complete != 1 || files[swarm].Incomplete != 1 || files["12345678901234567890"].Incomplete != 0 {
			t.Errorf("scraped %+v", files)
		}
		if s := h.stats(); s.Torrents != 1 || s.PeersAll != 2 || s.PeersSeederOnly != 1 || s.PeersLeecherOnly != 1 || s.PeersIPv4 != 2 || s.Clients["WebTorrent"]["0200"] != 2 {
			t.Errorf("statistics: %+v", s)
		}
		a.ws.CloseNow()
		h.peersUntil(1)
		if m := b.announce("b", `"event":"stopped",`); *m.Complete != 0 || *m.Incomplete != 0 {
			t.Errorf("after both have gone: %+v", m)
		}
		h.peersUntil(0)
	})
}

// TestPeersOfOnePageShareAConnection: the torrents of a page, even two of one swarm, have one WebSocket.
func TestPeersOfOnePageShareAConnection(t *testing.T) {
	onEach(t, nil, func(t *testing.T, h *harness) {
		page := h.connect()
		page.announce("a", "")
		if m := page.announce("b", `"offers":[{"offer":{},"offer_id":"12345678901234567890"}],`); *m.Incomplete != 2 {
			t.Errorf("%+v", m)
		}
		if m := page.hear(); m.PeerID != peerID("b") || m.Offer == nil {
			t.Errorf("%+v", m)
		}
		page.ws.CloseNow()
		h.peersUntil(0)
	})
}

func TestMistakesEndTheConnectionWithASentence(t *testing.T) {
	onEach(t, nil, func(t *testing.T, h *harness) {
		bystander := h.connect()
		bystander.announce("x", "")
		for text, want := range map[string]string{
			"hello": "The message is not a JSON object.",
			`{"action":"announce","info_hash":"short"}`:                "The info_hash must be 20 binary characters.",
			`{"action":"announce","info_hash":"12345678901234567890"}`: "The peer_id must be 20 binary characters.",
			`{"action":"scrape"}`:                                      "A scrape must name its info_hash, or several in a list.",
		} {
			c := h.connect()
			c.say(text)
			if m := c.hear(); m.Failure != want {
				t.Errorf("%s: %+v, want %q", text, m, want)
			}
			if status := c.closed(); status != websocket.StatusPolicyViolation {
				t.Errorf("%s: status %d", text, status)
			}
		}
		if m := bystander.announce("x", ""); *m.Incomplete != 1 {
			t.Errorf("a bystander was told %+v", m)
		}
	})
}

func TestRefusalsLeaveTheConnectionOpen(t *testing.T) {
	limits := func(c *Config, e *epoll.Config) { c.Limits.SwarmPeers, c.Limits.Visit.Swarms = 1, 2 }
	onEach(t, limits, func(t *testing.T, h *harness) {
		a, b := h.connect(), h.connect()
		a.announce("a", "")
		for _, peer := range []string{"a", "b"} {
			if m := b.announce(peer, ""); m.Failure == "" || m.InfoHash != swarm {
				t.Errorf("%s: %+v", peer, m)
			}
		}
		a.ws.CloseNow()
		h.peersUntil(0)
		if m := b.announce("b", ""); m.Failure != "" || *m.Incomplete != 1 {
			t.Errorf("with room again: %+v", m)
		}
		other := func(hash string) message {
			b.say(`{"action":"announce","info_hash":"` + hash + `","peer_id":"12345678901234567890"}`)
			return b.hear()
		}
		if m := other("12345678901234567890"); m.Failure != "" {
			t.Errorf("a second swarm: %+v", m)
		}
		if m := other("1234567890123456789x"); !strings.Contains(m.Failure, "Too many swarms") {
			t.Errorf("a third: %+v", m)
		}
	})
}

func TestTooManyMessagesEndTheConnection(t *testing.T) {
	onEach(t, func(c *Config, e *epoll.Config) { c.Limits.Visit.MessageBurst, c.Limits.Visit.MessageRate = 3, 1 }, func(t *testing.T, h *harness) {
		c := h.connect()
		for range 3 {
			c.announce("a", "")
		}
		if m := c.announce("a", ""); !strings.Contains(m.Failure, "Too many messages") {
			t.Errorf("%+v", m)
		}
		if status := c.closed(); status != websocket.StatusPolicyViolation {
			t.Errorf("status %d", status)
		}
		h.peersUntil(0)
	})
}

func TestLongMessages(t *testing.T) {
	onEach(t, nil, func(t *testing.T, h *harness) {
		c := h.connect()
		if m := c.announce("a", `"x":"`+strings.Repeat("x", 65_000)+`",`); *m.Incomplete != 1 {
			t.Errorf("%+v", m)
		}
		c.say(strings.Repeat(" ", 65_537))
		if status := c.closed(); status != websocket.StatusMessageTooBig {
			t.Errorf("status %d", status)
		}
	})
}

func TestGatesAndPlaces(t *testing.T) {
	released := make(chan struct{}, 9)
	var open atomic.Bool
	onEach(t, func(c *Config, e *epoll.Config) {
		c.Limits.Connections = 1
		c.Gate = func(*http.Request) (func(), int, string) {
			if !open.Load() {
				return nil, http.StatusForbidden, "no"
			}
			return func() { released <- struct{}{} }, 0, ""
		}
	}, func(t *testing.T, h *harness) {
		status := func() int { _, resp, _ := h.dial(); return resp.StatusCode }
		open.Store(false)
		if got := status(); got != http.StatusForbidden {
			t.Errorf("past a closed gate: %d", got)
		}
		open.Store(true)
		c := h.connect()
		if got := status(); got != http.StatusServiceUnavailable {
			t.Errorf("a second connection where one may be: %d", got)
		}
		<-released
		c.ws.CloseNow()
		<-released // the place is free just after
		for end := time.Now().Add(patience); status() != http.StatusSwitchingProtocols; <-released {
			if time.Now().After(end) {
				t.Fatal("the place was not given to anybody else")
			}
		}
	})
}

func TestPlainRequestsAreTold(t *testing.T) {
	onEach(t, nil, func(t *testing.T, h *harness) {
		get := func(path string) (*http.Response, string) {
			resp, err := h.http.Get(h.url + path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			return resp, string(b)
		}
		if resp, text := get("/announce"); resp.StatusCode != http.StatusUpgradeRequired || !strings.Contains(text, "WebSocket") {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
		if resp, text := get("/announce/stats"); !strings.Contains(text, "0 torrents") || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
	})
}

func TestWhoDoesNotReadIsClosedAndHarmsNobody(t *testing.T) {
	onEach(t, func(c *Config, e *epoll.Config) {
		c.Limits.Pending, e.MaxPending, c.Limits.Visit.MessageBurst = 100_000, 100_000, 1<<40
	}, func(t *testing.T, h *harness) {
		sleeper, talker := h.connect(), h.connect()
		sleeper.announce("sleeper", "")
		sdp := strings.Repeat("x", 10_000)
		for n := 0; ; n++ {
			m := talker.announce("talker", fmt.Sprintf(`"offers":[{"offer":{"sdp":"%s"},"offer_id":"%020d"}],`, sdp, n))
			if *m.Incomplete == 1 {
				break
			}
			if n == 10_000 {
				t.Fatal("who read nothing of 100 MB is still there")
			}
		}
	})
}

func TestWhoIsSilentIsAskedAndDropped(t *testing.T) {
	onEach(t, func(c *Config, e *epoll.Config) {
		c.Limits.PingInterval, c.Limits.WriteTimeout = 50*time.Millisecond, 400*time.Millisecond
		e.PingInterval, e.WriteTimeout = 50*time.Millisecond, 400*time.Millisecond
	}, func(t *testing.T, h *harness) {
		deaf, awake := h.connect(), h.connect()
		deaf.announce("deaf", "") // it does not read from here on, and so answers no ping
		awake.announce("awake", "")
		go awake.ws.Read(context.Background())
		h.peersUntil(1)
		if s := h.stats(); s.PeersAll > 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhoAnnouncesNothingIsDropped(t *testing.T) {
	onEach(t, func(c *Config, e *epoll.Config) {
		c.Limits.OpenTimeout, e.OpenTimeout = 20*time.Millisecond, 20*time.Millisecond
	}, func(t *testing.T, h *harness) {
		if status := h.connect().closed(); status != websocket.StatusPolicyViolation {
			t.Errorf("status %d", status)
		}
	})
}

func TestSilentPeersExpire(t *testing.T) {
	onEach(t, func(c *Config, e *epoll.Config) { c.Limits.ExpiryMs = 1 }, func(t *testing.T, h *harness) {
		c := h.connect()
		c.announce("a", "")
		h.peersUntil(0)
		if m := c.announce("a", ""); *m.Incomplete != 1 {
			t.Errorf("%+v", m)
		}
	})
}

func TestClosingSaysGoodbye(t *testing.T) {
	onEach(t, nil, func(t *testing.T, h *harness) {
		c := h.connect()
		c.announce("a", "")
		done := make(chan struct{})
		go func() { h.server.Close(); close(done) }()
		if status := c.closed(); status != websocket.StatusGoingAway {
			t.Errorf("status %d", status)
		}
		<-done
		if _, resp, _ := h.dial(); resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("after the end: %+v", resp)
		}
	})
}
