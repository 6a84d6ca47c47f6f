package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// ACME says which names an authority is to certify (RFC 8555), and which authority. It asks for no more than the listener that
// serves anyway: a name is proved by a handshake that the authority makes with port 443 of it (TLS-ALPN-01, RFC 8737), so there is
// no port 80 to open and no zone to write to. The price is that there are no wildcards, and that a terminator or a CDN in between
// must let the handshake through.
type ACME struct {
	Domains []string
	Email   string // where the authority may write to; "" = nowhere
	CA      string // URL of its directory; "" = Let's Encrypt
	Root    string // PEM file with whom to believe that this is the authority; "" = whom the system believes
	Dir     string // for accounts, keys and certificates; servers of one machine may share it
}

// challengeProtocol is what an authority that proves a name offers as the only protocol.
const challengeProtocol = "acme-tls/1"

func (a ACME) check() error {
	for _, name := range a.Domains {
		if !strings.Contains(name, ".") || strings.ContainsAny(name, "*:/ ") || !certmagic.SubjectQualifiesForCert(name) || certmagic.SubjectIsIP(name) {
			return fmt.Errorf("%q cannot be given to --acme-domain: that takes host names such as live.example.com, without wildcards", name)
		}
	}
	if len(a.Domains) == 0 || a.CA == "" {
		return nil
	}
	if at, err := url.Parse(a.CA); err != nil || at.Host == "" || at.Scheme != "https" {
		return fmt.Errorf("%q cannot be given to --acme-ca: that takes the https URL of an authority's directory", a.CA)
	}
	return nil
}

// managed is certificates that certmagic asks for, keeps and renews.
type managed struct {
	ACME
	roots *x509.CertPool // nil = the system's
	log   *slog.Logger
	magic atomic.Pointer[certmagic.Config] // nil while nothing is kept
}

func (a ACME) open(log *slog.Logger) (*managed, error) {
	m := &managed{ACME: a, log: log}
	if a.Root != "" {
		file, err := os.ReadFile(a.Root)
		if err != nil {
			return nil, fmt.Errorf("the authority's root certificate %s cannot be read: %w", a.Root, cause(err))
		}
		if m.roots = x509.NewCertPool(); !m.roots.AppendCertsFromPEM(file) {
			return nil, fmt.Errorf("the file %s holds no certificate in PEM form", a.Root)
		}
	}
	return m, nil
}

// get implements tls.Config.GetCertificate.
func (m *managed) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	magic := m.magic.Load()
	if magic == nil {
		return nil, errors.New("there are no certificates yet")
	}
	return magic.GetCertificate(hello)
}

// challenged implements tls.Config.GetConfigForClient: the authority's own handshakes are told apart here, so that no server has
// to know of their protocol. It finds the connection of use as soon as the handshake is over, which the server then ends.
func (m *managed) challenged(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if !slices.Equal(hello.SupportedProtos, []string{challengeProtocol}) {
		return nil, nil // as everybody
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{challengeProtocol}, GetCertificate: m.get}, nil
}

func (m *managed) keep(ctx context.Context, at net.Addr) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	log := zap.New(logCore{m.log.Handler()})
	var magic *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return magic, nil },
		Logger:           log,
	})
	magic = certmagic.New(cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: m.Dir}, DefaultServerName: m.Domains[0], Logger: log,
	})
	issuer := certmagic.ACMEIssuer{
		CA: m.CA, Email: m.Email, Agreed: true, TrustedRoots: m.roots, Logger: log,
		DisableHTTPChallenge: true, DisableDistributedSolvers: true,
	}
	// Told this address, certmagic finds that somebody listens there and opens no listener of its own.
	if tcp, ok := at.(*net.TCPAddr); ok {
		if issuer.AltTLSALPNPort = tcp.Port; !tcp.IP.IsUnspecified() {
			issuer.ListenHost = tcp.IP.String()
		}
	}
	magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(magic, issuer)}
	m.magic.Store(magic)
	if err := magic.ManageAsync(ctx, m.Domains); err != nil {
		m.log.Error("certificates cannot be asked for", "error", err)
	}
	return func() {
		cancel()
		cache.Stop()
	}
}
