package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// admission decides who may come in, for how long, and whom its viewers count for.
type admission struct {
	srv       *Server
	used      *UsedTokens
	strangers atomic.Int64 // connections that have shown no token yet

	mu   sync.Mutex
	seat map[string]int // viewers of each key
}

func newAdmission(s *Server) *admission {
	return &admission{srv: s, used: NewUsedTokens(), seat: map[string]int{}}
}

// pass is what a good token entitles a client to. There is one for each client, so what many have alike they share.
type pass struct {
	grant       unique.Handle[grant]
	fingerprint token.Fingerprint // that its offers and answers must show; zero is any
	dead        int64             // when the token is, in Unix seconds; 0: none was shown
	name        TokenName         // of the token
}

func (p pass) token() Token { return Token{p.name, time.Unix(p.dead, 0)} }

// grant is the part of a pass that is many clients'.
type grant struct {
	terms           *token.Terms
	channel, origin string
	role            announce.Role
	sharing         token.Sharing
}

// offered finds the token among the subprotocols that a client offers, "" if there is none.
func offered(protocols []string) string {
	var name, text string
	switch len(protocols) {
	case 1:
		name, text, _ = strings.Cut(protocols[0], ",")
	case 2:
		name, text = protocols[0], protocols[1]
	}
	if strings.TrimSpace(name) != announce.Subprotocol {
		return ""
	}
	return strings.TrimSpace(text)
}

// knock looks at the token that a client shows before its WebSocket opens. Without one it may still come in, as long
// as there are not too many of its kind.
func (v *visit) knock(protocols []string, webOrigin string) (refusal *announce.Error) {
	a := v.srv.admission
	if text := offered(protocols); text != "" {
		v.pass, refusal = a.check(text, webOrigin)
		return refusal
	}
	if a.strangers.Add(1) > int64(a.srv.rules.Load().Limits.Strangers) {
		a.strangers.Add(-1)
		return says(announce.CodeTrackerFull, "Too many connections wait to show a token; offer it as a subprotocol.")
	}
	v.stranger = true
	return nil
}

// check reads a token and uses it up.
func (a *admission) check(text, webOrigin string) (pass, *announce.Error) {
	now, rules := a.srv.cfg.Now(), a.srv.rules.Load()
	c, terms, refusal := rules.ring.Check(text, webOrigin, now)
	switch {
	case refusal != nil:
		return pass{}, refusal
	case len(a.srv.cfg.Channels) > 0 && !slices.Contains(a.srv.cfg.Channels, c.Channel):
		return pass{}, says(announce.CodeTokenChannel, "This tracker does not serve the channel that the token is for.")
	}
	name := nameToken(terms.Name, c.ID)
	if !a.used.First(name, c.Dead(), now) {
		return pass{}, TokenUsed()
	}
	c.Sharing = c.Sharing.Stricter(rules.Sharing["*"]).Stricter(rules.Sharing[c.Channel])
	if a.srv.cfg.Facts != nil {
		c.Sharing = c.Sharing.Stricter(a.srv.cfg.Facts.Sharing(c.Channel))
	}
	return pass{unique.Make(grant{terms, c.Channel, c.Origin, c.Role, c.Sharing}), c.Fingerprint, c.Dead().Unix(), name}, nil
}

// TokenUsed refuses a token that was used before, here or on another node.
func TokenUsed() *announce.Error {
	return says(announce.CodeTokenUsed, "This token was used before; fetch a fresh one for each join.")
}

// admit checks a join. Its token may have been looked at before.
func (a *admission) admit(join announce.Join, webOrigin string, shown pass) (pass, *announce.Error) {
	if join.Version != announce.Version {
		return pass{}, says(announce.CodeVersion, "This tracker speaks version %d of the protocol, not %d.", announce.Version, join.Version)
	}
	p := shown
	if p.dead == 0 || join.Token != "" {
		var refusal *announce.Error
		if p, refusal = a.check(join.Token, webOrigin); refusal != nil {
			return pass{}, refusal
		}
	}
	switch g := p.grant.Value(); {
	case join.Role == announce.Seeder && g.role != announce.Seeder:
		return pass{}, says(announce.CodeTokenRole, "This token is for viewers; a seeder needs one of its own.")
	case g.sharing == token.NoSharing:
		return pass{}, says(announce.CodeSharingOff, "The viewers of this channel do not share.")
	case g.sharing == token.RelayOnly && a.srv.cfg.ICE == nil:
		return pass{}, says(announce.CodeSharingOff, "The viewers of this channel meet through a relay only, and this tracker has none.")
	case !a.sitDown(g.terms):
		return pass{}, says(announce.CodeQuotaFull, "There are as many viewers as agreed; playback goes on without neighbours.")
	}
	return p, nil
}

// renew checks the token that a visit shall go on with.
func (a *admission) renew(p pass, text, webOrigin string) (pass, *announce.Error) {
	fresh, refusal := a.check(text, webOrigin)
	if refusal != nil {
		return pass{}, refusal
	}
	was, is := p.grant.Value(), fresh.grant.Value()
	if is.terms.Name != was.terms.Name || is.channel != was.channel || is.role != was.role || is.origin != was.origin || fresh.fingerprint != p.fingerprint {
		return pass{}, says(announce.CodeTokenInvalid, "A visit is renewed with a token of the same channel, role, web origin and certificate.")
	}
	return fresh, nil
}

// lease is when the visit ends if it is not renewed. Who has no certificate of his own to show must come back before the
// token itself is dead.
func (a *admission) lease(p pass) time.Time {
	if p.fingerprint == (token.Fingerprint{}) {
		return time.Unix(p.dead, 0)
	}
	return a.srv.cfg.Now().Add(a.srv.rules.Load().Limits.Lease)
}

// blamed is how many connections a bad signature counts for in its network: to check one of Ed25519 costs as much.
const blamed = 10

// blame counts a bad token against the network that it came from.
func (a *addresses) blame(addr netip.Addr, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.prefixes.Get(prefixKey(prefixOf(addr))); p != nil {
		p.bucket.owe(now, blamed-1, a.limits.PrefixRate)
	}
}

// sitDown counts a viewer of a key; false if it has its number.
func (a *admission) sitDown(t *token.Terms) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.Viewers > 0 && a.seat[t.Name] >= t.Viewers {
		return false
	}
	a.seat[t.Name]++
	a.srv.metrics.customers.WithLabelValues(t.Name).Set(float64(a.seat[t.Name]))
	return true
}

func (a *admission) standUp(t *token.Terms) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seat[t.Name]--
	a.srv.metrics.customers.WithLabelValues(t.Name).Set(float64(a.seat[t.Name]))
}

func says(code, format string, args ...any) *announce.Error {
	return &announce.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// originAllowed checks the web origin by configuration; that it is the token's is checked later.
func (s *Server) originAllowed(r *http.Request) bool {
	origin, allowed := r.Header.Get("Origin"), s.rules.Load().Origins
	if origin == "" || len(allowed) == 0 {
		return true
	}
	_, host, _ := strings.Cut(origin, "://")
	return host != "" && strings.EqualFold(host, r.Host) || token.MatchOrigin(allowed, origin)
}
