package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipstream/origin/logtest"
)

var birthday = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// pair makes a certificate and key for a name, in PEM form.
func pair(t *testing.T, name string) (cert, key string) {
	t.Helper()
	file, err := selfSigned(name, birthday)
	if err != nil {
		t.Fatal(err)
	}
	first, rest := pem.Decode(file)
	return string(pem.EncodeToMemory(first)), string(rest)
}

// shelf is a directory with a certificate and a clock.
type shelf struct {
	t         *testing.T
	cert, key string
	now       time.Time
	log       *logtest.Buffer
}

func newShelf(t *testing.T) *shelf {
	dir := t.TempDir()
	return &shelf{t: t, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), now: birthday, log: &logtest.Buffer{}}
}

// put writes a file; its time is the clock's.
func (s *shelf) put(path, content string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chtimes(path, s.now, s.now); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) open() (*Files, error) {
	return Open(s.cert, s.key, func() time.Time { return s.now }, slog.New(slog.NewTextHandler(s.log, nil)))
}

func nameOf(t *testing.T, f *Files) string {
	t.Helper()
	c, err := f.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.DNSNames[len(c.Leaf.DNSNames)-1]
}

func TestARenewedCertificateIsTakenUpWithoutARestart(t *testing.T) {
	s := newShelf(t)
	cert, key := pair(t, "old.example")
	s.put(s.cert, cert)
	s.put(s.key, key)
	f, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	expect := func(when, name string, sentences int) {
		t.Helper()
		if got := nameOf(t, f); got != name {
			t.Errorf("%s: it is for %s, want %s", when, got, name)
		}
		if got := strings.Count(s.log.String(), "\n"); got != sentences {
			t.Errorf("%s: %d lines in the log, want %d:\n%s", when, got, sentences, s.log)
		}
	}
	expect("at the start", "old.example", 0)
	s.now = s.now.Add(time.Minute)
	expect("nothing has changed", "old.example", 0)

	cert, key = pair(t, "new.example")
	s.put(s.cert, cert)
	expect("within the interval", "old.example", 0)
	s.now = s.now.Add(checkEvery)
	expect("one file is new", "old.example", 1) // it does not fit the other
	s.now = s.now.Add(checkEvery)
	expect("and still", "old.example", 1)
	s.put(s.key, key)
	s.now = s.now.Add(checkEvery)
	expect("both files are new", "new.example", 2)

	if err := os.Remove(s.key); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(checkEvery)
	expect("a file is gone", "new.example", 3)
	if said := s.log.String(); !strings.Contains(said, "do not fit together") || !strings.Contains(said, "was renewed") || !strings.Contains(said, "cannot be read") {
		t.Errorf("the log:\n%s", said)
	}
}

func TestFilesThatAreNoCertificate(t *testing.T) {
	cert, key := pair(t, "a.example")
	_, other := pair(t, "b.example")
	damaged := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	locked := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	unread := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))
	for _, c := range []struct{ name, cert, key, says string }{
		{"no certificate", "", key, "cert.pem cannot be read: no such file"},
		{"no key", cert, "", "key.pem cannot be read: no such file"},
		{"something else", "hello", key, "cert.pem holds no certificate in PEM form"},
		{"swapped", key, cert, "cert.pem holds no certificate in PEM form"},
		{"no key in it", cert, cert, "key.pem holds no private key in PEM form"},
		{"damaged", damaged, key, "cert.pem is damaged"},
		{"encrypted", cert, locked, "is encrypted: store it without a passphrase"},
		{"damaged key", cert, unread, "do not fit together"},
		{"another's key", cert, other, "do not fit together: private key does not match public key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t)
			for path, content := range map[string]string{s.cert: c.cert, s.key: c.key} {
				if content != "" {
					s.put(path, content)
				}
			}
			if _, err := s.open(); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v; want a sentence with %q", err, c.says)
			}
		})
	}
}

func TestAnExpiredCertificateIsTold(t *testing.T) {
	s := newShelf(t)
	cert, key := pair(t, "a.example")
	s.put(s.cert, cert)
	s.put(s.key, key)
	s.now = birthday.Add(selfSignedLife + time.Hour)
	if _, err := s.open(); err != nil || !strings.Contains(s.log.String(), "has expired") {
		t.Errorf("%v, and the log says %q", err, s.log)
	}
}

func TestTheSelfSignedCertificateIsKept(t *testing.T) {
	dir := t.TempDir()
	make := func(hostname string, now time.Time) *tls.Certificate {
		t.Helper()
		c, err := SelfSigned(dir, hostname, now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := make("studio", birthday)
	trust := x509.NewCertPool()
	trust.AddCert(first.Leaf)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "studio"} {
		if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: trust, DNSName: name, CurrentTime: birthday}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	info, err := os.Stat(SelfSignedPath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if again := make("studio", birthday.Add(300*24*time.Hour)); !again.Leaf.Equal(first.Leaf) {
		t.Error("another start made another certificate")
	}
	if late := make("studio", birthday.Add(340*24*time.Hour)); late.Leaf.Equal(first.Leaf) {
		t.Error("a certificate is kept that expires in a few weeks")
	}
	if other := make("stage", birthday.Add(340*24*time.Hour)); other.Leaf.VerifyHostname("stage") != nil {
		t.Error("the certificate is not for the host's new name")
	}
	if err := os.WriteFile(SelfSignedPath(dir), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := SelfSigned(dir, "studio", birthday); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a damaged file: %v", err)
	}
}
