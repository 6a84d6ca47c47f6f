package server

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"slipstream/tracker/epoll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // for what must happen

// harness is a tracker behind a real listener.
type harness struct {
	t      *testing.T
	server *Server
	url    string
	http   *http.Client
}

// carriers are the ways to a client: an epoll loop (on Linux), a goroutine, a goroutine below TLS.
var carriers = []string{"loops", "goroutines", "TLS"}

// onEach runs a test over each carrier.
func onEach(t *testing.T, change func(*Config, *epoll.Config), test func(*testing.T, *harness)) {
	for _, carrier := range carriers {
		t.Run(carrier, func(t *testing.T) { test(t, start(t, carrier, change)) })
	}
}

func start(t *testing.T, carrier string, change func(*Config, *epoll.Config)) *harness {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg, loops := Config{Log: quiet}, epoll.Config{Log: quiet}
	if change != nil {
		change(&cfg, &loops)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/announce", s)
	mux.Handle("/announce/stats", s.Stats())
	mux.Handle("/announce/stats.json", s.Stats())
	web := httptest.NewUnstartedServer(mux)
	if carrier == "loops" && epoll.Available {
		loops.Paths = map[string]epoll.Open{"/announce": s.Open}
		sockets, err := epoll.Serve(web.Listener, loops)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sockets.Close)
		web.Listener = sockets.Rest()
	}
	if carrier == "TLS" {
		web.StartTLS()
	} else {
		web.Start()
	}
	t.Cleanup(func() {
		s.Close()
		web.Client().CloseIdleConnections()
		web.Close()
	})
	return &harness{t, s, web.URL, web.Client()}
}

// client is somebody with a WebSocket, from a library that knows RFC 6455 well.
type client struct {
	t  *testing.T
	ws *websocket.Conn
}

func (h *harness) dial() (*client, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(h.url, "http")+"/announce", &websocket.DialOptions{HTTPClient: h.http})
	if err != nil {
		return nil, resp, err
	}
	ws.SetReadLimit(1 << 20)
	h.t.Cleanup(func() { ws.CloseNow() })
	return &client{h.t, ws}, resp, nil
}

func (h *harness) connect() *client {
	h.t.Helper()
	c, _, err := h.dial()
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (c *client) say(text string) {
	c.t.Helper()
	if err := c.ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// message is anything that the tracker says.
type message struct {
	Action     string
	InfoHash   string          `json:"info_hash"`
	PeerID     string          `json:"peer_id"`
	OfferID    string          `json:"offer_id"`
	Offer      json.RawMessage `json:"offer"`
	Answer     json.RawMessage `json:"answer"`
	Failure    string          `json:"failure reason"`
	TrackerID  string          `json:"tracker id"`
	Interval   int             `json:"interval"`
	Complete   *int            `json:"complete"`
	Incomplete *int            `json:"incomplete"`
	Files      map[string]struct{ Complete, Incomplete, Downloaded int }
}

func (c *client) hear() message {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		c.t.Fatalf("%s: %v", b, err)
	}
	return m
}

// closed waits for the end of the connection and tells its status.
func (c *client) closed() websocket.StatusCode {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, b, err := c.ws.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		} else if ctx.Err() != nil {
			c.t.Fatalf("the connection stays open, and said %s", b)
		}
	}
}

const swarm = "swarm 1 ÿ\u0001 \"\\      x" // 20 characters, of all kinds

// peerID is the name of peer n.
func peerID(n string) string { return "-WW0200-" + n + strings.Repeat(".", 12-len(n)) }

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// announce says hello, with more members before it, and returns the answer.
func (c *client) announce(peer, more string) message {
	c.t.Helper()
	c.say(`{` + more + `"action":"announce","info_hash":` + quoted(swarm) + `,"peer_id":` + quoted(peerID(peer)) + `}`)
	return c.hear()
}

func (h *harness) stats() (s Stats) {
	h.t.Helper()
	resp, err := h.http.Get(h.url + "/announce/stats.json")
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// peersUntil waits until so many peers are in swarms.
func (h *harness) peersUntil(want int) {
	h.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, peers := h.server.count(); peers == want {
			return
		} else if time.Now().After(end) {
			h.t.Fatalf("%d peers, want %d", peers, want)
		}
	}
}
