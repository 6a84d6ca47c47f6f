package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"slipstream/origin/certificate"
	"slipstream/origin/certificate/acmetest"
	"slipstream/tracker"
)

// The tracker is lent the origin's certificates, and an authority finds its proof where viewers connect.
func TestATrackerGetsItsCertificateByItself(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	authority := acmetest.Start(t, ln.Addr().(*net.TCPAddr).Port)
	log := slog.New(slog.DiscardHandler)
	certificates, err := certificate.Source{ACME: certificate.ACME{
		Domains: []string{"tracker.example.test"}, CA: authority.CA, Root: authority.Root, Dir: filepath.Join(t.TempDir(), "acme"),
	}}.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- tracker.Run(ctx, tracker.Config{
			Secret: bytes.Repeat([]byte{7}, 32), Listener: ln, TLS: certificates.TLS, Listening: certificates.Keep, Log: log,
		})
	}()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: authority.Roots, ServerName: "tracker.example.test"},
	}}
	resp, err := client.Get("https://" + ln.Addr().String() + "/livez")
	for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		resp, err = client.Get("https://" + ln.Addr().String() + "/livez")
	}
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "alive\n" {
		t.Errorf("%q, %v", body, err)
	}
	resp.Body.Close()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
