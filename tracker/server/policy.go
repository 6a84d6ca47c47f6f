package server

import (
	"fmt"
	"slices"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// Policy is what of a Config can change while the tracker runs; there is what the fields mean. Of the limits, those that
// bound a connection's time and memory hold as the tracker was started.
type Policy struct {
	Secret  []byte
	Keys    []token.Terms
	Sharing map[string]token.Sharing
	Caps    map[string]int64
	Origins []string
	Limits  Limits
}

// rules are a policy in force.
type rules struct {
	Policy
	ring *token.Ring
}

// rules checks a policy.
func (p Policy) rules() (*rules, error) {
	if err := token.CheckOrigins(p.Origins); err != nil {
		return nil, err
	}
	for c, sharing := range p.Sharing {
		if c != "*" && !token.IsChannel(c) || sharing != token.RelayOnly && sharing != token.NoSharing {
			return nil, fmt.Errorf("the sharing of %q is %q; write a channel id or *, and relay or off", c, sharing)
		}
	}
	for c, bps := range p.Caps {
		if c != "*" && !token.IsChannel(c) || bps < 0 || bps > announce.MaxCap {
			return nil, fmt.Errorf("the cap on uploads of %q is %d bits a second; write a channel id or *, and at most %d", c, bps, int64(announce.MaxCap))
		}
	}
	terms := p.Keys
	if p.Secret != nil {
		if len(p.Secret) < MinSecret {
			return nil, fmt.Errorf("the tracker's token secret has %d bytes, it needs at least %d", len(p.Secret), MinSecret)
		}
		terms = append(slices.Clone(terms), token.Terms{Key: token.Secret(p.Secret), Unbound: true})
	}
	if len(terms) == 0 {
		return nil, fmt.Errorf("the tracker has no key to check tokens with, so nobody could join")
	}
	ring, err := token.NewRing(terms...)
	if err != nil {
		return nil, err
	}
	p.Limits.setDefaults()
	return &rules{p, ring}, nil
}

// uploadBps is what each viewer of a channel may upload; 0 is as much as it likes. Of several bounds the lowest counts.
func (s *Server) uploadBps(channel string) (bps int64) {
	rules := s.rules.Load()
	caps := []int64{rules.Caps["*"], rules.Caps[channel], 0}
	if s.cfg.Facts != nil {
		caps[2] = s.cfg.Facts.UploadBps(channel)
	}
	for _, c := range caps {
		if c > 0 && (bps == 0 || c < bps) {
			bps = c
		}
	}
	return bps
}

// Change puts another policy in force for whoever comes from now on; one that cannot be leaves the former. Who is here
// stays, until the visit must be renewed: a token of a key that is gone does not do that. Caps hold for all within a second.
func (s *Server) Change(p Policy) error {
	r, err := p.rules()
	if err != nil {
		return err
	}
	s.rules.Store(r)
	s.addresses.change(r.Limits)
	return nil
}
