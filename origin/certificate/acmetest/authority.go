// Package acmetest runs an ACME authority for tests: Let's Encrypt's own Pebble, on loopback, for which every name is at
// 127.0.0.1. It proves names as the real one does, over the network.
package acmetest

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Authority is a running one.
type Authority struct {
	CA    string         // URL of its directory
	Root  string         // PEM file with its own certificate
	Roots *x509.CertPool // that it issues under
}

// Start runs an authority that looks for proof at a port instead of 443.
func Start(t *testing.T, port int) *Authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1") // it would wait for seconds before it looks
	log := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	issuer := ca.New(log, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	validator := va.New(log, 0, port, true, resolver(t), store)
	front := wfe.New(log, store, validator, issuer, []string{"authority.example"}, true, false, 0, 0)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	a := &Authority{CA: server.URL + wfe.DirectoryPath, Root: filepath.Join(t.TempDir(), "root.pem"), Roots: x509.NewCertPool()}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(a.Root, root, 0o600); err != nil {
		t.Fatal(err)
	}
	a.Roots.AppendCertsFromPEM(issuer.GetRootCert(0).PEM())
	return a
}

// resolver is a DNS server, over TCP as Pebble asks it, that finds everybody at 127.0.0.1.
func resolver(t *testing.T) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, asked *dns.Msg) {
		answer := new(dns.Msg).SetReply(asked)
		if q := asked.Question[0]; q.Qtype == dns.TypeA {
			answer.Answer = append(answer.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
			})
		}
		_ = w.WriteMsg(answer) // whoever asked is gone, if it fails
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ActivateAndServe() // ends by Shutdown
	}()
	t.Cleanup(func() {
		_ = server.Shutdown()
		<-done
	})
	return ln.Addr().String()
}
