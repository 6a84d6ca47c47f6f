// Package permit signs and reads publishing tokens: who shows one may publish a channel, where it would otherwise show the
// channel's stream key. A token is a JWT (RFC 7519) with these claims:
//
//	aud      "slipstream-publish"
//	channel  the channel's name
//	backup   true: it is the channel's backup publisher
//	create   true: it may also make the channel, if there is none of that name
//	address  the IP address, or prefix (192.0.2.0/24), that the publisher must come from; optional
//	exp, nbf when it ends and begins to be valid; optional
//
// It is checked with one key, and the key says with which algorithm (EdDSA with Ed25519, or HS256): what a token says about
// its algorithm is not believed. An HMAC is compared in constant time. A token is a secret, and is in no error.
package permit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"slipstream/origin/durable"
	"slipstream/tracker/token"
)

const (
	audience = "slipstream-publish"
	// maxToken is more than any token needs, and few enough bytes to look at for a stranger.
	maxToken = 2048
)

// A Permit is what a token says.
type Permit struct {
	Channel string
	Backup  bool
	Create  bool
	Address string    // "": any
	From    time.Time // zero: always was
	Until   time.Time // zero: for ever
}

type claims struct {
	jwt.RegisteredClaims
	Channel string `json:"channel"`
	Backup  bool   `json:"backup,omitempty"`
	Create  bool   `json:"create,omitempty"`
	Address string `json:"address,omitempty"`
}

// A Key signs and checks tokens, or only checks them.
type Key struct{ key token.Key }

// DefaultPath is where an origin has its key unless it is told otherwise.
func DefaultPath(dataDir string) string { return filepath.Join(dataDir, "keys", "publish.key") }

// Open reads the default key, and makes it if there is none.
func Open(dataDir string) (Key, error) {
	path := DefaultPath(dataDir)
	_, found, err := durable.Read(path)
	if err != nil {
		return Key{}, err
	}
	if !found {
		private, _, err := token.NewPair(rand.Reader)
		if err != nil {
			return Key{}, err
		}
		if err := durable.Write(path, private); err != nil {
			return Key{}, err
		}
	}
	return Read(path)
}

// Read reads a key: Ed25519 in PEM form, private (PKCS #8) or public (PKIX, enough to check tokens), or a secret of at
// least 32 bytes for HMAC.
func Read(path string) (Key, error) {
	file, found, err := durable.Read(path)
	if err != nil {
		return Key{}, err
	}
	if !found {
		return Key{}, fmt.Errorf("the key for publishing tokens, %s, is not there", path)
	}
	key, err := token.ParseKey(file)
	if err != nil {
		return Key{}, fmt.Errorf("the key for publishing tokens, %s, is not usable: %w", path, err)
	}
	return Key{key}, nil
}

// Sign makes a token.
func (k Key) Sign(p Permit) (string, error) {
	if p.Address != "" {
		if _, err := prefix(p.Address); err != nil {
			return "", err
		}
	}
	c := claims{RegisteredClaims: jwt.RegisteredClaims{Audience: jwt.ClaimStrings{audience}}, Channel: p.Channel, Backup: p.Backup, Create: p.Create, Address: p.Address}
	if !p.From.IsZero() {
		c.NotBefore = jwt.NewNumericDate(p.From)
	}
	if !p.Until.IsZero() {
		c.ExpiresAt = jwt.NewNumericDate(p.Until)
	}
	return k.key.Sign("", c)
}

// Looks reports whether something given as a stream key may be a token.
func Looks(key string) bool {
	return len(key) <= maxToken && strings.Count(key, ".") == 2 && strings.HasPrefix(key, "ey")
}

// Verify reads a token that came from an address (host:port) and returns what it permits. Errors are for the publisher.
func (k Key) Verify(text, remote string, now time.Time) (Permit, error) {
	if len(text) > maxToken {
		return Permit{}, fmt.Errorf("the token has more than %d bytes", maxToken)
	}
	var c claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{k.key.Method().Alg()}), jwt.WithAudience(audience), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return now }))
	_, err := parser.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return k.key.Verifier(), nil })
	switch {
	case err == nil:
	// The library's own sentences may quote the token.
	case errors.Is(err, jwt.ErrTokenMalformed):
		return Permit{}, errors.New("the token makes no sense: it may have been cut off")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return Permit{}, errors.New("the token was not signed with this origin's key")
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return Permit{}, errors.New("the token is not one for publishing")
	case errors.Is(err, jwt.ErrTokenExpired):
		return Permit{}, fmt.Errorf("the token was valid until %s: ask for a new one", date(c.ExpiresAt))
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return Permit{}, fmt.Errorf("the token is not valid before %s", date(c.NotBefore))
	default:
		return Permit{}, errors.New("the token is not valid")
	}
	if c.Address != "" {
		allowed, err := prefix(c.Address)
		if err != nil {
			return Permit{}, err
		}
		from, err := netip.ParseAddrPort(remote)
		if err != nil || !allowed.Contains(from.Addr().Unmap().WithZone("")) {
			return Permit{}, errors.New("the token is for a publisher at another address")
		}
	}
	p := Permit{Channel: c.Channel, Backup: c.Backup, Create: c.Create, Address: c.Address}
	if c.NotBefore != nil {
		p.From = c.NotBefore.Time
	}
	if c.ExpiresAt != nil {
		p.Until = c.ExpiresAt.Time
	}
	return p, nil
}

// prefix reads an address, which stands for itself alone, or a prefix.
func prefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("the token's address %.64q is neither an IP address nor a prefix such as 192.0.2.0/24", text)
	}
	return p.Masked(), nil
}

func date(d *jwt.NumericDate) string {
	if d == nil {
		return "some time"
	}
	return d.UTC().Format("2006-01-02 15:04:05Z")
}
