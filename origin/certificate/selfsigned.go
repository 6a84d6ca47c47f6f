package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"regexp"
	"time"

	"slipstream/origin/durable"
)

const (
	selfSignedLife = 365 * 24 * time.Hour
	// renewBefore is how long the one on disk must still be valid to be used again.
	renewBefore = 30 * 24 * time.Hour
)

// SelfSignedPath is where SelfSigned keeps certificate and key, both in one file, so that they always fit together.
func SelfSignedPath(dataDir string) string {
	return filepath.Join(dataDir, "keys", "tls-self-signed.pem")
}

// SelfSigned returns a certificate for trials, for localhost, the loopback addresses and a host's own name. It is kept in the data
// directory instead of memory because people make exceptions for it: a browser remembers one by certificate, and curl --cacert takes the
// file. One that expires soon, or was made under another name, is replaced.
func SelfSigned(dataDir, hostname string, now time.Time) (*tls.Certificate, error) {
	path := SelfSignedPath(dataDir)
	if !regexp.MustCompile(`^[A-Za-z0-9._-]{1,253}$`).MatchString(hostname) {
		hostname = "localhost"
	}
	file, found, err := durable.Read(path)
	if err != nil {
		return nil, err
	}
	if found {
		pair, err := tls.X509KeyPair(file, file)
		if err != nil {
			return nil, fmt.Errorf("the self-signed certificate %s is damaged (%s): delete it and a new one is made", path, plain(err))
		}
		leaf := pair.Leaf
		if now.After(leaf.NotBefore) && now.Add(renewBefore).Before(leaf.NotAfter) && leaf.VerifyHostname(hostname) == nil {
			return &pair, nil
		}
	}
	if file, err = selfSigned(hostname, now); err != nil {
		return nil, fmt.Errorf("a self-signed certificate cannot be made: %s", plain(err))
	}
	if err := durable.Write(path, file); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(file, file)
	return &pair, err
}

func selfSigned(hostname string, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, 16)
	rand.Read(serial) // never fails (crypto/rand)
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: "Slipstream trial"},
		NotBefore:    now.Add(-time.Hour), // for clients whose clocks are late
		NotAfter:     now.Add(selfSignedLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		// Not an authority: who trusts it trusts this server and nothing that its key could sign.
		BasicConstraintsValid: true,
	}
	if hostname != "localhost" {
		template.DNSNames = append(template.DNSNames, hostname)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	_ = pem.Encode(&file, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a buffer takes everything
	_ = pem.Encode(&file, &pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return file.Bytes(), nil
}
