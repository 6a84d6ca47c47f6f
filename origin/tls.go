package origin

import (
	"errors"
	"path/filepath"

	"slipstream/origin/certificate"
)

// certificates is where those for HTTPS and RTMPS come from.
func (cfg Config) certificates() certificate.Source {
	source := certificate.Source{Cert: cfg.TLSCert, Key: cfg.TLSKey, ACME: cfg.ACME}
	source.ACME.Dir = filepath.Join(cfg.DataDir, "acme")
	if cfg.TLSSelfSigned {
		source.SelfSigned = cfg.DataDir
	}
	return source
}

// checkTLS says what does not go together. It names flags, because that is where these settings come from.
func (cfg Config) checkTLS() error {
	source, secured := cfg.certificates(), cfg.HTTPS != "" || cfg.RTMPS != ""
	if err := source.Check(); err != nil {
		return err
	}
	switch {
	case cfg.HTTP3 && cfg.HTTPS == "":
		return errors.New("HTTP/3 needs HTTPS, which tells clients of it: give an address by --https too")
	case secured && source.None():
		return errors.New("HTTPS and RTMPS need a certificate: give --tls-cert and --tls-key, or --acme-domain, or --tls-self-signed for trials")
	case !secured && !source.None():
		return errors.New("nothing uses the certificate: give an address by --https or --rtmps")
	case len(cfg.ACME.Domains) > 0 && cfg.HTTPS == "":
		return errors.New("an authority proves domains over HTTPS: give an address by --https too, to which their port 443 leads")
	}
	return nil
}

// openTLS reads the certificate, makes one, or prepares to ask for some; nil if nothing needs it.
func openTLS(cfg Config) (*certificate.Certificates, error) {
	certificates, err := cfg.certificates().Open(cfg.Logger)
	switch {
	case err == nil:
		return certificates, nil
	case cfg.TLSSelfSigned:
		return nil, setup(ErrDataDir, err)
	}
	return nil, setup(ErrConfig, err)
}
