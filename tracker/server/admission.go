package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"slipstream/tracker/announce"
)

// clockLeeway is how far the clocks of origin and tracker may be apart.
const clockLeeway = 10 * time.Second

// claims is what the origin wrote into a token.
type claims struct {
	jwt.RegisteredClaims               // Subject is the channel id
	Origin               string        `json:"org"` // web origin of the page, "" for programs
	Role                 announce.Role `json:"role"`
}

// isChannelID tells whether s could be a SHA-256 in base64url, which channel ids are.
var isChannelID = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString

// admit checks a join against its token. The answer is the room, or what to tell the client.
func (s *Server) admit(join announce.Join, webOrigin string) (room string, refusal *announce.Error) {
	if join.Version != announce.Version {
		return "", says(announce.CodeVersion, "This tracker speaks version %d of the protocol, not %d.", announce.Version, join.Version)
	}
	c, refusal := s.readToken(join.Token)
	if refusal != nil {
		return "", refusal
	}
	switch {
	case webOrigin != "" && c.Origin != webOrigin:
		return "", says(announce.CodeTokenOrigin, "This token was given to a page of another web origin; fetch one from this page.")
	case len(s.cfg.Channels) > 0 && !slices.Contains(s.cfg.Channels, c.Subject):
		return "", says(announce.CodeTokenChannel, "This tracker does not serve the channel that the token is for.")
	case join.Role == announce.Seeder && c.Role != announce.Seeder:
		return "", says(announce.CodeTokenRole, "This token is for viewers; a seeder needs one of its own.")
	}
	return c.Subject, nil
}

func (s *Server) readToken(token string) (*claims, *announce.Error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return s.cfg.Secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(clockLeeway), jwt.WithTimeFunc(s.cfg.Now))
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, says(announce.CodeTokenInvalid, "This token was not signed with this tracker's secret; origin and tracker need the same token.key.")
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, says(announce.CodeTokenExpired, "This token expired at %s; fetch a fresh one and join again.", c.ExpiresAt.UTC().Format("15:04:05 UTC"))
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued), errors.Is(err, jwt.ErrTokenNotValidYet):
		return nil, says(announce.CodeTokenInvalid, "This token comes from the future; the clocks of origin and tracker differ.")
	case err != nil:
		return nil, says(announce.CodeTokenInvalid, "This is not a token of this system.")
	case !isChannelID(c.Subject):
		return nil, says(announce.CodeTokenInvalid, "This token names no channel.")
	case c.Role != announce.Viewer && c.Role != announce.Seeder:
		return nil, says(announce.CodeTokenInvalid, "This token names no role.")
	}
	return &c, nil
}

func says(code, format string, args ...any) *announce.Error {
	return &announce.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// originAllowed checks the web origin by configuration; that it is the token's is checked later.
func (s *Server) originAllowed(r *http.Request) bool {
	origin := strings.ToLower(r.Header.Get("Origin"))
	if origin == "" || len(s.cfg.Origins) == 0 {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	return slices.ContainsFunc(s.cfg.Origins, func(pattern string) bool {
		target := u.Host
		if strings.Contains(pattern, "://") {
			target = u.Scheme + "://" + u.Host
		}
		ok, _ := path.Match(strings.ToLower(pattern), target) // New checked the pattern
		return ok
	})
}
