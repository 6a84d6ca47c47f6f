package server

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"slipstream/origin/hls"
)

// steering tells players in which order they are to prefer the CDNs. One that comes for the first time is given a number, and keeps it.
func (s *Server) steering(c echo.Context, ch *channel) error {
	if len(ch.CDNs) == 0 {
		return unknown("the channel %q has no CDNs to choose from", ch.Name)
	}
	viewer, err := strconv.ParseUint(c.QueryParam("viewer"), 10, 32)
	if err != nil {
		viewer = uint64(rand.Uint32())
	}
	cache := fmt.Sprintf("public, max-age=%d", hls.SteeringTTL/2)
	if hls.Personal(ch.CDNs) {
		cache = "no-store"
	}
	c.Response().Header().Set("Cache-Control", cache)
	return c.JSON(http.StatusOK, hls.Steering(ch.CDNs, uint32(viewer)))
}
