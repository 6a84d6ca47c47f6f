package ingest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"

	"slipstream/origin/certificate"
	"slipstream/origin/child"
	"slipstream/origin/ingest"
)

// serveRTMPS starts a server with RTMPS, and returns what its clients must trust.
func serveRTMPS(t *testing.T, change func(*ingest.Config)) (*lab, *tls.Config) {
	t.Helper()
	cert, err := certificate.SelfSigned(t.TempDir(), "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	trust := x509.NewCertPool()
	trust.AddCert(cert.Leaf)
	l := serve(t, func(cfg *ingest.Config) {
		cfg.RTMPS, cfg.TLS = "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*cert}}
		if change != nil {
			change(cfg)
		}
	}, nil)
	return l, &tls.Config{RootCAs: trust, ServerName: "localhost"}
}

func (l *lab) dialSecure(path string, trust *tls.Config) error {
	l.t.Helper()
	target, err := url.Parse("rtmps://" + l.server.SecureAddr().String() + path)
	if err != nil {
		l.t.Fatal(err)
	}
	c := &gortmplib.Client{URL: target, TLSConfig: trust, Publish: true}
	if err := c.Initialize(l.t.Context()); err != nil {
		return err
	}
	l.t.Cleanup(c.Close)
	return nil
}

func TestWhoIsSentAwayOverRTMPS(t *testing.T) {
	l, trust := serveRTMPS(t, nil)
	if err := l.dialSecure("/live#guess", trust); err == nil || !strings.Contains(err.Error(), "the stream key is wrong") {
		t.Errorf("a wrong key is told %v", err)
	}
	if err := l.dialSecure("/live#secret", trust); err != nil {
		t.Errorf("the right key is told %v", err)
	}
	if _, err := l.dial("/live#secret", true); err == nil || !strings.Contains(err.Error(), "already has a publisher") {
		t.Errorf("RTMP beside RTMPS is told %v", err)
	}
}

func TestBytesThatAreNoTLSEndTheirConnection(t *testing.T) {
	l, _ := serveRTMPS(t, nil)
	conn, err := net.Dial("tcp", l.server.SecureAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(append([]byte{3}, make([]byte, 1536)...)) // RTMP
	io.Copy(io.Discard, conn)                            // until the server hangs up
	l.waitLog("the TLS handshake failed")
}

func TestConnectionsOverRTMPSCountAsThoseOverRTMP(t *testing.T) {
	l, trust := serveRTMPS(t, func(cfg *ingest.Config) { cfg.MaxConnections = 1 })
	if err := l.dialSecure("/live#secret", trust); err != nil {
		t.Fatal(err)
	}
	if _, err := l.dial("/live#other", true); err == nil {
		t.Error("a second connection was served, over RTMP")
	}
	if err := l.dialSecure("/live#other", trust); err == nil {
		t.Error("a second connection was served, over RTMPS")
	}
}

func TestFFmpegPublishesOverRTMPS(t *testing.T) {
	if _, err := child.Look("ffmpeg"); err != nil {
		t.Skip(err)
	}
	l, _ := serveRTMPS(t, nil)
	ffmpeg := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25", "-f", "lavfi", "-i", "sine",
		"-t", "1", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac", "-flvflags", "no_duration_filesize", "-f", "flv",
		"rtmps://"+l.server.SecureAddr().String()+"/live/secret")
	if out, err := ffmpeg.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := l.session()
	if s.is.Channel != "demo" || s.is.Protocol != "RTMPS" || s.is.Audio == nil {
		t.Errorf("the publication is %+v", s.is)
	}
	pictures, sounds := 0, 0
	for _, event := range s.wait(t, 25+43) { // of a second, and its sound
		if strings.HasPrefix(event, "video") {
			pictures++
		} else if strings.HasPrefix(event, "audio") {
			sounds++
		}
	}
	if pictures != 25 || sounds < 42 {
		t.Errorf("%d pictures and %d frames of sound came", pictures, sounds)
	}
	l.waitLog("the publisher has ended the stream")
}

func TestAnAddressForRTMPSInUseIsASentence(t *testing.T) {
	l, _ := serveRTMPS(t, nil)
	address := l.server.SecureAddr().String()
	_, err := ingest.Listen(ingest.Config{Address: "127.0.0.1:0", RTMPS: address, TLS: &tls.Config{Certificates: make([]tls.Certificate, 1)},
		Authorize: ingest.StreamKeys("live", nil), Start: func(context.Context, ingest.Publication) (ingest.Session, error) { return nil, nil }})
	if err == nil || !strings.HasPrefix(err.Error(), "RTMPS cannot listen on "+address) {
		t.Errorf("the error is %v", err)
	}
}
