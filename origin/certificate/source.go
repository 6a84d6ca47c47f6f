package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"time"
)

// Source is where a server's certificates come from: files, an authority, or the server itself. There is at most one.
type Source struct {
	Cert, Key  string // PEM files, read again when they change
	ACME       ACME   // if it names domains
	SelfSigned string // data directory of a server that makes one for trials; "" = it does not
}

// None tells whether there is none.
func (s Source) None() bool { return s.count() == 0 }

func (s Source) count() (n int) {
	for _, given := range []bool{s.Cert != "" || s.Key != "", len(s.ACME.Domains) > 0, s.SelfSigned != ""} {
		if given {
			n++
		}
	}
	return n
}

// Check says what does not go together. It names flags, because that is where these settings come from.
func (s Source) Check() error {
	switch {
	case (s.Cert == "") != (s.Key == ""):
		return errors.New("a certificate is of no use without its key, nor a key alone: give both --tls-cert and --tls-key")
	case s.count() > 1:
		return errors.New("there can be one certificate: give either --tls-cert and --tls-key, or --acme-domain, or for trials of an origin --tls-self-signed")
	}
	return s.ACME.check()
}

// Certificates are what a server proves its names with.
type Certificates struct {
	TLS  *tls.Config // for listeners
	acme *managed    // nil: nobody has to be asked for them
}

// Open reads the certificate, makes one, or prepares to ask for some; nil if there is no source.
func (s Source) Open(log *slog.Logger) (*Certificates, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	out := &Certificates{TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
	switch {
	case s.Cert != "":
		files, err := Open(s.Cert, s.Key, time.Now, log)
		if err != nil {
			return nil, err
		}
		out.TLS.GetCertificate = files.Get
	case s.SelfSigned != "":
		hostname, _ := os.Hostname() // localhost is enough
		made, err := SelfSigned(s.SelfSigned, hostname, time.Now())
		if err != nil {
			return nil, err
		}
		out.TLS.Certificates = []tls.Certificate{*made}
	case len(s.ACME.Domains) > 0:
		acme, err := s.ACME.open(log)
		if err != nil {
			return nil, err
		}
		out.acme = acme
		out.TLS.GetCertificate, out.TLS.GetConfigForClient = acme.get, acme.challenged
	default:
		return nil, nil
	}
	return out, nil
}

// Keep has an authority issue and renew what it is to, in the background, until ctx ends or stop is called. It is for the time
// when a listener at this address serves TLS: that is how the authority is shown whose the names are.
func (c *Certificates) Keep(ctx context.Context, at net.Addr) (stop func()) {
	if c == nil || c.acme == nil {
		return func() {}
	}
	return c.acme.keep(ctx, at)
}
