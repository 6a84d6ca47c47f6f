package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"slipstream/tracker/token"
)

type reply struct {
	Token     string `json:"token"`
	ExpiresMs int64  `json:"expiresMs"`
}

// claims reads the token as a tracker does.
func (s *site) claims(a answer) (reply, token.Claims) {
	s.t.Helper()
	var r reply
	if err := json.Unmarshal([]byte(a.body), &r); err != nil {
		s.t.Fatalf("%v: %s", err, a.body)
	}
	ring, err := token.NewRing(token.Terms{Key: token.Secret(bytes.Repeat([]byte{9}, 32)), Unbound: true})
	if err != nil {
		s.t.Fatal(err)
	}
	claims, _, refusal := ring.Check(r.Token, "", time.UnixMilli(s.nowMs.Load()))
	if refusal != nil {
		s.t.Fatal(refusal)
	}
	return r, claims
}

func TestToken(t *testing.T) {
	s := newSite(t, nil)
	a := s.ask("POST", "/live/demo/token", "Origin", "https://example.org")
	a.want(t, "a page", 200, "Cache-Control", "no-store", "Access-Control-Allow-Origin", "*", "Content-Type", "application/json")
	r, claims := s.claims(a)
	if claims.Channel != s.keys.ID().String() || claims.Origin != "https://example.org" || claims.Role != "viewer" || claims.ID == "" {
		t.Errorf("claims %+v", claims)
	}
	if r.ExpiresMs != startMs+100_000 || claims.Expires.UnixMilli() != r.ExpiresMs || claims.Issued.UnixMilli() != startMs {
		t.Errorf("it runs from %v to %v, the answer says %d", claims.Issued, claims.Expires, r.ExpiresMs)
	}
	if claims.Fingerprint != (token.Fingerprint{}) {
		t.Errorf("bound to %v, nobody knows why", claims.Fingerprint)
	}
	certificate := "sha-256 " + strings.Repeat("AB:", 31) + "CD"
	if _, bound := s.claims(s.ask("POST", "/live/demo/token?fp="+url.QueryEscape(certificate))); bound.Fingerprint.String() != certificate {
		t.Errorf("bound to %v", bound.Fingerprint)
	}
	s.ask("POST", "/live/demo/token?fp=mine").want(t, "no fingerprint", 400)
	if _, again := s.claims(s.ask("POST", "/live/demo/token")); again.ID == claims.ID || again.Origin != "" {
		t.Errorf("a program's token: %+v", again)
	}
	s.ask("POST", "/live/nope/token").want(t, "unknown channel", 404)
	s.ask("POST", "/live/demo/token?role=king").want(t, "unknown role", 400)
	s.ask("POST", "/live/demo/token", "Origin", "https://"+strings.Repeat("a", 300)).want(t, "a long origin", 400)
}

// Who seeds carries more of the channel, so not everybody may.
func TestWhoMaySeed(t *testing.T) {
	s := newSite(t, nil)
	bearer := "Bearer " + s.keys.StreamKey()
	for _, c := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"a program on this machine", nil, 200},
		{"a page on this machine", []string{"Origin", "http://localhost:8080"}, 403},
		{"a program elsewhere", []string{"X-Forwarded-For", "198.51.100.7"}, 403},
		{"one that claims to be here", []string{"X-Forwarded-For", "127.0.0.1, 198.51.100.7"}, 403},
		{"with the stream key", []string{"X-Forwarded-For", "198.51.100.7", "Authorization", bearer}, 200},
		{"with another key", []string{"X-Forwarded-For", "198.51.100.7", "Authorization", bearer + "x"}, 403},
	} {
		a := s.ask("POST", "/live/demo/token?role=seeder", c.headers...)
		a.want(t, c.name, c.status)
		if c.status == 200 {
			if _, claims := s.claims(a); claims.Role != "seeder" {
				t.Errorf("%s: role %q", c.name, claims.Role)
			}
		} else if !strings.Contains(a.body, "stream key") {
			t.Errorf("%s: %q does not say what to do", c.name, a.body)
		}
	}
}

func TestTokensAreLimitedByPrefix(t *testing.T) {
	s := newSite(t, nil)
	from := func(ip string) answer { return s.ask("POST", "/live/demo/token", "X-Forwarded-For", ip) }
	for i := range tokenBurst {
		if a := from(fmt.Sprintf("198.51.100.%d", i%256)); a.status != 200 {
			t.Fatalf("request %d: %d", i, a.status)
		}
	}
	from("198.51.100.1").want(t, "one too many", 429, "Retry-After", "1", "Cache-Control", "no-store")
	from("198.51.101.1").want(t, "the neighbour's network", 200)
	from("2001:db8:1::1").want(t, "IPv6", 200)
	s.nowMs.Add(1000)
	from("198.51.100.1").want(t, "a second later", 200)
}

func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter()
	now := time.UnixMilli(startMs)
	for i := range 3 * maxPrefixes {
		if !l.allow(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), now) {
			t.Fatal("a fresh network was refused")
		}
	}
	if len(l.prefixes) != maxPrefixes || l.recent.Len() != maxPrefixes {
		t.Errorf("%d prefixes are kept", len(l.prefixes))
	}
	if l.allow(netip.Addr{}, now) {
		t.Error("a client without an address passed")
	}
}

func TestClientAddr(t *testing.T) {
	for _, c := range []struct{ remote, forwarded, want string }{
		{"203.0.113.9:4444", "", "203.0.113.9"},
		{"203.0.113.9:4444", "198.51.100.1", "203.0.113.9"}, // a stranger's word
		{"127.0.0.1:4444", "198.51.100.1", "198.51.100.1"},  // our proxy's word
		{"10.0.0.2:4444", "1.1.1.1, 198.51.100.1", "198.51.100.1"},
		{"127.0.0.1:4444", "nonsense", "127.0.0.1"},
		{"[::ffff:203.0.113.9]:1", "", "203.0.113.9"},
		{"[::1]:1", "", "::1"},
		{"?", "", "::"},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := clientAddr(r).String(); got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}
