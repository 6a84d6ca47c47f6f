package server

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// showing offers a token before the WebSocket opens.
func showing(text string) *websocket.DialOptions {
	return &websocket.DialOptions{Subprotocols: []string{announce.Subprotocol, text}}
}

// certificate is the fingerprint that offer() shows.
var certificate, _ = token.ParseFingerprint(offer().Fingerprint)

// A token is refused in time: before the WebSocket opens, if it was shown by then.
func TestTokensThatAreRefused(t *testing.T) {
	h := start(t, func(c *Config) { c.Channels = []string{channel} })
	change := func(change func(*token.Claims)) token.Claims {
		c := good()
		change(&c)
		return c
	}
	once := good()
	for _, c := range []struct{ name, token, code, sentence string }{
		{"expired", sign(t, change(func(c *token.Claims) { c.Issued, c.Expires = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour) }), secret), announce.CodeTokenExpired, "This token expired at "},
		{"another channel", sign(t, change(func(c *token.Claims) { c.Channel = otherChannel }), secret), announce.CodeTokenChannel, "does not serve the channel"},
		{"another secret", sign(t, good(), []byte(strings.Repeat("x", 32))), announce.CodeTokenInvalid, "not signed with this tracker's key"},
		{"rubbish", "rubbish", announce.CodeTokenInvalid, "not a token of this system"},
		{"used", sign(t, once, secret), announce.CodeTokenUsed, "was used before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.code == announce.CodeTokenUsed {
				first := h.connect()
				first.send(announce.Join{Version: 1, Token: c.token, Role: announce.Viewer})
				receive[announce.Welcome](first)
			}
			cl := h.connect()
			cl.send(announce.Join{Version: 1, Token: c.token, Role: announce.Viewer})
			cl.refused(c.code, c.sentence, websocket.StatusPolicyViolation)
			if status, err := h.dialStatus(showing(c.token)); status != http.StatusUnauthorized {
				t.Errorf("shown before: %d, %v; want 401", status, err)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		cl := h.connect()
		cl.send(announce.Join{Version: 1, Role: announce.Viewer})
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

// show connects with a token, and joins without saying it again.
func (h *harness) show(c token.Claims) *client {
	h.t.Helper()
	cl, _, err := h.dial(showing(sign(h.t, c, secret)))
	if err != nil {
		h.t.Fatal(err)
	}
	if got := cl.ws.Subprotocol(); got != announce.Subprotocol {
		h.t.Fatalf("the tracker selects %q, which browsers do not stand", got)
	}
	cl.send(announce.Join{Version: 1, Role: c.Role, Renditions: []string{"360p"}})
	return cl
}

func TestATokenThatIsShownEarlyNeedsNoRepetition(t *testing.T) {
	h := start(t, nil)
	if w := receive[announce.Welcome](h.show(good())); w.Viewers != 1 {
		t.Errorf("welcomed with %+v", w)
	}
}

func TestOfManyWithOneTokenOneComesIn(t *testing.T) {
	h := start(t, nil)
	for range 20 {
		text := sign(t, good(), secret)
		var in atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if p, _ := h.server.admission.check(text, ""); p.dead != 0 {
					in.Add(1)
				}
			})
		}
		if wg.Wait(); in.Load() != 1 {
			t.Fatalf("%d came in", in.Load())
		}
	}
}

// What a page pays for the memory of tokens: next to none that are fresh look used.
func TestFreshTokensLookFresh(t *testing.T) {
	u, now := NewUsedTokens(), time.Unix(1_767_225_600, 0)
	const perSecond = 5_000
	seen, refused := 0, 0
	for second := range 130 {
		now := now.Add(time.Duration(second) * time.Second)
		for range perSecond {
			id := strconv.Itoa(seen)
			if !u.First(nameToken("", id), now.Add(110*time.Second), now) {
				refused++
			}
			if seen++; seen%1000 == 0 && u.First(nameToken("", id), now.Add(110*time.Second), now.Add(100*time.Second)) {
				t.Fatal("a used token passed")
			}
		}
	}
	if refused > seen/100_000 {
		t.Errorf("%d of %d fresh tokens were refused", refused, seen)
	}
}

// A token that is bound to one certificate is of no use with another: the thief is thrown out before anybody hears of him.
func TestAStolenTokenConnectsNobody(t *testing.T) {
	h := start(t, nil)
	victim := h.join(announce.Viewer)
	stolen := good()
	stolen.Fingerprint = certificate
	thief := h.show(stolen)
	receive[announce.Welcome](thief)
	receive[announce.Neighbour](thief)
	id := receive[announce.Neighbour](victim).ID
	his := offer()
	his.Fingerprint = "sha-256 " + strings.Repeat("CD:", 31) + "CD"
	thief.send(announce.SignalTo{To: victim.id, Signal: his})
	thief.refused(announce.CodeFingerprint, "another certificate", websocket.StatusPolicyViolation)
	if g := receive[announce.Gone](victim); g.ID != id { // and no signal before it
		t.Errorf("%s is gone, want the thief", g.ID)
	}
	owner := good()
	owner.Fingerprint = certificate
	honest := h.show(owner)
	receive[announce.Welcome](honest)
	receive[announce.Neighbour](honest)
	honest.send(announce.SignalTo{To: victim.id, Signal: offer()})
	receive[announce.Neighbour](victim)
	receive[announce.SignalFrom](victim)
}

