package token

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MinSecret is the least length of a secret in bytes: that of the HMAC's hash (RFC 7518 3.2).
	MinSecret = 32

	pemPrivate = "PRIVATE KEY" // PKCS #8
	pemPublic  = "PUBLIC KEY"  // PKIX
)

// Key signs and checks tokens, or only checks them. The key says with which algorithm.
type Key struct {
	method jwt.SigningMethod
	sign   any // nil: it was not given
	verify any
}

// Secret is a key for HMAC of at least MinSecret bytes.
func Secret(secret []byte) Key { return Key{jwt.SigningMethodHS256, secret, secret} }

// ParseKey reads a key: Ed25519 in PEM form, private (PKCS #8) or public (PKIX, enough to check), or a secret.
func ParseKey(file []byte) (Key, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		if len(file) < MinSecret {
			return Key{}, fmt.Errorf("it is no PEM file, and as a secret its %d bytes are too few: take %d or more", len(file), MinSecret)
		}
		return Secret(file), nil
	}
	var parsed any
	var err error
	switch block.Type {
	case pemPrivate:
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case pemPublic:
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	default:
		err = fmt.Errorf("it holds a %.32q", block.Type)
	}
	if err != nil {
		return Key{}, err
	}
	switch k := parsed.(type) {
	case ed25519.PrivateKey:
		return Key{jwt.SigningMethodEdDSA, k, k.Public()}, nil
	case ed25519.PublicKey:
		return Key{jwt.SigningMethodEdDSA, nil, k}, nil
	}
	return Key{}, fmt.Errorf("it is a %T, not an Ed25519 key", parsed)
}

// NewPair makes an Ed25519 key: the private file, which mints, and the public one, which is all that a tracker needs.
func NewPair(random io.Reader) (private, public []byte, err error) {
	verify, sign, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, nil, err
	}
	if private, err = x509.MarshalPKCS8PrivateKey(sign); err != nil {
		return nil, nil, err
	}
	if public, err = x509.MarshalPKIXPublicKey(verify); err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: public}), nil
}

// header begins a JWT.
type header struct {
	Algorithm string          `json:"alg"`
	Type      string          `json:"typ,omitempty"`
	Name      string          `json:"kid,omitempty"`
	Critical  json.RawMessage `json:"crit,omitempty"`
}

// Sign makes a JWT of any claims; name is the key's, "" for none.
func (k Key) Sign(name string, claims any) (string, error) {
	if k.sign == nil {
		return "", errors.New("this key checks tokens and cannot sign them: take the private one")
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("the token's claims cannot be written: %w", err)
	}
	text := k.header(name) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := k.method.Sign(text, k.sign)
	if err != nil {
		return "", fmt.Errorf("the token could not be signed: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// header is how the tokens of a key begin that Sign makes.
func (k Key) header(name string) string {
	b, err := json.Marshal(header{Algorithm: k.method.Alg(), Type: "JWT", Name: name})
	if err != nil {
		panic(err) // strings can be written
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// isCheap tells whether checking a signature costs less than reading the claims.
func (k Key) isCheap() bool { return k.method == jwt.SigningMethodHS256 }

// Method is the key's algorithm.
func (k Key) Method() jwt.SigningMethod { return k.method }

// Verifier is what it checks with.
func (k Key) Verifier() any { return k.verify }

// Mint makes a token that joins a channel's room; name is the key's in the tracker's configuration.
func (k Key) Mint(name string, c Claims) (string, error) {
	j := c.json()
	if _, problem := j.read(); problem != "" {
		return "", fmt.Errorf("this token would be refused: it %s", problem)
	}
	return k.Sign(name, j)
}
