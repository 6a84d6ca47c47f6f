package origin

import (
	"crypto/tls"
	"errors"
	"os"
	"time"

	"slipstream/origin/certificate"
)

// checkTLS says what does not go together. It names flags, because that is where these settings come from.
func (cfg Config) checkTLS() error {
	files, secured := cfg.TLSCert != "" || cfg.TLSKey != "", cfg.HTTPS != "" || cfg.RTMPS != ""
	switch {
	case (cfg.TLSCert == "") != (cfg.TLSKey == ""):
		return errors.New("a certificate is of no use without its key, nor a key alone: give both --tls-cert and --tls-key")
	case files && cfg.TLSSelfSigned:
		return errors.New("there can be one certificate: give either --tls-cert and --tls-key, or --tls-self-signed")
	case cfg.HTTP3 && cfg.HTTPS == "":
		return errors.New("HTTP/3 needs HTTPS, which tells clients of it: give an address by --https too")
	case secured && !files && !cfg.TLSSelfSigned:
		return errors.New("HTTPS and RTMPS need a certificate: give --tls-cert and --tls-key, or --tls-self-signed for trials")
	case !secured && (files || cfg.TLSSelfSigned):
		return errors.New("nothing uses the certificate: give an address by --https or --rtmps")
	}
	return nil
}

// openTLS reads the certificate, or makes one; nil if nothing needs it.
func openTLS(cfg Config) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case cfg.TLSSelfSigned:
		hostname, _ := os.Hostname() // localhost is enough
		made, err := certificate.SelfSigned(cfg.DataDir, hostname, time.Now())
		if err != nil {
			return nil, setup(ErrDataDir, err)
		}
		out.Certificates = []tls.Certificate{*made}
	case cfg.TLSCert != "":
		files, err := certificate.Open(cfg.TLSCert, cfg.TLSKey, time.Now, cfg.Logger)
		if err != nil {
			return nil, setup(ErrConfig, err)
		}
		out.GetCertificate = files.Get
	default:
		return nil, nil
	}
	return out, nil
}