func TestVisitsAreRenewed(t *testing.T) {
	h := start(t, nil)
	for name, c := range map[string]struct {
		fingerprint token.Fingerprint
		least, most int64 // of renewMs
	}{
		"an unbound one lasts as long as its token": {token.Fingerprint{}, 60_000, 70_000},
		"a bound one for an hour":                   {certificate, 3_600_000, 3_600_000},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now().Truncate(time.Second)
			h.server.cfg.Now = func() time.Time { return now }
			v := &visit{srv: h.server}
			defer v.over()
			hear := func(m announce.Message) (any, *announce.Error) {
				b, err := announce.Encode(m)
				if err != nil {
					t.Fatal(err)
				}
				return v.handle(now, true, b)
			}
			fresh := func() string {
				return sign(t, token.Claims{
					Channel: channel, Role: announce.Viewer, ID: rand.Text(), Issued: now, Expires: now.Add(time.Minute), Fingerprint: c.fingerprint,
				}, secret)
			}
			event, refusal := hear(announce.Join{Version: 1, Token: fresh(), Role: announce.Viewer})
			if refusal != nil {
				t.Fatal(refusal)
			}
			every := event.(Enter).Welcome.RenewMs
			if every < c.least || every > c.most {
				t.Fatalf("to be renewed in %d ms, want %d to %d", every, c.least, c.most)
			}
			for range 3 {
				now = now.Add(time.Duration(every-1000) * time.Millisecond)
				if _, refusal := hear(announce.Renew{Token: fresh()}); refusal != nil {
					t.Fatal(refusal)
				}
			}
			now = now.Add(time.Duration(every-1000) * time.Millisecond)
			if _, refusal := hear(announce.Report{}); refusal != nil {
				t.Fatal(refusal)
			}
			now = now.Add(time.Second)
			if _, refusal := hear(announce.Report{}); refusal == nil || refusal.Code != announce.CodeTokenExpired {
				t.Errorf("not renewed, and told %v", refusal)
			}
		})
	}
}

func TestASilentVisitEndsToo(t *testing.T) {
	var nowMs atomic.Int64
	nowMs.Store(time.Now().UnixMilli())
	h := start(t, func(c *Config) {
		c.Now = func() time.Time { return time.UnixMilli(nowMs.Load()) }
		c.Limits.PingInterval = 10 * time.Millisecond
	})
	cl := h.show(good())
	receive[announce.Welcome](cl)
	nowMs.Add(120_000)
	cl.refused(announce.CodeTokenExpired, "not renewed in time", websocket.StatusPolicyViolation)
}

func TestAVisitIsRenewedOnlyWithItsLike(t *testing.T) {
	h := start(t, nil)
	for name, change := range map[string]func(*token.Claims){
		"another channel":     func(c *token.Claims) { c.Channel = otherChannel },
		"another role":        func(c *token.Claims) { c.Role = announce.Seeder },
		"another web origin":  func(c *token.Claims) { c.Origin = "https://example.org" },
		"another certificate": func(c *token.Claims) { c.Fingerprint = token.Fingerprint{1} },
	} {
		t.Run(name, func(t *testing.T) {
			cl := h.show(good())
			receive[announce.Welcome](cl)
			other := good()
			change(&other)
			cl.send(announce.Renew{Token: sign(t, other, secret)})
			cl.refused(announce.CodeTokenInvalid, "renewed with a token of the same", websocket.StatusPolicyViolation)
		})
	}
	t.Run("the same token", func(t *testing.T) {
		c := good()
		cl := h.show(c)
		receive[announce.Welcome](cl)
		cl.send(announce.Renew{Token: sign(t, c, secret)})
		cl.refused(announce.CodeTokenUsed, "used before", websocket.StatusPolicyViolation)
	})
}

// A customer's viewers are counted for the customer, and are told so when there are as many as agreed.
func TestACustomersQuota(t *testing.T) {
	theirs := []byte(strings.Repeat("k", MinSecret))
	h := start(t, func(c *Config) {
		c.Keys = []token.Terms{{Name: "news", Key: token.Secret(theirs), Viewers: 2, Unbound: true, Channels: []string{channel}}}
	})
	join := func() *client {
		text, err := token.Secret(theirs).Mint("news", good())
		if err != nil {
			t.Fatal(err)
		}
		cl, _, err := h.dial(showing(text))
		if err != nil {
			t.Fatal(err)
		}
		cl.send(announce.Join{Version: 1, Role: announce.Viewer})
		return cl
	}
	a, b := join(), join()
	receive[announce.Welcome](a)
	receive[announce.Welcome](b)
	join().refused(announce.CodeQuotaFull, "as many viewers as agreed", websocket.StatusPolicyViolation)
	receive[announce.Welcome](h.show(good())) // the origin's own are others
	a.send(announce.Leave{})
	h.statsUntil(func(s Stats) bool { return s.Viewers == 2 })
	receive[announce.Welcome](join())
}

