package token

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipstream/tracker/announce"
)

const (
	// MaxLife is how long a token may live.
	MaxLife = 120 * time.Second
	// ClockLeeway is how far the clocks of those who mint and those who check may be apart.
	ClockLeeway = 10 * time.Second
	// MaxID is the longest name of a token, or of a key.
	MaxID = 64
)

// Claims are what a token says.
type Claims struct {
	Channel     string // channel id
	Origin      string // web origin of the page that it is for, "" for a program
	Role        announce.Role
	ID          string // unique among the tokens of one key
	Issued      time.Time
	Expires     time.Time
	Fingerprint Fingerprint // of the viewer's certificate; zero: unbound
	Sharing     Sharing
}

// Dead is when the token is good for nothing any more.
func (c Claims) Dead() time.Time {
	if end := c.Issued.Add(MaxLife); end.Before(c.Expires.Add(ClockLeeway)) {
		return end
	}
	return c.Expires.Add(ClockLeeway)
}

// Sharing is how viewers of a channel may meet.
type Sharing string

// The kinds of sharing, from open to closed. In a token, what is none of them counts as NoSharing.
const (
	Direct    Sharing = ""
	RelayOnly Sharing = "relay"
	NoSharing Sharing = "off"
)

// Stricter is the stricter of two.
func (s Sharing) Stricter(other Sharing) Sharing {
	if s == Direct || s == RelayOnly && other == NoSharing {
		return other
	}
	return s
}

// Fingerprint is the SHA-256 of a DTLS certificate. The zero value is none.
type Fingerprint [32]byte

const (
	fingerprintAlgorithm = "sha-256 "
	fingerprintLen       = len(fingerprintAlgorithm) + 3*len(Fingerprint{}) - 1
)

// ParseFingerprint reads the form that session descriptions have (RFC 8122): "sha-256 AB:CD:…".
func ParseFingerprint(text string) (f Fingerprint, err error) {
	digits, ok := strings.CutPrefix(strings.ToLower(text), fingerprintAlgorithm)
	pairs := strings.Split(digits, ":")
	if !ok || len(pairs) != len(f) {
		return Fingerprint{}, errFingerprint
	}
	for i, pair := range pairs {
		b, err := hex.DecodeString(pair)
		if err != nil || len(b) != 1 {
			return Fingerprint{}, errFingerprint
		}
		f[i] = b[0]
	}
	return f, nil
}

var errFingerprint = errors.New(`a fingerprint is "sha-256 " and 32 pairs of hexadecimal digits joined by ":"`)

// String is the form of session descriptions, "" for none.
func (f Fingerprint) String() string {
	if f == (Fingerprint{}) {
		return ""
	}
	return string(f.appendText(nil))
}

// Is tells whether a text is the form of f, which is not none.
func (f Fingerprint) Is(text string) bool {
	var b [fingerprintLen]byte
	return f != Fingerprint{} && text == string(f.appendText(b[:0]))
}

func (f Fingerprint) appendText(b []byte) []byte {
	const digits = "0123456789ABCDEF"
	b = append(slices.Grow(b, fingerprintLen), fingerprintAlgorithm...)
	for i, x := range f {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[x>>4], digits[x&0xf])
	}
	return b
}

// claims is the JSON of Claims.
type claims struct {
	Channel   string        `json:"sub"`
	Origin    string        `json:"org"`
	Role      announce.Role `json:"role"`
	ID        string        `json:"jti"`
	Issued    *seconds      `json:"iat,omitempty"`
	NotBefore *seconds      `json:"nbf,omitempty"`
	Expires   *seconds      `json:"exp,omitempty"`
	Confirm   *confirmation `json:"cnf,omitempty"`
	Sharing   Sharing       `json:"p2p,omitempty"`
}

type confirmation struct {
	Certificate string `json:"x5t#S256"`
}

// seconds is a JWT's time: Unix seconds, which others may write with a fraction.
type seconds float64

func secondsOf(t time.Time) *seconds {
	s := seconds(t.Unix())
	return &s
}

// maxSeconds is a time that nobody means.
const maxSeconds = 1e11

func (s *seconds) time() time.Time { return time.UnixMilli(int64(*s * 1000)) }

func (s *seconds) sane() bool { return s != nil && *s >= 0 && *s < maxSeconds }

func (c Claims) json() claims {
	j := claims{
		Channel: c.Channel, ID: c.ID, Issued: secondsOf(c.Issued), Expires: secondsOf(c.Expires), Origin: c.Origin, Role: c.Role, Sharing: c.Sharing,
	}
	if c.Fingerprint != (Fingerprint{}) {
		j.Confirm = &confirmation{base64.RawURLEncoding.EncodeToString(c.Fingerprint[:])}
	}
	return j
}

// read fails with a sentence that says what is missing.
func (j *claims) read() (c Claims, problem string) {
	switch {
	case !IsChannel(j.Channel):
		return c, "names no channel"
	case j.Role != announce.Viewer && j.Role != announce.Seeder:
		return c, "names no role"
	case j.ID == "" || len(j.ID) > MaxID:
		return c, "has no name of its own (jti), or too long a one"
	case !j.Issued.sane() || !j.Expires.sane():
		return c, "does not say when it was minted (iat) and when it ends (exp)"
	case j.Expires.time().Sub(j.Issued.time()) > MaxLife:
		return c, fmt.Sprintf("lives longer than %d seconds", int(MaxLife.Seconds()))
	}
	c = Claims{
		Channel: j.Channel, Origin: j.Origin, Role: j.Role, ID: j.ID, Issued: j.Issued.time(), Expires: j.Expires.time(), Sharing: j.Sharing,
	}
	if c.Sharing != Direct && c.Sharing != RelayOnly {
		c.Sharing = NoSharing
	}
	if j.Confirm != nil {
		sum, err := base64.RawURLEncoding.Strict().DecodeString(j.Confirm.Certificate)
		if err != nil || len(sum) != len(c.Fingerprint) {
			return c, "is bound to something else than a certificate's SHA-256 (cnf)"
		}
		c.Fingerprint = Fingerprint(sum)
	}
	return c, ""
}

// IsChannel tells whether s could be a channel id: a SHA-256 in base64url.
func IsChannel(s string) bool {
	sum, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(sum) == 32
}
