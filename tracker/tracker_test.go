package tracker

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"slipstream/tracker/announce"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = bytes.Repeat([]byte{7}, 32)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// stranger is a client that keeps nothing open and trusts any certificate.
func stranger() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := stranger().Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestATrackerOfItsOwn(t *testing.T) {
	own := httptest.NewUnstartedServer(nil) // has a certificate for 127.0.0.1
	own.StartTLS()
	own.Close()
	for name, cfg := range map[string]Config{"by epoll": {}, "by goroutines": {Goroutines: true}, "over TLS": {TLS: own.TLS}, "over TLS by goroutines": {TLS: own.TLS, Goroutines: true}} {
		t.Run(name, func(t *testing.T) { visitTracker(t, cfg) })
	}
}

// visitTracker runs a tracker from its start to its end.
func visitTracker(t *testing.T, cfg Config) {
	ln := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	cfg.Secret, cfg.Listener, cfg.Log = secret, ln, quiet()
	go func() { ended <- Run(ctx, cfg) }()
	base, socket := "http://"+ln.Addr().String(), "ws://"+ln.Addr().String()
	if cfg.TLS != nil {
		base, socket = "https"+base[len("http"):], "wss"+socket[len("ws"):]
	}
	for path, want := range map[string]string{
		"/livez": "alive", "/readyz": "ready", "/metrics": "slipstream_tracker_viewers", "/tracker/stats.json": `"rooms":[]`,
	} {
		if status, body := get(t, base+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %s", path, status, body)
		}
	}
	if status, _ := get(t, base+"/tracker"); status != http.StatusUpgradeRequired {
		t.Errorf("/tracker without a WebSocket: %d, want 426", status)
	}

	timeout, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(timeout, socket+"/tracker", &websocket.DialOptions{HTTPClient: stranger()})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": strings.Repeat("A", 43), "org": "", "role": "viewer", "jti": "1", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 120,
	}).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	join, err := announce.Encode(announce.Join{Version: 1, Token: token, Role: announce.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.Write(timeout, websocket.MessageText, join); err != nil {
		t.Fatal(err)
	}
	if m := read(t, timeout, ws); m.Type() != "welcome" {
		t.Fatalf("got %#v, want a welcome", m)
	}
	stop()
	background, cancel2 := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel2()
	if m, ok := read(t, background, ws).(announce.Error); !ok || m.Code != announce.CodeShuttingDown {
		t.Errorf("the end came with %#v", m)
	}
	ws.Close(websocket.StatusNormalClosure, "")
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func read(t *testing.T, ctx context.Context, ws *websocket.Conn) announce.Message {
	t.Helper()
	_, b, err := ws.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := announce.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRunSaysWhyItCannotStart(t *testing.T) {
	taken := listen(t).Addr().String()
	for sentence, cfg := range map[string]Config{
		"cannot listen on " + taken + ": another program uses that port": {Secret: secret, Listen: taken},
		"cannot listen on \"nowhere\"":                                   {Secret: secret, Listen: "nowhere"},
		"secret has 5 bytes, it needs at least 32":                       {Secret: []byte("short"), Listen: "127.0.0.1:0"},
	} {
		cfg.Log = quiet()
		err := Run(context.Background(), cfg)
		if err == nil || !strings.Contains(err.Error(), sentence) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one sentence with %q", err, sentence)
		}
	}
}

func TestTheSecretIsReadWithCare(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, size int, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Repeat([]byte{1}, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if b, err := ReadSecret(file("good", 32, 0o600)); err != nil || len(b) != 32 {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	for sentence, path := range map[string]string{
		"there is no token secret at": filepath.Join(dir, "none"),
		"run chmod 600":               file("open", 32, 0o644),
		"needs at least 32":           file("short", 31, 0o600),
		"is not a token secret":       dir,
	} {
		if _, err := ReadSecret(path); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("got %v, want a sentence with %q", err, sentence)
		}
	}
}
