package permit

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"slipstream/tracker/token"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const remote = "192.0.2.7:50000"

func open(t testing.TB) (Key, string) {
	t.Helper()
	dir := t.TempDir()
	key, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return key, dir
}

func write(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some.key")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, content []byte) Key {
	t.Helper()
	key, err := Read(write(t, content))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key Key, p Permit) string {
	t.Helper()
	token, err := key.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	if !Looks(token) {
		t.Errorf("%s does not look like a token", token)
	}
	return token
}

func TestTokensAreReadBack(t *testing.T) {
	own, dir := open(t)
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.MarshalPKIXPublicKey(own.key.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	public := read(t, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}))
	secret := read(t, []byte(strings.Repeat("s", 32)))
	for _, p := range []Permit{
		{Channel: "demo"},
		{Channel: "new", Create: true, Address: "192.0.2.0/24", From: now.Add(-time.Hour), Until: now.Add(time.Hour)},
		{Channel: "demo", Address: "192.0.2.7", Backup: true},
	} {
		token := sign(t, own, p)
		for name, pair := range map[string]struct {
			token string
			key   Key
		}{"the same key": {token, own}, "after a restart": {token, again}, "the public key": {token, public}, "a secret": {sign(t, secret, p), secret}} {
			got, err := pair.key.Verify(pair.token, remote, now)
			if err != nil || got.Channel != p.Channel || got.Create != p.Create || got.Backup != p.Backup || !got.From.Equal(p.From) || !got.Until.Equal(p.Until) {
				t.Errorf("%s: %+v became %+v, %v", name, p, got, err)
			}
		}
	}
	if _, err := public.Sign(Permit{Channel: "demo"}); err == nil || !strings.Contains(err.Error(), "take the private one") {
		t.Errorf("a public key signs: %v", err)
	}
	if _, err := own.Sign(Permit{Channel: "demo", Address: "home"}); err == nil || !strings.Contains(err.Error(), `"home" is neither`) {
		t.Errorf("an address that is none: %v", err)
	}
}

func TestEachRefusalIsASentenceWithoutTheToken(t *testing.T) {
	key, _ := open(t)
	other, _ := open(t)
	good := sign(t, key, Permit{Channel: "demo"})
	public := []byte(key.key.Verifier().(ed25519.PublicKey))
	forged := func(method jwt.SigningMethod, with any, c jwt.Claims) string {
		token, err := jwt.NewWithClaims(method, c).SignedString(with)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	signed := func(c jwt.Claims) string {
		text, err := key.key.Sign("", c)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	claim := claims{RegisteredClaims: jwt.RegisteredClaims{Audience: jwt.ClaimStrings{audience}}, Channel: "demo"}
	parts := strings.Split(good, ".")
	for _, c := range []struct{ name, token, remote, says string }{
		{"too early", sign(t, key, Permit{Channel: "demo", From: now.Add(time.Minute)}), remote, "not valid before 2026-03-01 12:01:00Z"},
		{"too late", sign(t, key, Permit{Channel: "demo", Until: now.Add(-time.Minute)}), remote, "was valid until 2026-03-01 11:59:00Z"},
		{"from elsewhere", sign(t, key, Permit{Channel: "demo", Address: "192.0.2.8"}), remote, "at another address"},
		{"from another network", sign(t, key, Permit{Channel: "demo", Address: "2001:db8::/32"}), remote, "at another address"},
		{"from nowhere", sign(t, key, Permit{Channel: "demo", Address: "192.0.2.7"}), "", "at another address"},
		{"another origin's", sign(t, other, Permit{Channel: "demo"}), remote, "not signed with this origin's key"},
		{"the public key as a secret", forged(jwt.SigningMethodHS256, public, claim), remote, "not signed with this origin's key"},
		{"no signature", forged(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claim), remote, "not signed with this origin's key"},
		{"changed", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"slipstream-publish","channel":"two"}`)) + "." + parts[2], remote, "not signed with this origin's key"},
		{"cut off", good[:len(good)-9], remote, "the token"},
		{"of two parts", parts[0] + "." + parts[1], remote, "makes no sense"},
		{"for viewers", signed(claims{Channel: "demo"}), remote, "not one for publishing"},
		{"for something else", signed(claims{RegisteredClaims: jwt.RegisteredClaims{Audience: jwt.ClaimStrings{"x"}}}), remote, "not one for publishing"},
		{"a channel that is a number", signed(jwt.MapClaims{"aud": audience, "channel": 7}), remote, "makes no sense"},
		{"an address that is none", signed(jwt.MapClaims{"aud": audience, "channel": "demo", "address": "home"}), remote, "neither an IP address"},
		{"huge", good + strings.Repeat("x", maxToken), remote, "more than 2048 bytes"},
	} {
		p, err := key.Verify(c.token, c.remote, now)
		if err == nil || !strings.Contains(err.Error(), c.says) || p != (Permit{}) {
			t.Errorf("%s: %+v, %v; want %q", c.name, p, err, c.says)
			continue
		}
		for _, part := range strings.Split(c.token, ".") {
			if len(part) > 4 && strings.Contains(err.Error(), part) {
				t.Errorf("%s: the sentence quotes the token: %v", c.name, err)
			}
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	for name, c := range map[string]struct{ content, says string }{
		"short":      {"0123456789", "10 bytes are too few"},
		"no key":     {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", `it holds a "CERTIFICATE"`},
		"broken PEM": {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is not usable"},
	} {
		if _, err := Read(write(t, []byte(c.content))); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if _, err := Read("/nowhere.key"); err == nil || !strings.Contains(err.Error(), "/nowhere.key, is not there") {
		t.Errorf("no file: %v", err)
	}
}

func TestStreamKeysDoNotLookLikeTokens(t *testing.T) {
	for _, key := range []string{"", "secret", "a.b", "a.b.c", "ey.", strings.Repeat("ey..", 1000)} {
		if Looks(key) {
			t.Errorf("%.20q looks like a token", key)
		}
	}
}

// FuzzVerify: whatever is shown, there is no panic, and no right without a signature.
func FuzzVerify(f *testing.F) {
	key := Key{token.Secret([]byte(strings.Repeat("s", 32)))}
	good, err := key.Sign(Permit{Channel: "demo", Address: "192.0.2.0/24", Until: now.Add(time.Hour)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, remote)
	f.Add(good[:40], remote)
	f.Add("ey.ey.ey", "")
	f.Fuzz(func(t *testing.T, text, remote string) {
		p, err := key.Verify(text, remote, now)
		if err == nil && text != good {
			t.Fatalf("%q permits %+v", text, p)
		}
	})
}
