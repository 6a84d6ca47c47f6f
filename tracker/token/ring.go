package token

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"slipstream/tracker/announce"
)

// Terms are a key that tokens may be signed with, and what they may be for.
type Terms struct {
	Name     string // the kid of its tokens; "" is the origin's own
	Key      Key
	Channels []string // channel ids; empty: all
	Origins  []string // patterns of web origins, see MatchOrigin; empty: all
	Viewers  int      // at a time; 0: any number
	Unbound  bool     // tokens need not name a certificate
	Sharing  Sharing
}

// Ring is the keys of a tracker.
type Ring struct {
	terms   map[string]*Terms
	headers map[string]*Terms // by the header of the tokens that Sign makes, which need no reading
}

// NewRing checks the terms, whose names must differ.
func NewRing(terms ...Terms) (*Ring, error) {
	r := &Ring{map[string]*Terms{}, map[string]*Terms{}}
	for _, t := range terms {
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("the token key %q: %w", t.Name, err)
		}
		if r.terms[t.Name] != nil {
			return nil, fmt.Errorf("two token keys have the name %q", t.Name)
		}
		r.terms[t.Name] = &t
		r.headers[t.Key.header(t.Name)] = &t
	}
	return r, nil
}

func (t Terms) check() error {
	switch {
	case len(t.Name) > MaxID:
		return fmt.Errorf("its name is longer than %d characters", MaxID)
	case t.Key.verify == nil:
		return fmt.Errorf("it has no key")
	case t.Viewers < 0:
		return fmt.Errorf("it allows less than no viewer")
	case t.Sharing != Direct && t.Sharing != RelayOnly && t.Sharing != NoSharing:
		return fmt.Errorf("its sharing is %.20q; it may be relay or off", t.Sharing)
	}
	for _, c := range t.Channels {
		if !IsChannel(c) {
			return fmt.Errorf("%.50q is not a channel id: those have 43 characters of A–Z a–z 0–9 - _", c)
		}
	}
	return CheckOrigins(t.Origins)
}

// Check reads a token that a client at a web origin shows, "" if it is no page. What is cheap to say is said first: a
// secret's signature is, so who does not know the secret learns no more than that; one of Ed25519 costs more than all else
// together, and comes last. The claims' Sharing is the stricter of the token's and the terms'.
func (r *Ring) Check(text, webOrigin string, now time.Time) (Claims, *Terms, *announce.Error) {
	if len(text) > announce.MaxToken {
		return refuse(announce.CodeTokenInvalid, "This token has more than %d characters.", announce.MaxToken)
	}
	head, rest, _ := strings.Cut(text, ".")
	body, tail, _ := strings.Cut(rest, ".")
	signature, err := encoding.DecodeString(tail)
	terms, readable := r.termsOf(head)
	switch {
	case err != nil || len(signature) == 0 || !readable:
		return refuse(announce.CodeTokenInvalid, notAToken)
	case terms == nil:
		return refuse(announce.CodeTokenInvalid, "This token was signed with a key that this tracker does not have.")
	}
	signed := func() bool {
		return terms.Key.method.Verify(text[:len(head)+1+len(body)], signature, terms.Key.verify) == nil
	}
	if terms.Key.isCheap() && !signed() {
		return refuse(announce.CodeTokenInvalid, notSigned)
	}
	payload, err := encoding.DecodeString(body)
	var j claims
	if err != nil || json.Unmarshal(payload, &j) != nil {
		return refuse(announce.CodeTokenInvalid, notAToken)
	}
	c, problem := j.read()
	if problem != "" {
		return refuse(announce.CodeTokenInvalid, "This token %s.", problem)
	}
	if refusal := terms.allow(c, j.NotBefore, webOrigin, now); refusal != nil {
		return Claims{}, nil, refusal
	}
	if !terms.Key.isCheap() && !signed() {
		return refuse(announce.CodeTokenInvalid, notSigned)
	}
	c.Sharing = c.Sharing.Stricter(terms.Sharing)
	return c, terms, nil
}

const (
	notAToken = "This is not a token of this system."
	notSigned = "This token was not signed with this tracker's key; whoever mints tokens and the tracker need the same."
)

var encoding = base64.RawURLEncoding.Strict()

// termsOf finds the key that a header names; nil if there is none, or not of this algorithm.
func (r *Ring) termsOf(head string) (terms *Terms, readable bool) {
	if terms = r.headers[head]; terms != nil {
		return terms, true
	}
	b, err := encoding.DecodeString(head)
	var h header
	if err != nil || json.Unmarshal(b, &h) != nil || h.Critical != nil {
		return nil, false
	}
	if terms = r.terms[h.Name]; terms != nil && terms.Key.method.Alg() == h.Algorithm {
		return terms, true
	}
	return nil, true
}

// allow tells what is wrong with the claims, now and for a client at a web origin.
func (t *Terms) allow(c Claims, notBefore *seconds, webOrigin string, now time.Time) *announce.Error {
	says := func(code, format string, args ...any) *announce.Error {
		return &announce.Error{Code: code, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case !now.Before(c.Dead()):
		return says(announce.CodeTokenExpired, "This token expired at %s; fetch a fresh one and join again.", c.Expires.UTC().Format("15:04:05 UTC"))
	case c.Issued.After(now.Add(ClockLeeway)):
		return says(announce.CodeTokenInvalid, "This token comes from the future; the clocks of tracker and whoever minted it differ.")
	case notBefore != nil && (!notBefore.sane() || notBefore.time().After(now.Add(ClockLeeway))):
		return says(announce.CodeTokenInvalid, "This token is not valid yet.")
	case webOrigin != "" && c.Origin != webOrigin:
		return says(announce.CodeTokenOrigin, "This token was given to a page of another web origin; fetch one from this page.")
	case len(t.Origins) > 0 && c.Origin != "" && !MatchOrigin(t.Origins, c.Origin):
		return says(announce.CodeTokenOrigin, "This token's key is not for pages of this web origin.")
	case len(t.Channels) > 0 && !slices.Contains(t.Channels, c.Channel):
		return says(announce.CodeTokenChannel, "This token's key is not for the channel that the token names.")
	case c.Fingerprint == Fingerprint{} && !t.Unbound:
		return says(announce.CodeTokenInvalid, "This token is not bound to a certificate (cnf), which its key demands.")
	}
	return nil
}

func refuse(code, format string, args ...any) (Claims, *Terms, *announce.Error) {
	return Claims{}, nil, &announce.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CheckOrigins tells which pattern cannot be one.
func CheckOrigins(patterns []string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("%.100q is not a pattern for web origins: write for instance https://*.example.com", p)
		}
	}
	return nil
}

// MatchOrigin tells whether a web origin fits one of the patterns, which are path.Match's: "https://*.example.com", or
// "example.com" for any scheme.
func MatchOrigin(patterns []string, origin string) bool {
	u, err := url.Parse(strings.ToLower(origin))
	if err != nil || u.Host == "" {
		return false
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		target := u.Host
		if strings.Contains(pattern, "://") {
			target = u.Scheme + "://" + u.Host
		}
		ok, _ := path.Match(strings.ToLower(pattern), target) // checked before
		return ok
	})
}
