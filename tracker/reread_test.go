package tracker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"slipstream/tracker/server"
)

// lines is a log that can be waited for.
type lines struct {
	all chan string
}

func (l *lines) Write(b []byte) (int, error) {
	l.all <- string(b)
	return len(b), nil
}

// until returns the line with a text.
func (l *lines) until(t *testing.T, text string) string {
	t.Helper()
	for {
		select {
		case line := <-l.all:
			if strings.Contains(line, text) {
				return line
			}
		case <-t.Context().Done():
			t.Fatalf("the log never said %q", text)
		}
	}
}

func TestAHangupHasTheConfigurationReadAgain(t *testing.T) {
	ln, hangup, log := listen(t), make(chan os.Signal), &lines{all: make(chan string, 100)}
	next := make(chan server.Policy, 1)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			Secret: secret, Listener: ln, Log: slog.New(slog.NewTextHandler(log, nil)), Hangup: hangup,
			Reread: func() (server.Policy, error) {
				select {
				case p := <-next:
					return p, nil
				default:
					return server.Policy{}, errors.New("there is no such file")
				}
			},
		})
	}()
	status := func() int {
		req, err := http.NewRequest(http.MethodGet, "http://"+ln.Addr().String()+"/tracker", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": "https://tv.example",
		} {
			req.Header.Set(name, value)
		}
		resp, err := stranger().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := status(); got != http.StatusSwitchingProtocols {
		t.Errorf("before: %d", got)
	}
	next <- server.Policy{Secret: secret, Origins: []string{"https://other.example"}}
	hangup <- syscall.SIGHUP
	log.until(t, "read again")
	if got := status(); got != http.StatusForbidden {
		t.Errorf("a web origin that is allowed no longer: %d", got)
	}
	hangup <- syscall.SIGHUP
	if line := log.until(t, "stays in force"); !strings.Contains(line, "there is no such file") || strings.Count(line, "\n") != 1 {
		t.Errorf("of a bad file the log says %q", line)
	}
	next <- server.Policy{}
	hangup <- syscall.SIGHUP
	log.until(t, "no key to check")
	if got := status(); got != http.StatusForbidden {
		t.Errorf("after bad files the former does not hold: %d", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
