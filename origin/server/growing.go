package server

import (
	"bytes"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"slipstream/origin/cmaf"
	"slipstream/origin/store"
	"slipstream/origin/timeline"
)

// growing sends a track of a segment that is being made, each part as it comes. How long it will be nobody knows, so it goes out in
// chunks; a segment that is given up breaks the answer off, so that no cache takes it for whole.
func (s *Server) growing(c echo.Context, ch *channel, number int64, f store.Filling, kind cmaf.Kind, mediaType string) error {
	first, err := cmaf.TrackPart(f.Init, f.Parts[0], kind)
	if err != nil {
		return unknown("%v", err)
	}
	h := c.Response().Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", cacheForEver)
	h.Set(headerCMSD, cmsdGrowing(kind, (number+1)*timeline.SegmentMs-f.StartMs))
	out := http.NewResponseController(c.Response())
	_ = out.SetWriteDeadline(time.Now().Add(sendTimeout)) // not supported by every writer
	c.Response().WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	send := func(pieces [][]byte, err error) bool {
		for _, piece := range pieces {
			if err == nil {
				_, err = c.Response().Write(piece)
			}
		}
		return err == nil && out.Flush() == nil
	}
	if !send(first, nil) {
		return nil // the client is gone
	}
	rendition := c.Param("rendition")
	for sent := 1; ; {
		for ; sent < len(f.Parts); sent++ {
			if !send(cmaf.TrackPart(f.Init, f.Parts[sent], kind)) {
				panic(http.ErrAbortHandler)
			}
		}
		if _, err := ch.await(c.Request().Context(), rendition, place{number, sent}); err != nil {
			panic(http.ErrAbortHandler)
		}
		more, ok := ch.Store.Filling(rendition, number)
		if !ok {
			return s.grown(ch, rendition, number, f, kind, send)
		}
		f = more
	}
}

// grown sends what a segment has beside the parts that it grew by: perhaps another part, and sound at its end.
func (s *Server) grown(ch *channel, rendition string, number int64, f store.Filling, kind cmaf.Kind, send func([][]byte, error) bool) error {
	whole, ok := ch.Store.Muxed(rendition, number)
	rest := whole.Data
	for _, part := range f.Parts {
		if ok {
			rest, ok = bytes.CutPrefix(rest, part)
		}
	}
	if !ok || !send(cmaf.TrackPart(whole.Init, rest, kind)) {
		panic(http.ErrAbortHandler)
	}
	return nil
}
