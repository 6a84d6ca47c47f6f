package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"

	"slipstream/origin/certificate"
	"slipstream/origin/manifest"
	"slipstream/origin/transcode"
)

// pretendFFmpeg puts a program called ffmpeg into PATH; nothing here publishes, so it never runs.
func pretendFFmpeg(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ffmpeg"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func local(t *testing.T) Config {
	return Config{HTTP: "127.0.0.1:0", RTMP: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "data")}
}

// running starts an origin and returns where it is and a function that stops it and returns its error.
func running(t *testing.T, cfg Config) (Ready, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan Ready, 1), make(chan error, 1)
	cfg.Ready = func(r Ready) { ready <- r }
	go func() { ended <- Run(ctx, cfg) }()
	stop := func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(10 * time.Second):
			t.Fatal("the origin does not stop")
			return nil
		}
	}
	t.Cleanup(func() { _ = stop() })
	select {
	case r := <-ready:
		return r, stop
	case err := <-ended:
		t.Fatalf("the origin did not start: %v", err)
		return Ready{}, nil
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestRunStartsAndStops(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer http.DefaultClient.CloseIdleConnections()
	pretendFFmpeg(t)
	cfg := local(t)
	cfg.Channels = []string{"demo", "other"}
	held := make(chan struct{})
	cfg.Mounts = map[string]http.Handler{"/hold": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(held)
		<-r.Context().Done() // as a WebSocket does
	})}
	at, stop := running(t, cfg)
	if len(at.Channels) != 2 || at.Channels[0].Name != "demo" || at.Channels[0].StreamKey == "" || at.Channels[0].ID == at.Channels[1].ID {
		t.Errorf("ready: %+v", at)
	}
	if status, body := get(t, "http://"+at.HTTP+"/livez"); status != 200 || body != "ok\n" {
		t.Errorf("livez: %d %q", status, body)
	}
	if status, body := get(t, "http://"+at.HTTP+"/readyz"); status != 503 || !strings.Contains(body, "no publisher") {
		t.Errorf("readyz: %d %q", status, body)
	}
	if status, body := get(t, "http://"+at.HTTP+"/live/demo/index.m3u8"); status != 404 || !strings.Contains(body, "off the air") {
		t.Errorf("playlist: %d %q", status, body)
	}
	conn, err := net.Dial("tcp", at.RTMP)
	if err != nil {
		t.Errorf("RTMP: %v", err)
	} else {
		conn.Close()
	}
	holding := make(chan struct{})
	go func() {
		defer close(holding)
		if resp, err := http.Get("http://" + at.HTTP + "/hold"); err == nil {
			resp.Body.Close()
		}
	}()
	<-held
	if err := stop(); err != nil {
		t.Errorf("a stop that was asked for is an error: %v", err)
	}
	<-holding
	for _, address := range []string{at.HTTP, at.RTMP} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("%s is still in use: %v", address, err)
			continue
		}
		l.Close()
	}
}

// One certificate serves HTTPS, HTTP/3 and RTMPS. That of the origin's own making stays the same after a restart, and may be
// given as files too.
func TestAnOriginWithTLS(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	pretendFFmpeg(t)
	cfg := local(t)
	cfg.HTTPS, cfg.HTTP3, cfg.RTMPS, cfg.TLSSelfSigned = "127.0.0.1:0", true, "127.0.0.1:0", true
	var certificates []*x509.Certificate
	for range 3 {
		if len(certificates) == 2 {
			path := certificate.SelfSignedPath(cfg.DataDir)
			cfg.TLSSelfSigned, cfg.TLSCert, cfg.TLSKey = false, path, path
		}
		at, stop := running(t, cfg)
		pem, err := os.ReadFile(certificate.SelfSignedPath(cfg.DataDir))
		if err != nil {
			t.Fatal(err)
		}
		trust := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
		trust.RootCAs.AppendCertsFromPEM(pem)
		overTCP, overUDP := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}, &http3.Transport{TLSClientConfig: trust.Clone()}
		for _, transport := range []http.RoundTripper{overTCP, overUDP} {
			resp, err := (&http.Client{Transport: transport}).Get("https://" + at.HTTPS + "/livez")
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close(); resp.StatusCode != 200 || resp.ProtoMajor < 2 {
				t.Errorf("%d over %s", resp.StatusCode, resp.Proto)
			}
		}
		overTCP.CloseIdleConnections()
		overUDP.Close()
		conn, err := tls.Dial("tcp", at.RTMPS, trust)
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, conn.ConnectionState().PeerCertificates[0])
		conn.Close()
		if status, body := get(t, "http://"+at.HTTP+"/livez"); status != 200 {
			t.Errorf("without TLS: %d %s", status, body)
		}
		http.DefaultClient.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	for i, c := range certificates {
		if !c.Equal(certificates[0]) {
			t.Errorf("start %d has another certificate", i)
		}
	}
}

