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

	"github.com/labstack/echo/v4"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// TokenLife is how long a join token may be used. It is needed at the moment of joining only. With what the tracker
// allows for clocks that differ, it is dead before token.MaxLife has passed.
const TokenLife = token.MaxLife - 2*token.ClockLeeway

const maxOrigin = 256

// token answers POST with {"token", "expiresMs"}. The query says who asks: role, and fp, the fingerprint of the certificate
// that the token shall be bound to.
func (s *Server) token(c echo.Context, ch *channel) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	now := time.UnixMilli(s.cfg.Now())
	client := clientAddr(c.Request())
	if !s.limit.allow(client, now) {
		c.Response().Header().Set("Retry-After", "1")
		return echo.NewHTTPError(http.StatusTooManyRequests, "too many tokens were asked for from your network; try again in a second")
	}
	role := announce.Role(c.QueryParam("role"))
	switch {
	case role == "":
		role = announce.Viewer
	case role == announce.Seeder && !mayseed(c.Request(), client, ch.StreamKey):
		return echo.NewHTTPError(http.StatusForbidden,
			"a seeder on another machine must show the channel's stream key: send it as Authorization: Bearer <stream key>")
	case role != announce.Viewer && role != announce.Seeder:
		return echo.NewHTTPError(http.StatusBadRequest, `the role must be "viewer" or "seeder"`)
	}
	origin := c.Request().Header.Get("Origin")
	if len(origin) > maxOrigin {
		return echo.NewHTTPError(http.StatusBadRequest, fmt.Sprintf("the Origin header is longer than %d bytes", maxOrigin))
	}
	fingerprint, err := token.ParseFingerprint(c.QueryParam("fp"))
	if err != nil && c.QueryParams().Has("fp") {
		return echo.NewHTTPError(http.StatusBadRequest, "fp: "+err.Error())
	}
	expires := now.Add(TokenLife)
	signed, err := token.Secret(s.cfg.TokenSecret).Mint("", token.Claims{
		Channel: ch.ID.String(), Origin: origin, Role: role, ID: tokenID(), Issued: now, Expires: expires, Fingerprint: fingerprint,
	})
	if err != nil {
		return err
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