func TestAChannelMayForbidSharing(t *testing.T) {
	h := start(t, nil)
	for sharing, sentence := range map[token.Sharing]string{token.NoSharing: "do not share", token.RelayOnly: "has none"} {
		c := good()
		c.Sharing = sharing
		h.show(c).refused(announce.CodeSharingOff, sentence, websocket.StatusPolicyViolation)
	}
	for _, name := range []string{"*", channel} {
		h := start(t, func(c *Config) { c.Sharing = map[string]token.Sharing{name: token.NoSharing} })
		h.show(good()).refused(announce.CodeSharingOff, "do not share", websocket.StatusPolicyViolation)
	}
	for _, sharing := range []map[string]token.Sharing{{"demo": token.NoSharing}, {"*": "perhaps"}} {
		if _, err := New(Config{Secret: secret, Sharing: sharing}); err == nil || !strings.Contains(err.Error(), "relay or off") {
			t.Errorf("%v: %v", sharing, err)
		}
	}
}

// Sockets that show no token take places from each other, not from those who do.
func TestStrangersAreFew(t *testing.T) {
	h := start(t, func(c *Config) { c.Limits.Strangers = 2 })
	a, _ := h.connect(), h.connect()
	if status, err := h.dialStatus(nil); status != http.StatusUnauthorized {
		t.Errorf("a third stranger: %d, %v; want 401", status, err)
	}
	receive[announce.Welcome](h.show(good()))
	a.send(announce.Join{Version: 1, Token: sign(t, good(), secret), Role: announce.Viewer})
	receive[announce.Welcome](a)
	h.connect()
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
		claims.ID = rand.Text()
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

// Rubbish costs a network more of its connections than good tokens do: a signature is dear to check.
func TestRubbishIsCountedAgainstItsNetwork(t *testing.T) {
	h := start(t, func(c *Config) {
		now := time.Now()
		c.Now = func() time.Time { return now }
		c.ClientAddr = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("From")) }
		c.Limits.PrefixBurst = 2*blamed + 1
	})
	dial := func(from, text string) int {
		opts := showing(text)
		opts.HTTPHeader = http.Header{"From": {from}}
		status, _ := h.dialStatus(opts)
		return status
	}
	for i, want := range []int{http.StatusUnauthorized, http.StatusUnauthorized, 0, http.StatusTooManyRequests} {
		text := "rubbish"
		if want == 0 {
			text = sign(t, good(), secret)
		}
		if got := dial("203.0.113.7", text); got != want {
			t.Errorf("attempt %d: %d, want %d", i+1, got, want)
		}
	}
	if got := dial("198.51.100.7", sign(t, good(), secret)); got != 0 {
		t.Errorf("another network: %d", got)
	}
}

// BenchmarkReject is the CPU time of a handshake that is refused, from its request's head to its answer, without the socket's.
func BenchmarkReject(b *testing.B) {
	private, public, err := token.NewPair(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	key := func(file []byte) token.Key {
		k, err := token.ParseKey(file)
		if err != nil {
			b.Fatal(err)
		}
		return k
	}
	var hour atomic.Int64
	s, err := New(Config{
		Secret: secret, Keys: []token.Terms{{Name: "news", Key: key(public), Unbound: true}}, Log: quiet(), Origins: []string{"https://*.example.com"},
		ClientAddr: func(*http.Request) netip.Addr { // everybody from a network of his own
			n := hour.Add(1)
			return netip.AddrFrom4([4]byte{byte(1 + n>>16&63), byte(n >> 8), byte(n), 1})
		},
		Limits: Limits{Prefixes: 1 << 22},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	mint := func(k token.Key, name string, change func(*token.Claims)) string {
		c := good()
		c.Origin = "https://tv.example.com"
		change(&c)
		text, err := k.Mint(name, c)
		if err != nil {
			b.Fatal(err)
		}
		return text
	}
	same := func(*token.Claims) {}
	used := mint(token.Secret(secret), "", same)
	if _, refusal := s.admission.check(used, ""); refusal != nil {
		b.Fatal(refusal)
	}
	stranger, _, err := token.NewPair(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, origin, token string }{
		{"web origin", "https://thief.example.org", used},
		{"rubbish", "https://tv.example.com", strings.Repeat("A", announce.MaxToken)},
		{"expired", "https://tv.example.com", mint(token.Secret(secret), "", func(c *token.Claims) { c.Issued, c.Expires = c.Issued.Add(-time.Hour), c.Issued.Add(-time.Hour) })},
		{"forged HS256", "https://tv.example.com", mint(token.Secret([]byte(strings.Repeat("x", 32))), "", same)},
		{"forged EdDSA", "https://tv.example.com", mint(key(stranger), "news", same)},
		{"used", "https://tv.example.com", used},
		{"used EdDSA", "https://tv.example.com", mint(key(private), "news", same)},
	} {
		r := httptest.NewRequest("GET", "/tracker", nil)
		r.Header.Set("Origin", c.origin)
		r.Header.Set("Sec-WebSocket-Protocol", announce.Subprotocol+", "+c.token)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
