package tracker

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func TestProfilesAreForThisMachine(t *testing.T) {
	for address, alone := range map[string]bool{
		"127.0.0.1:6060": true, "[::1]:6060": true, "localhost:6060": true, "[::ffff:127.0.0.1]:6060": true,
		":6060": false, "0.0.0.0:6060": false, "[::]:6060": false, "192.0.2.1:6060": false, "tracker.example:6060": false, "6060": false, "": false,
	} {
		if isLoopback(address) != alone {
			t.Errorf("%q: want %v", address, alone)
		}
	}
	err := Run(context.Background(), Config{Secret: secret, Listener: listen(t), Log: quiet(), Debug: "0.0.0.0:0"})
	if err == nil || !strings.Contains(err.Error(), "could be read by other machines") {
		t.Errorf("a tracker that shows its profiles to everybody: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Run(ctx, Config{Secret: secret, Listener: listen(t), Log: quiet(), Debug: "0.0.0.0:0", DebugAnywhere: true}); err != nil {
		t.Errorf("one that was told to: %v", err)
	}
}

func TestProfilesHaveAnAddressOfTheirOwn(t *testing.T) {
	ln, debug := listen(t), listen(t)
	address := debug.Addr().String()
	debug.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, Config{Secret: secret, Listener: ln, Log: quiet(), Debug: address}) }()
	if status, _ := get(t, "http://"+ln.Addr().String()+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("where viewers connect, profiles answer with %d", status)
	}
	if status, body := get(t, "http://"+address+"/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.Contains(body, "goroutine profile") {
		t.Errorf("goroutines: %d, %.100s", status, body)
	}
	if status, _ := get(t, "http://"+address+"/metrics"); status != http.StatusNotFound {
		t.Errorf("metrics at the address of profiles: %d", status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
