package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"slipstream/tracker/announce"
	"slipstream/tracker/epoll"
	"slipstream/tracker/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(overAll{m}) }

// overAll runs all tests over each transport.
type overAll struct{ *testing.M }

func (m overAll) Run() int {
	if code := m.M.Run(); code != 0 || !epoll.Available || flag.Lookup("test.bench").Value.String() != "" {
		return code
	}
	lean = true
	if code := m.M.Run(); code != 0 {
		return code
	}
	secure = true
	if skip := flag.Lookup("test.skip").Value; skip.String() == "" { // what takes its time over no matter what
		skip.Set("Fresh|Rush|Slowly|OfAnISP|CellThatEmpties|AnswerPings|SayGoodbye|NotReady|Harvester|AddUp|AnotherNode|StolenToken")
	}
	return m.M.Run()
}

// lean tells whether harnesses serve by epoll, secure whether that serves TLS.
var lean, secure bool

const (
	channel      = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	otherChannel = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	patience     = 10 * time.Second // for what must happen
)

var secret = bytes.Repeat([]byte{7}, MinSecret)

// harness is a tracker behind a real HTTP server.
type harness struct {
	t      *testing.T
	server *Server
	http   *httptest.Server
}

// second lets a cell look after everybody.
func (c *cell) second() {
	for part := range ticks {
		c.post(nil, ticked{part})
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func start(t *testing.T, change func(*Config)) *harness {
	t.Helper()
	cfg := Config{Secret: secret, Log: quiet()}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/tracker", s)
	mux.Handle("/tracker/stats.json", s.Stats())
	h := &harness{t, s, httptest.NewUnstartedServer(mux)}
	stop := func() {}
	if lean {
		loops := s.Epoll()
		loops.Paths = map[string]epoll.Open{"/tracker": s.Open}
		if secure {
			loops.TLS, _ = ownTLS()
		}
		sockets, err := epoll.Serve(h.http.Listener, loops)
		if err != nil {
			t.Fatal(err)
		}
		h.http.Listener, stop = sockets.Rest(), sockets.Close
	}
	h.http.Start()
	if secure {
		h.http.URL = "https" + strings.TrimPrefix(h.http.URL, "http")
		_, h.http.Client().Transport.(*http.Transport).TLSClientConfig = ownTLS()
	}
	t.Cleanup(func() {
		s.Close()
		h.http.Close()
		stop()
	})
	return h
}

// ownTLS is a certificate for a test's server, and how a client believes it.
var ownTLS = sync.OnceValues(func() (*tls.Config, *tls.Config) {
	own := httptest.NewUnstartedServer(nil)
	own.StartTLS()
	defer own.Close()
	return own.TLS, own.Client().Transport.(*http.Transport).TLSClientConfig
})

// good are the claims of a token that is accepted, once.
func good() token.Claims {
	now := time.Now()
	return token.Claims{Channel: channel, Role: announce.Viewer, ID: rand.Text(), Issued: now, Expires: now.Add(time.Minute)}
}

func sign(t testing.TB, c token.Claims, key []byte) string {
	t.Helper()
	text, err := token.Secret(key).Mint("", c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// client is a real WebSocket client.
type client struct {
	t  *testing.T
	ws *websocket.Conn
	id announce.PeerID
}

func (h *harness) dial(opts *websocket.DialOptions) (*client, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if opts == nil {
		opts = &websocket.DialOptions{}
	}
	opts.HTTPClient = h.http.Client()
	ws, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(h.http.URL, "http")+"/tracker", opts)
	if err != nil {
		return nil, resp, err
	}
	h.t.Cleanup(func() { ws.CloseNow() })
	return &client{t: h.t, ws: ws}, resp, nil
}

func (h *harness) connect() *client {
	h.t.Helper()
	c, _, err := h.dial(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *harness) tokenFor(role announce.Role) string {
	c := good()
	c.Role = role
	return sign(h.t, c, secret)
}

// join connects, joins and waits for the welcome.
func (h *harness) join(role announce.Role) *client {
	h.t.Helper()
	c := h.connect()
	j := announce.Join{Version: 1, Token: h.tokenFor(role), Role: role}
	if role == announce.Viewer {
		j.Renditions = []string{"360p"}
	}
	c.send(j)
	c.id = receive[announce.Welcome](c).ID
	return c
}

func (c *client) send(m announce.Message) {
	c.t.Helper()
	b, err := announce.Encode(m)
	if err != nil {
		c.t.Fatal(err)
	}
	c.sendText(string(b))
}

func (c *client) sendText(s string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, []byte(s)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) next() (announce.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return nil, err
	}
	return announce.Decode(b)
}

// receive wants the very next message to be of one type.
func receive[T announce.Message](c *client) T {
	c.t.Helper()
	m, err := c.next()
	if err != nil {
		var none T
		c.t.Fatalf("waiting for %T: %v", none, err)
	}
	got, ok := m.(T)
	if !ok {
		c.t.Fatalf("got %#v, want a %T", m, got)
	}
	return got
}

// refused wants an error message and then a closed connection.
func (c *client) refused(code, sentence string, status websocket.StatusCode) {
	c.t.Helper()
	for {
		m, err := c.next()
		if err != nil {
			c.t.Fatalf("the connection ended without a word: %v", err)
		}
		e, ok := m.(announce.Error)
		if !ok {
			continue
		}
		if e.Code != code || !strings.Contains(e.Message, sentence) {
			c.t.Errorf("refused with %q, %q; want %q and a sentence with %q", e.Code, e.Message, code, sentence)
		}
		break
	}
	if _, err := c.next(); websocket.CloseStatus(err) != status {
		c.t.Errorf("after the error: %v, want status %d", err, status)
	}
}

func (h *harness) get(path string) (*http.Response, []byte) {
	h.t.Helper()
	resp, err := h.http.Client().Get(h.http.URL + path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, b
}

// statsUntil asks for statistics until they are as wanted.
func (h *harness) statsUntil(wanted func(Stats) bool) Stats {
	h.t.Helper()
	var s Stats
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		_, b := h.get("/tracker/stats.json")
		s = Stats{}
		if err := json.Unmarshal(b, &s); err != nil {
			h.t.Fatal(err)
		}
		if wanted(s) {
			return s
		}
	}
	h.t.Fatalf("the statistics stay at %+v", s)
	return s
}

func offer() announce.Signal {
	return announce.Signal{
		Kind: announce.Offer, Ufrag: "Ck4x", Pwd: "w2mJVYJqSxQ3nGJ0TIw8yAbC",
		Fingerprint: "sha-256 " + strings.Repeat("AB:", 31) + "AB", Setup: announce.ActPass,
		Candidates: []string{"candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host"},
	}
}

var errNotRefused = errors.New("the connection was not refused")

// dialStatus is the HTTP status of a connection that is refused.
func (h *harness) dialStatus(opts *websocket.DialOptions) (int, error) {
	c, resp, err := h.dial(opts)
	if err == nil {
		c.ws.CloseNow()
		return 0, errNotRefused
	}
	if resp == nil {
		return 0, err
	}
	return resp.StatusCode, nil
}
