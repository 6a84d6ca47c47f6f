package server

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/labstack/echo/v4"
)

// TokenLife is how long a join token may be used. It is needed at the moment of joining only.
const TokenLife = 120 * time.Second

const (
	roleViewer = "viewer"
	roleSeeder = "seeder"
	maxOrigin  = 256
)

// Claims are what a join token says; the tracker checks them.
type Claims struct {
	jwt.RegisteredClaims        // sub: channel id, jti, iat, exp
	Origin               string `json:"org"`  // web origin of the page that asked, "" for programs
	Role                 string `json:"role"` // "viewer" or "seeder"
}

// token answers POST with {"token", "expiresMs"}.
func (s *Server) token(c echo.Context, ch *channel) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	now := time.UnixMilli(s.cfg.Now())
	client := clientAddr(c.Request())
	if !s.limit.allow(client, now) {
		c.Response().Header().Set("Retry-After", "1")
		return echo.NewHTTPError(http.StatusTooManyRequests, "too many tokens were asked for from your network; try again in a second")
	}
	role := c.QueryParam("role")
	switch {
	case role == "":
		role = roleViewer
	case role == roleSeeder && !mayseed(c.Request(), client, ch.StreamKey):
		return echo.NewHTTPError(http.StatusForbidden,
			"a seeder on another machine must show the channel's stream key: send it as Authorization: Bearer <stream key>")
	case role != roleViewer && role != roleSeeder:
		return echo.NewHTTPError(http.StatusBadRequest, `the role must be "viewer" or "seeder"`)
	}
	origin := c.Request().Header.Get("Origin")
	if len(origin) > maxOrigin {
		return echo.NewHTTPError(http.StatusBadRequest, fmt.Sprintf("the Origin header is longer than %d bytes", maxOrigin))
	}
	expires := now.Add(TokenLife)
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: ch.ID.String(), ID: tokenID(), IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires),
		},
		Origin: origin, Role: role,
	}).SignedString(s.cfg.TokenSecret)
	if err != nil {
		return fmt.Errorf("the token could not be signed: %w", err)
	}
	return c.JSON(http.StatusOK, map[string]any{"token": signed, "expiresMs": expires.Truncate(time.Second).UnixMilli()})
}

func tokenID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// mayseed decides who may carry a channel: programs on this machine, and whoever may publish it.
func mayseed(r *http.Request, client netip.Addr, streamKey string) bool {
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok && streamKey != "" && subtle.ConstantTimeCompare([]byte(shown), []byte(streamKey)) == 1 {
		return true
	}
	return client.IsLoopback() && r.Header.Get("Origin") == ""
}

// clientAddr returns the address that a request comes from. A proxy on this machine or its private network is believed
// about whom it speaks for.
func clientAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.IPv6Unspecified()
	}
	addr := peer.Addr().Unmap()
	if addr.IsLoopback() || addr.IsPrivate() {
		list := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
		if forwarded, err := netip.ParseAddr(strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])); err == nil {
			return forwarded.Unmap()
		}
	}
	return addr
}
