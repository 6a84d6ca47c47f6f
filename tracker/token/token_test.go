package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"slipstream/tracker/announce"
)

const (
	channel = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	other   = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
	page    = "https://tv.example.com"
)

var (
	now         = time.Unix(1_767_225_600, 0)
	certificate = Fingerprint(sha256.Sum256([]byte("a certificate")))
	origins     = Secret(bytes.Repeat([]byte{7}, MinSecret))
)

func good() Claims {
	return Claims{
		Channel: channel, Origin: page, Role: announce.Viewer, ID: "1", Issued: now, Expires: now.Add(100 * time.Second), Fingerprint: certificate,
	}
}

func pair(t testing.TB) (private, public Key) {
	t.Helper()
	a, b, err := NewPair(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for file, key := range map[*[]byte]*Key{&a: &private, &b: &public} {
		if *key, err = ParseKey(*file); err != nil {
			t.Fatal(err)
		}
	}
	return private, public
}

func ring(t testing.TB, terms ...Terms) *Ring {
	t.Helper()
	r, err := NewRing(terms...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mint(t testing.TB, k Key, name string, c Claims) string {
	t.Helper()
	text, err := k.Mint(name, c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWhatWasMintedIsRead(t *testing.T) {
	private, public := pair(t)
	r := ring(t, Terms{Key: origins}, Terms{Name: "news", Key: public, Channels: []string{channel}, Origins: []string{"https://*.example.com"}})
	for name, key := range map[string]Key{"": origins, "news": private} {
		c, terms, refusal := r.Check(mint(t, key, name, good()), page, now)
		if refusal != nil {
			t.Fatalf("key %q: %v", name, refusal)
		}
		if terms.Name != name || c.Channel != channel || c.Origin != page || c.Role != announce.Viewer || c.ID != "1" || c.Fingerprint != certificate || !c.Dead().Equal(now.Add(110*time.Second)) {
			t.Errorf("key %q: read %+v", name, c)
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	private, public := pair(t)
	stranger, _ := pair(t)
	r := ring(t, Terms{Key: origins},
		Terms{Name: "news", Key: public, Channels: []string{channel}, Origins: []string{"https://*.example.com"}})
	with := func(change func(*Claims)) Claims {
		c := good()
		change(&c)
		return c
	}
	raw := func(k Key, name string, c any) string {
		text, err := k.Sign(name, c)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	changed := func(change func(*claims)) string {
		j := good().json()
		change(&j)
		return raw(origins, "", j)
	}
	// library is another's way to make tokens.
	library := func(method jwt.SigningMethod, key any, header map[string]any) string {
		j := good().json()
		made := jwt.NewWithClaims(method, jwt.MapClaims{
			"sub": j.Channel, "org": j.Origin, "role": j.Role, "jti": j.ID, "iat": now.Unix(), "exp": float64(now.Unix()) + 60.5,
			"cnf": map[string]string{"x5t#S256": j.Confirm.Certificate}, "iss": "a back end",
		})
		maps.Copy(made.Header, header)
		text, err := made.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, text := range map[string]string{
		"HS256": library(jwt.SigningMethodHS256, origins.sign, nil), "EdDSA": library(jwt.SigningMethodEdDSA, private.sign, map[string]any{"kid": "news", "x": 1}),
	} {
		if c, _, refusal := r.Check(text, page, now); refusal != nil || c.Fingerprint != certificate || !c.Expires.Equal(now.Add(60*time.Second+500*time.Millisecond)) {
			t.Errorf("a library's %s token: %+v, %v", name, c, refusal)
		}
	}
	fine := mint(t, origins, "", good())
	for _, c := range []struct{ name, text, code, sentence string }{
		{"rubbish", "rubbish", announce.CodeTokenInvalid, "not a token of this system"},
		{"too long", fine + strings.Repeat("A", announce.MaxToken), announce.CodeTokenInvalid, "more than 2048"},
		{"not signed", library(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), announce.CodeTokenInvalid, "not a token of this system"},
		{"another algorithm", library(jwt.SigningMethodHS512, origins.sign, nil), announce.CodeTokenInvalid, "does not have"},
		{"an extension that matters", library(jwt.SigningMethodHS256, origins.sign, map[string]any{"crit": []string{"b64"}}), announce.CodeTokenInvalid, "not a token of this system"},
		{"a key's name borrowed", mint(t, origins, "news", good()), announce.CodeTokenInvalid, "does not have"},
		{"an unknown key", mint(t, stranger, "films", good()), announce.CodeTokenInvalid, "does not have"},
		{"another's key", mint(t, stranger, "news", good()), announce.CodeTokenInvalid, "not signed with this tracker's key"},
		{"another secret", mint(t, Secret(bytes.Repeat([]byte{8}, MinSecret)), "", good()), announce.CodeTokenInvalid, "not signed with this tracker's key"},
		{"a changed signature", fine[:len(fine)-6] + "AAAAAA", announce.CodeTokenInvalid, "not signed with this tracker's key"},
		{"a public key taken for a secret", raw(Secret(public.verify.(ed25519.PublicKey)), "news", good().json()), announce.CodeTokenInvalid, "does not have"},
		{"another channel than the key's", mint(t, private, "news", with(func(c *Claims) { c.Channel = other })), announce.CodeTokenChannel, "not for the channel"},
		{"another page than the key's", mint(t, private, "news", with(func(c *Claims) { c.Origin = "https://example.org" })), announce.CodeTokenOrigin, "another web origin"},
		{"another page", mint(t, origins, "", with(func(c *Claims) { c.Origin = "https://thief.example.org" })), announce.CodeTokenOrigin, "another web origin"},
		{"not bound", mint(t, private, "news", with(func(c *Claims) { c.Fingerprint = Fingerprint{} })), announce.CodeTokenInvalid, "not bound"},
		{"over", mint(t, origins, "", with(func(c *Claims) { c.Issued, c.Expires = now.Add(-time.Minute), now.Add(-ClockLeeway) })), announce.CodeTokenExpired, "expired at 23:59:50 UTC"},
		{"of the future", mint(t, origins, "", with(func(c *Claims) { c.Issued, c.Expires = now.Add(time.Minute), now.Add(2*time.Minute) })), announce.CodeTokenInvalid, "clocks"},
		{"not valid yet", changed(func(j *claims) { j.NotBefore = secondsOf(now.Add(time.Minute)) }), announce.CodeTokenInvalid, "not valid yet"},
		{"for ever", changed(func(j *claims) { j.Expires = nil }), announce.CodeTokenInvalid, "when it ends"},
		{"for long", changed(func(j *claims) { j.Expires = secondsOf(now.Add(MaxLife + time.Second)) }), announce.CodeTokenInvalid, "longer than 120 seconds"},
		{"minted nobody knows when", changed(func(j *claims) { j.Issued = nil }), announce.CodeTokenInvalid, "when it was minted"},
		{"without a name", changed(func(j *claims) { j.ID = "" }), announce.CodeTokenInvalid, "no name of its own"},
		{"for no channel", changed(func(j *claims) { j.Channel = "demo" }), announce.CodeTokenInvalid, "names no channel"},
		{"for no role", changed(func(j *claims) { j.Role = "" }), announce.CodeTokenInvalid, "names no role"},
		{"bound to rubbish", changed(func(j *claims) { j.Confirm.Certificate = "AAAA" }), announce.CodeTokenInvalid, "certificate's SHA-256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, refusal := r.Check(c.text, page, now)
			if refusal == nil || refusal.Code != c.code || !strings.Contains(refusal.Message, c.sentence) || !announce.IsText(refusal.Message) {
				t.Errorf("got %+v, want %s and a sentence with %q", refusal, c.code, c.sentence)
			}
		})
	}
}

// A stolen token is dead 120 seconds after its minting, whatever the clocks and its end say.
func TestATokenIsDeadAfterItsLife(t *testing.T) {
	r := ring(t, Terms{Key: origins})
	for _, life := range []time.Duration{time.Second, 100 * time.Second, MaxLife} {
		c := good()
		c.Expires = c.Issued.Add(life)
		text := mint(t, origins, "", c)
		if _, _, refusal := r.Check(text, page, c.Dead().Add(-time.Second)); refusal != nil {
			t.Errorf("a life of %v: refused within it: %v", life, refusal)
		}
		if _, _, refusal := r.Check(text, page, now.Add(min(MaxLife, life+ClockLeeway))); refusal == nil || refusal.Code != announce.CodeTokenExpired {
			t.Errorf("a life of %v: %v after it", life, refusal)
		}
	}
}

func TestMintingRefusesWhatCheckingWould(t *testing.T) {
	c := good()
	c.Expires = c.Issued.Add(time.Hour)
	if _, err := origins.Mint("", c); err == nil || !strings.Contains(err.Error(), "longer than 120 seconds") {
		t.Errorf("got %v", err)
	}
	_, public := pair(t)
	if _, err := public.Mint("news", good()); err == nil || !strings.Contains(err.Error(), "take the private one") {
		t.Errorf("got %v", err)
	}
}

func TestTheStricterSharingCounts(t *testing.T) {
	for _, c := range [][3]Sharing{
		{Direct, Direct, Direct}, {RelayOnly, Direct, RelayOnly}, {NoSharing, RelayOnly, NoSharing}, {RelayOnly, "by pigeon", NoSharing},
	} {
		r := ring(t, Terms{Key: origins, Sharing: c[0]})
		claims := good()
		claims.Sharing = c[1]
		got, _, refusal := r.Check(mint(t, origins, "", claims), page, now)
		if refusal != nil || got.Sharing != c[2] {
			t.Errorf("%q and %q make %q, %v; want %q", c[0], c[1], got.Sharing, refusal, c[2])
		}
	}
}

func TestKeysThatCannotBe(t *testing.T) {
	for sentence, terms := range map[string][]Terms{
		"two token keys have the name": {{Name: "a", Key: origins}, {Name: "a", Key: origins}},
		"has no key":                   {{Name: "a"}},
		"not a channel id":             {{Key: origins, Channels: []string{"demo"}}},
		"not a pattern":                {{Key: origins, Origins: []string{"["}}},
		"relay or off":                 {{Key: origins, Sharing: "no"}},
	} {
		if _, err := NewRing(terms...); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("got %v, want a sentence with %q", err, sentence)
		}
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(curve.Public())
	if err != nil {
		t.Fatal(err)
	}
	for sentence, file := range map[string]string{
		"too few":               "short",
		"it holds a":            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"asn1: structure error": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"not an Ed25519 key":    string(pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der})),
	} {
		if _, err := ParseKey([]byte(file)); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("got %v, want a sentence with %q", err, sentence)
		}
	}
}

func TestFingerprintsInSessionDescriptions(t *testing.T) {
	f, err := ParseFingerprint(certificate.String())
	if err != nil || f != certificate {
		t.Errorf("got %v, %v", f, err)
	}
	if f, err = ParseFingerprint(strings.ToLower(certificate.String())); err != nil || f != certificate {
		t.Errorf("got %v, %v", f, err)
	}
	if none := (Fingerprint{}); !f.Is(certificate.String()) || f.Is(Fingerprint{1}.String()) || f.Is("") || none.Is("") {
		t.Error("a fingerprint is taken for another one")
	}
	for _, text := range []string{"", "sha-256 ", "sha-1 AB", certificate.String() + ":00", certificate.String()[8:], strings.ReplaceAll(certificate.String(), ":", "")} {
		if _, err := ParseFingerprint(text); err == nil {
			t.Errorf("%q passes for a fingerprint", text)
		}
	}
}

func FuzzCheck(f *testing.F) {
	r := ring(f, Terms{Key: origins, Unbound: true})
	f.Add(mint(f, origins, "", good()), page)
	f.Add("a.b.c", "")
	f.Fuzz(func(t *testing.T, text, webOrigin string) {
		c, terms, refusal := r.Check(text, webOrigin, now)
		switch {
		case refusal != nil:
			if !announce.IsText(refusal.Message) {
				t.Errorf("the sentence %q cannot be sent", refusal.Message)
			}
		case terms == nil || !now.Before(c.Dead()) || !IsChannel(c.Channel):
			t.Errorf("accepted %+v", c)
		}
	})
}

// BenchmarkCheck is what each join costs, and what junk costs at most.
func BenchmarkCheck(b *testing.B) {
	private, public := pair(b)
	r := ring(b, Terms{Key: origins}, Terms{Name: "news", Key: public})
	old := good()
	old.Issued, old.Expires = now.Add(-time.Hour), now.Add(-time.Hour+time.Minute)
	fine, signed := mint(b, origins, "", good()), mint(b, private, "news", good())
	forge := func(s string) string {
		return s[:strings.LastIndexByte(s, '.')+1] + base64.RawURLEncoding.EncodeToString(make([]byte, base64.RawURLEncoding.DecodedLen(len(s)-strings.LastIndexByte(s, '.')-1)))
	}
	for _, c := range []struct{ name, text string }{
		{"good/HS256", fine}, {"good/EdDSA", signed}, {"rubbish", strings.Repeat("A.", 1000)}, {"expired", mint(b, private, "news", old)},
		{"forged/HS256", forge(fine)}, {"forged/EdDSA", forge(signed)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Check(c.text, page, now)
			}
		})
	}
}