// The channel is the same after a restart: its id and stream key live in the data directory.
func TestRestartKeepsTheChannel(t *testing.T) {
	pretendFFmpeg(t)
	cfg := local(t)
	first, stop := running(t, cfg)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	second, _ := running(t, cfg)
	if first.Channels[0] != second.Channels[0] {
		t.Errorf("%+v became %+v", first.Channels[0], second.Channels[0])
	}
	var stats struct {
		Channels []struct{ ID string }
	}
	_, body := get(t, "http://"+second.HTTP+"/stats.json")
	if err := json.Unmarshal([]byte(body), &stats); err != nil || len(stats.Channels) != 1 || stats.Channels[0].ID != first.Channels[0].ID.String() {
		t.Errorf("%v: %s", err, body)
	}
	if _, err := manifest.ParseHash(stats.Channels[0].ID); err != nil {
		t.Error(err)
	}
}

func TestWhatKeepsAnOriginFromStarting(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().String()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := errors.Join(os.MkdirAll(damaged+"/keys", 0o700), os.WriteFile(damaged+"/keys/token.key", []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	datagrams := udp.LocalAddr().String()
	pretendFFmpeg(t)
	busy := local(t)
	_, stop := running(t, busy)
	defer func() { _ = stop() }()
	for _, c := range []struct {
		name   string
		change func(*Config)
		kind   error
		says   string
	}{
		{"HTTP port taken", func(c *Config) { c.HTTP = port }, ErrPortInUse, "HTTP cannot listen on " + port + ": another program uses the port"},
		{"RTMP port taken", func(c *Config) { c.RTMP = port }, ErrPortInUse, "RTMP cannot listen on " + port + ": another program uses the port"},
		{"SRT port taken", func(c *Config) { c.SRT = datagrams }, ErrPortInUse, "SRT cannot listen on " + datagrams + ": another program uses the port"},
		{"HTTPS port taken", func(c *Config) { c.HTTPS, c.TLSSelfSigned = port, true }, ErrPortInUse, "HTTPS cannot listen on " + port + ": another program uses the port"},
		{"HTTP/3 port taken", func(c *Config) { c.HTTPS, c.HTTP3, c.TLSSelfSigned = datagrams, true, true }, ErrPortInUse, "HTTP/3 cannot listen on " + datagrams + ": another program uses the port"},
		{"RTMPS port taken", func(c *Config) { c.RTMPS, c.TLSSelfSigned = port, true }, ErrPortInUse, "RTMPS cannot listen on " + port + ": another program uses the port"},
		{"HTTPS without a certificate", func(c *Config) { c.HTTPS = "127.0.0.1:0" }, ErrConfig, "need a certificate: give --tls-cert and --tls-key"},
		{"RTMPS without a certificate", func(c *Config) { c.RTMPS = "127.0.0.1:0" }, ErrConfig, "need a certificate: give --tls-cert and --tls-key"},
		{"certificate without key", func(c *Config) { c.HTTPS, c.TLSCert = "127.0.0.1:0", file }, ErrConfig, "give both --tls-cert and --tls-key"},
		{"key without certificate", func(c *Config) { c.HTTPS, c.TLSKey = "127.0.0.1:0", file }, ErrConfig, "give both --tls-cert and --tls-key"},
		{"two certificates", func(c *Config) { c.HTTPS, c.TLSCert, c.TLSKey, c.TLSSelfSigned = "127.0.0.1:0", file, file, true }, ErrConfig, "there can be one certificate"},
		{"HTTP/3 without HTTPS", func(c *Config) { c.HTTP3, c.RTMPS, c.TLSSelfSigned = true, "127.0.0.1:0", true }, ErrConfig, "HTTP/3 needs HTTPS"},
		{"certificate for nothing", func(c *Config) { c.TLSSelfSigned = true }, ErrConfig, "nothing uses the certificate"},
		{"no certificate file", func(c *Config) { c.HTTPS, c.TLSCert, c.TLSKey = "127.0.0.1:0", "/nowhere.pem", file }, ErrConfig, "the certificate /nowhere.pem cannot be read: no such file"},
		{"no certificate in the file", func(c *Config) { c.HTTPS, c.TLSCert, c.TLSKey = "127.0.0.1:0", file, file }, ErrConfig, "holds no certificate in PEM form"},
		{"WHIP port taken", func(c *Config) { c.WHIP = datagrams }, ErrPortInUse, "WHIP cannot listen on " + datagrams + ": another program uses the port"},
		{"WHIP host is a name", func(c *Config) { c.WHIP, c.WHIPHost = "127.0.0.1:0", []string{"example.org"} }, ErrConfig, `"example.org" is no IP address`},
		{"no port", func(c *Config) { c.HTTP = "localhost" }, ErrConfig, `HTTP cannot listen on "localhost": `},
		{"port beyond 65535", func(c *Config) { c.RTMP = "127.0.0.1:99999" }, ErrConfig, `RTMP cannot listen on "127.0.0.1:99999": `},
		{"data directory is a file", func(c *Config) { c.DataDir = file }, ErrDataDir, file},
		{"data directory below a file", func(c *Config) { c.DataDir = file + "/x" }, ErrDataDir, "cannot be made: not a directory"},
		{"data directory in use", func(c *Config) { c.DataDir = busy.DataDir }, ErrDataDir, "in use by another slipstream process"},
		{"damaged key", func(c *Config) { c.DataDir = damaged }, ErrDataDir, "token.key is damaged"},
		{"backup of an unknown channel", func(c *Config) { c.Backup = []string{"other"} }, ErrConfig, `a backup is wanted for the channel "other", which does not exist`},
		{"slate that is not there", func(c *Config) { c.Slate = "/nowhere.png" }, ErrConfig, "the slate /nowhere.png cannot be read: no such file"},
		{"lost at once", func(c *Config) { c.InputLost = time.Millisecond }, ErrConfig, "an input cannot count as lost after 1ms: choose 200ms to 1h0m0s"},
		{"slate for ever", func(c *Config) { c.SlateFor = 10_000 * time.Hour }, ErrConfig, "slate cannot be shown for 10000h0m0s"},
		{"window too short", func(c *Config) { c.Window = time.Second }, ErrConfig, "choose 10 s to 3600 s"},
		{"window of microseconds", func(c *Config) { c.Window = time.Microsecond }, ErrConfig, "choose 10 s to 3600 s"},
		{"bad channel name", func(c *Config) { c.Channels = []string{"../demo"} }, ErrConfig, `the channel name "../demo" is not usable`},
		{"channel named twice", func(c *Config) { c.Channels = []string{"a", "a"} }, ErrConfig, "named twice"},
		{"odd ladder", func(c *Config) { c.Ladder = []transcode.Rung{{Name: "360p"}} }, ErrConfig, "360p"},
		{"colliding mounts", func(c *Config) {
			c.Mounts = map[string]http.Handler{"/{a}": http.NotFoundHandler(), "/{b}": http.NotFoundHandler()}
		}, ErrConfig, "the mounts do not fit together"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := local(t)
			c.change(&cfg)
			cfg.Ready = func(Ready) { t.Error("it says that it is ready") }
			err := Run(t.Context(), cfg)
			if !errors.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.says) || strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("%v; want a sentence with %q that is %v", err, c.says, c.kind)
			}
		})
	}
	t.Run("no ffmpeg", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		err := Run(t.Context(), local(t))
		if !errors.Is(err, ErrNoFFmpeg) || !strings.Contains(err.Error(), "install") {
			t.Errorf("%v", err)
		}
	})
}
