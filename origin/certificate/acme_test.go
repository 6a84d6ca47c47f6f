package certificate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipstream/origin/certificate"
	"slipstream/origin/certificate/acmetest"
	"slipstream/origin/logtest"
)

// kept is a server with certificates that an authority issues.
type kept struct {
	t    *testing.T
	at   net.Addr
	log  *logtest.Buffer
	stop func()
}

// serve keeps certificates for a server that listens already.
func serve(t *testing.T, ln net.Listener, acme certificate.ACME) *kept {
	t.Helper()
	k := &kept{t: t, at: ln.Addr(), log: &logtest.Buffer{}}
	certificates, err := certificate.Source{ACME: acme}.Open(slog.New(slog.NewTextHandler(k.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: certificates.TLS.Clone(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		web.ServeTLS(ln, "", "") // ends by Close
	}()
	keeping := certificates.Keep(context.Background(), ln.Addr())
	k.stop = func() {
		keeping()
		web.Close()
		<-served
	}
	return k
}

// certified waits until a name has a certificate of an authority.
func (k *kept) certified(name string, roots *x509.CertPool) *x509.Certificate {
	k.t.Helper()
	trust := &tls.Config{ServerName: name, RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}}
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var conn *tls.Conn
		if conn, err = tls.Dial("tcp", k.at.String(), trust); err == nil {
			defer conn.Close()
			if protocol := conn.ConnectionState().NegotiatedProtocol; protocol != "h2" {
				k.t.Errorf("%s: the server speaks %q", name, protocol)
			}
			return conn.ConnectionState().PeerCertificates[0]
		}
	}
	k.t.Fatalf("%s: %v; the log:\n%s", name, err, k.log)
	return nil
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// An authority proves both names over the listener that serves, and a restart asks it for nothing.
func TestAnAuthorityCertifiesNames(t *testing.T) {
	ln := listen(t, "127.0.0.1:0")
	authority := acmetest.Start(t, ln.Addr().(*net.TCPAddr).Port)
	acme := certificate.ACME{Domains: []string{"live.example.test", "tv.example.test"}, Email: "ops@example.test", CA: authority.CA, Root: authority.Root, Dir: filepath.Join(t.TempDir(), "acme")}
	k := serve(t, ln, acme)
	first := k.certified("live.example.test", authority.Roots)
	k.certified("tv.example.test", authority.Roots)
	if said := k.log.String(); !strings.Contains(said, "level=INFO msg=\"certificates: certificate obtained successfully\" identifier=live.example.test") {
		t.Errorf("the log does not tell of it:\n%s", said)
	}
	k.stop()
	if info, err := os.Stat(acme.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory with private keys: %v, %v", info, err)
	}

	k = serve(t, listen(t, k.at.String()), acme)
	defer k.stop()
	if again := k.certified("live.example.test", authority.Roots); !again.Equal(first) {
		t.Error("a restart made another certificate")
	}
	if said := k.log.String(); strings.Contains(said, "obtaining") {
		t.Errorf("a restart asked the authority again:\n%s", said)
	}
}

// A server whose names do not lead to it serves nobody by them, and tells why.
func TestANameThatIsNotProvedIsTold(t *testing.T) {
	elsewhere := listen(t, "127.0.0.1:0")
	elsewhere.Close()
	authority := acmetest.Start(t, elsewhere.Addr().(*net.TCPAddr).Port)
	k := serve(t, listen(t, "127.0.0.1:0"), certificate.ACME{Domains: []string{"live.example.test"}, CA: authority.CA, Root: authority.Root, Dir: t.TempDir()})
	defer k.stop()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(k.log.String(), "will retry"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log:\n%s", k.log)
		}
	}
	if said := k.log.String(); !strings.Contains(said, "level=ERROR") || !strings.Contains(said, "Failed to connect") || strings.Contains(said, "errorVerbose") {
		t.Errorf("the log:\n%s", said)
	}
	conn, err := tls.Dial("tcp", k.at.String(), &tls.Config{ServerName: "live.example.test", InsecureSkipVerify: true})
	if err == nil {
		conn.Close()
		t.Error("a client was served without a certificate")
	}
}

func TestSourcesThatCannotBe(t *testing.T) {
	acme := func(ca string, domains ...string) certificate.Source {
		return certificate.Source{ACME: certificate.ACME{Domains: domains, CA: ca, Dir: t.TempDir()}}
	}
	noRoot, notRoot := acme("", "live.example.test"), acme("", "live.example.test")
	noRoot.ACME.Root, notRoot.ACME.Root = "/nowhere.pem", "acme_test.go"
	both := acme("", "live.example.test")
	both.Cert, both.Key = "a", "b"
	trial := acme("", "live.example.test")
	trial.SelfSigned = t.TempDir()
	for _, c := range []struct {
		says   string
		source certificate.Source
	}{
		{"give both --tls-cert and --tls-key", certificate.Source{Key: "b"}},
		{"there can be one certificate", both},
		{"there can be one certificate", trial},
		{`"localhost" cannot be given to --acme-domain`, acme("", "live.example.test", "localhost")},
		{`"*.example.test" cannot be given`, acme("", "*.example.test")},
		{`"192.0.2.1" cannot be given`, acme("", "192.0.2.1")},
		{`"https://live.example.test" cannot be given`, acme("", "https://live.example.test")},
		{`"live.example.test:443" cannot be given`, acme("", "live.example.test:443")},
		{`"ca.example.test" cannot be given to --acme-ca`, acme("ca.example.test", "live.example.test")},
		{`"http://ca.example.test/dir" cannot be given to --acme-ca`, acme("http://ca.example.test/dir", "live.example.test")},
		{"root certificate /nowhere.pem cannot be read: no such file", noRoot},
		{"holds no certificate in PEM form", notRoot},
	} {
		if _, err := c.source.Open(slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want a sentence with %q", err, c.says)
		}
	}
	if none, err := (certificate.Source{}).Open(slog.New(slog.DiscardHandler)); err != nil || none != nil {
		t.Errorf("no source: %v, %v", none, err)
	}
}
