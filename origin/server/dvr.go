package server

import (
	"github.com/labstack/echo/v4"

	"slipstream/origin/hls"
)

// dvrVariants is the multivariant playlist of the window on disk. Viewers of it do not meet: it has no tracker.
func (s *Server) dvrVariants(c echo.Context, ch *channel) error {
	if !ch.Store.HasDVR() {
		return noDVR(ch)
	}
	return s.variants(c, ch, hls.Channel{ID: ch.ID, Playlist: hls.DVRName})
}

func noDVR(ch *channel) error { return unknown("channel %q has no DVR window", ch.Name) }

// dvr serves <rendition>/dvr.m3u8, which is long and hardly changes: players that know it ask for what is new (_HLS_skip).
func (s *Server) dvr(c echo.Context, ch *channel) error {
	rendition := c.Param("rendition")
	edge, ok := ch.Store.Edge(rendition)
	switch {
	case !ok:
		return unknown("the channel %q has no rendition %.64q", ch.Name, rendition)
	case !ch.Store.HasDVR():
		return noDVR(ch)
	}
	if err := s.fit(ch); err != nil {
		return err
	}
	skip := c.QueryParam("_HLS_skip")
	return s.list(c, ch, listed{rendition, hls.DVRName, skip == "YES" || skip == "v2"}, edge, cachePlaylist)
}

// chapter serves dvr-<number>.m3u8.
func (s *Server) chapter(c echo.Context, ch *channel) error {
	first, err := numberOf(c.Param("object"), hls.ChapterURI)
	if err != nil {
		return err
	}
	text, ended, ok := ch.Store.Chapter(c.Param("rendition"), first)
	if !ok {
		return unknown("no chapter of %.64q begins with segment %d", c.Param("rendition"), first)
	}
	cache := cachePlaylist
	if ended {
		cache = cacheForEver
	}
	c.Response().Header().Set(headerCMSD, cmsdPlaylist)
	return s.rendered(c, newRendered(string(text)), typePlaylist, cache)
}

// kept serves a segment that has left the live window from the disk.
func (s *Server) kept(c echo.Context, ch *channel, number int64) error {
	rendition := c.Param("rendition")
	found, ok := ch.Store.Kept(rendition, number)
	if !ok {
		return unknown("segment %d of %.64q is not in the time-shift window", number, rendition)
	}
	defer found.File.Close()
	sayWhat(c, ch, number, -1)
	return s.sendFrom(c, found.File, typeMedia, cacheForEver, found.Root.String())
}
