// Package certificate provides what a server proves its name with over TLS (Source): a certificate and key from files, which may be
// renewed while it runs, certificates that an authority issues by ACME, or for trials one that the server makes itself.
package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// checkEvery is how often the files are looked at, and only while clients come. Renewals have days of reserve.
const checkEvery = 10 * time.Second

// Files is a certificate from files. It looks at them when a client comes: that needs no signal, no goroutine and no watcher, and
// follows files that are replaced as well as links that are turned. While the new files are not right the old certificate stays.
type Files struct {
	certFile, keyFile string
	now               func() time.Time
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	loaded  version
	checked time.Time
	said    string // what is wrong with the files, as logged
}

// version tells one content of the files from the next.
type version struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

// Open reads the files. Its errors are sentences.
func Open(certFile, keyFile string, now func() time.Time, log *slog.Logger) (*Files, error) {
	f := &Files{certFile: certFile, keyFile: keyFile, now: now, log: log, checked: now()}
	if err := f.load(); err != nil {
		return nil, err
	}
	switch leaf := f.current.Leaf; {
	case now().After(leaf.NotAfter):
		log.Warn("the certificate has expired, so clients will refuse it", "file", certFile, "on", leaf.NotAfter)
	case now().Before(leaf.NotBefore):
		log.Warn("the certificate is not valid yet, so clients will refuse it", "file", certFile, "from", leaf.NotBefore)
	}
	return f, nil
}

// Get implements tls.Config.GetCertificate.
func (f *Files) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.checked) >= checkEvery {
		f.checked = now
		f.renew()
	}
	return f.current, nil
}

// renew takes up files that have changed. What is wrong with them is logged once.
func (f *Files) renew() {
	before := f.loaded
	err := f.load()
	switch {
	case err == nil && f.loaded != before:
		f.log.Info("the certificate was renewed", "file", f.certFile, "until", f.current.Leaf.NotAfter)
		f.said = ""
	case err == nil:
		f.said = ""
	case err.Error() != f.said:
		f.log.Error("the certificate is not renewed, the old one stays", "error", err)
		f.said = err.Error()
	}
}

// load reads the files, if they have changed since they were last read with success.
func (f *Files) load() error {
	cert, err := os.Stat(f.certFile)
	if err != nil {
		return fmt.Errorf("the certificate %s cannot be read: %w", f.certFile, cause(err))
	}
	key, err := os.Stat(f.keyFile)
	if err != nil {
		return fmt.Errorf("the key %s cannot be read: %w", f.keyFile, cause(err))
	}
	is := version{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}
	if f.current != nil && is == f.loaded {
		return nil
	}
	pair, err := read(f.certFile, f.keyFile)
	if err != nil {
		return err
	}
	f.current, f.loaded = pair, is
	return nil
}

func read(certFile, keyFile string) (*tls.Certificate, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s cannot be read: %w", certFile, cause(err))
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("the key %s cannot be read: %w", keyFile, cause(err))
	}
	cert, key := blockOf(certPEM, "CERTIFICATE"), blockOf(keyPEM, "PRIVATE KEY")
	switch {
	case cert == nil:
		return nil, fmt.Errorf("the file %s holds no certificate in PEM form", certFile)
	case key == nil:
		return nil, fmt.Errorf("the file %s holds no private key in PEM form", keyFile)
	case key.Type == "ENCRYPTED PRIVATE KEY" || key.Headers["DEK-Info"] != "":
		return nil, fmt.Errorf("the key %s is encrypted: store it without a passphrase, readable by this user only", keyFile)
	}
	if _, err := x509.ParseCertificate(cert.Bytes); err != nil {
		return nil, fmt.Errorf("the certificate %s is damaged: %s", certFile, plain(err))
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s and the key %s do not fit together: %s", certFile, keyFile, plain(err))
	}
	return &pair, nil
}

// blockOf returns the first block whose type ends like this; there are "RSA PRIVATE KEY" and "EC PRIVATE KEY" as well.
func blockOf(file []byte, kind string) *pem.Block {
	for {
		block, rest := pem.Decode(file)
		if block == nil || strings.HasSuffix(block.Type, kind) {
			return block
		}
		file = rest
	}
}

// cause drops what the sentence around it says already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// plain drops the names of packages.
func plain(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "tls: "), "x509: ")
}
