package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"slipstream/tracker/announce"
)

func TestTokensThatAreRefused(t *testing.T) {
	h := start(t, func(c *Config) { c.Channels = []string{channel} })
	in := func(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(time.Now().Add(d)) }
	for _, c := range []struct {
		name, code, sentence string
		change               func(*claims)
	}{
		{"expired", announce.CodeTokenExpired, "This token expired at ", func(c *claims) { c.IssuedAt, c.ExpiresAt = in(-time.Hour), in(-time.Minute) }},
		{"never expires", announce.CodeTokenInvalid, "not a token of this system", func(c *claims) { c.ExpiresAt = nil }},
		{"from the future", announce.CodeTokenInvalid, "clocks", func(c *claims) { c.IssuedAt = in(time.Hour) }},
		{"another channel", announce.CodeTokenChannel, "does not serve the channel", func(c *claims) { c.Subject = otherChannel }},
		{"no channel", announce.CodeTokenInvalid, "names no channel", func(c *claims) { c.Subject = "demo" }},
		{"no role", announce.CodeTokenInvalid, "names no role", func(c *claims) { c.Role = "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := good()
			c.change(&claims)
			cl := h.connect()
			cl.send(announce.Join{Version: 1, Token: sign(t, claims, secret), Role: announce.Viewer})
			cl.refused(c.code, c.sentence, websocket.StatusPolicyViolation)
		})
	}
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, good()).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	other, err := jwt.NewWithClaims(jwt.SigningMethodHS512, good()).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another secret": sign(t, good(), []byte(strings.Repeat("x", 32))), "no signature": none, "another algorithm": other,
	} {
		t.Run(name, func(t *testing.T) {
			cl := h.connect()
			cl.send(announce.Join{Version: 1, Token: token, Role: announce.Viewer})
			cl.refused(announce.CodeTokenInvalid, "not signed with this tracker's secret", websocket.StatusPolicyViolation)
		})
	}
	t.Run("rubbish", func(t *testing.T) {
		cl := h.connect()
		cl.send(announce.Join{Version: 1, Token: "rubbish", Role: announce.Viewer})
		cl.refused(announce.CodeTokenInvalid, "not a token of this system", websocket.StatusPolicyViolation)
	})
	t.Run("a viewer that would be a seeder", func(t *testing.T) {
		cl := h.connect()
		cl.send(announce.Join{Version: 1, Token: h.tokenFor(announce.Viewer), Role: announce.Seeder})
		cl.refused(announce.CodeTokenRole, "seeder", websocket.StatusPolicyViolation)
	})
	t.Run("another version", func(t *testing.T) {
		cl := h.connect()
		cl.send(announce.Join{Version: 2, Token: h.tokenFor(announce.Viewer), Role: announce.Viewer})
		cl.refused(announce.CodeVersion, "version 1", websocket.StatusPolicyViolation)
	})
}

func from(origin string) *websocket.DialOptions {
	return &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}}
}

func TestTheTokenIsBoundToTheWebOrigin(t *testing.T) {
	h := start(t, nil)
	claims := good()
	claims.Origin = "https://tv.example.com"
	for _, c := range []struct {
		opts *websocket.DialOptions
		ok   bool
	}{{from("https://tv.example.com"), true}, {from("https://evil.example.com"), false}, {nil, true}} {
		cl, _, err := h.dial(c.opts)
		if err != nil {
			t.Fatal(err)
		}
		cl.send(announce.Join{Version: 1, Token: sign(t, claims, secret), Role: announce.Viewer})
		if c.ok {
			receive[announce.Welcome](cl)
		} else {
			cl.refused(announce.CodeTokenOrigin, "another web origin", websocket.StatusPolicyViolation)
		}
	}
}

func TestWebOriginsByConfiguration(t *testing.T) {
	h := start(t, func(c *Config) { c.Origins = []string{"https://*.example.com", "plain.test"} })
	for origin, want := range map[string]bool{
		"https://tv.example.com": true, "https://TV.Example.com": true, "http://tv.example.com": false, "https://example.org": false,
		"https://tv.example.com.evil.org": false, "http://plain.test": true, "https://plain.test": true, "null": false, h.http.URL: true,
	} {
		status, err := h.dialStatus(from(origin))
		if got := err == errNotRefused; got != want || !got && status != http.StatusForbidden {
			t.Errorf("%s: accepted %v (%d, %v), want %v", origin, got, status, err, want)
		}
	}
}
