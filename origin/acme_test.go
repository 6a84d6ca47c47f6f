package origin

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"slipstream/origin/certificate"
	"slipstream/origin/certificate/acmetest"
)

// One certificate that an authority issued serves HTTPS, HTTP/3 and RTMPS.
func TestAnOriginGetsItsCertificateByItself(t *testing.T) {
	pretendFFmpeg(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	authority := acmetest.Start(t, free.Addr().(*net.TCPAddr).Port)
	cfg := local(t)
	cfg.HTTPS, cfg.HTTP3, cfg.RTMPS = free.Addr().String(), true, "127.0.0.1:0"
	cfg.ACME = certificate.ACME{Domains: []string{"live.example.test"}, CA: authority.CA, Root: authority.Root}
	at, _ := running(t, cfg)
	trust := &tls.Config{RootCAs: authority.Roots, ServerName: "live.example.test"}
	overTCP, overUDP := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}, &http3.Transport{TLSClientConfig: trust.Clone()}
	defer overTCP.CloseIdleConnections()
	defer overUDP.Close()
	for _, transport := range []http.RoundTripper{overTCP, overUDP} {
		client := &http.Client{Transport: transport}
		resp, err := client.Get("https://" + at.HTTPS + "/livez")
		for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			resp, err = client.Get("https://" + at.HTTPS + "/livez")
		}
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 200 || resp.ProtoMajor < 2 {
			t.Errorf("%d over %s", resp.StatusCode, resp.Proto)
		}
	}
	conn, err := tls.Dial("tcp", at.RTMPS, trust)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestAnAuthorityNeedsHTTPS(t *testing.T) {
	cfg := local(t)
	cfg.RTMPS, cfg.ACME.Domains = "127.0.0.1:0", []string{"live.example.test"}
	if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "an authority proves domains over HTTPS") {
		t.Errorf("got %v", err)
	}
}
