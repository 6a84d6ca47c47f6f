package server

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"slipstream/origin/cmaf"
	"slipstream/origin/hls"
	"slipstream/origin/store"
)

// multivariant answers 404 until every rendition can be played: players read this playlist only once.
func (s *Server) multivariant(c echo.Context, ch *channel) error {
	list := hls.Channel{ID: ch.ID, Tracker: ch.Tracker}
	if ch.Tracker != "" {
		list.Token = "/live/" + ch.Name + "/token"
	}
	return s.variants(c, ch, list)
}

func (s *Server) variants(c echo.Context, ch *channel, list hls.Channel) error {
	if err := s.fit(ch); err != nil {
		return err
	}
	list.Name, list.CDNs = ch.Name, ch.CDNs
	nowMs := s.cfg.Now()
	for _, st := range ch.Store.Status() {
		if st.Head < 0 || nowMs-st.CreatedMs > hls.OffAirMs {
			return offAir(ch, hls.ErrOffAir)
		}
		list.Renditions = append(list.Renditions, ch.describe(st))
	}
	text, err := hls.Multivariant(list)
	if err != nil {
		return offAir(ch, err)
	}
	c.Response().Header().Set(headerCMSD, cmsdPlaylist)
	return s.rendered(c, ch.front(list.Playlist, text), typePlaylist, cacheMultivariant)
}

func (ch *channel) describe(st store.Status) hls.Rendition {
	return hls.Rendition{
		Name: st.Rendition, Codecs: st.Media.Codecs, Width: st.Media.Width, Height: st.Media.Height, FrameRate: st.Media.FrameRate,
		PeakBps: st.Media.PeakBps, AverageBps: st.Media.AverageBps, FloorBps: ch.FloorBps[st.Rendition],
	}
}

func (s *Server) media(c echo.Context, ch *channel) error {
	rendition := c.Param("rendition")
	edge, ok := ch.Store.Edge(rendition)
	if !ok {
		return unknown("the channel %q has no rendition %.64q", ch.Name, rendition)
	}
	if err := s.fit(ch); err != nil {
		return err
	}
	var ask directives
	cache := cachePlaylist
	if edge.InParts { // otherwise the playlist does not say that one may ask
		var err error
		if ask, err = readDirectives(c.QueryParam); err != nil {
			return err
		}
	}
	if ask.waits {
		var err error
		if edge, err = ch.await(c.Request().Context(), rendition, ask.until); err != nil {
			return err
		}
		cache = cacheBlocked
	}
	return s.list(c, ch, listed{rendition, hls.MediaName, ask.skip}, edge, cache)
}

// list answers with a media playlist at an edge.
func (s *Server) list(c echo.Context, ch *channel, key listed, edge store.Edge, cache string) error {
	if !ch.Store.Made(key.rendition) {
		return notMade(ch, key.rendition)
	}
	list, err := ch.list(key, edge, s.cfg.Now())
	if err != nil {
		return offAir(ch, err)
	}
	c.Response().Header().Set(headerCMSD, cmsdPlaylist)
	return s.rendered(c, list, typePlaylist, cache)
}

// notMade sends players to another rendition.
func notMade(ch *channel, rendition string) error {
	return unknown("the rendition %.64q of the channel %q is not made at the moment", rendition, ch.Name)
}

// list returns a media playlist at an edge. However many viewers ask, it is made once: all others wait.
func (ch *channel) list(key listed, edge store.Edge, nowMs int64) (*rendered, error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if list := ch.lists[key]; list != nil && list.edge == edge.Changed && nowMs-edge.CreatedMs <= hls.OffAirMs {
		return list, nil
	}
	text, err := ch.render(key, edge, nowMs)
	if err != nil {
		return nil, err
	}
	list := newRendered(text)
	list.edge = edge.Changed
	ch.lists[key] = list
	return list, nil
}

func (ch *channel) render(key listed, edge store.Edge, nowMs int64) (string, error) {
	if key.name == hls.DVRName {
		window, ok := ch.Store.DVR(key.rendition)
		if !ok || nowMs-edge.CreatedMs > hls.OffAirMs {
			return "", hls.ErrOffAir
		}
		return window.Render(key.delta), nil
	}
	view, _ := ch.Store.View(key.rendition)
	view.HoldBack = ch.HoldBack
	switch key.name {
	case hls.TransportName:
		return hls.Transport(view, nowMs)
	case hls.TrackName(cmaf.Video):
		return hls.Track(view, cmaf.Video, nowMs)
	case hls.TrackName(cmaf.Audio):
		return hls.Track(view, cmaf.Audio, nowMs)
	}
	if key.delta {
		return hls.MediaDelta(view, nowMs)
	}
	return hls.Media(view, nowMs)
}

// front returns a multivariant playlist, ready to be sent. It is compressed anew only when it has changed.
func (ch *channel) front(name, text string) *rendered {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	key := listed{name: name} // no rendition has an empty name
	if list := ch.lists[key]; list != nil && string(list.text) == text {
		return list
	}
	ch.lists[key] = newRendered(text)
	return ch.lists[key]
}

func (s *Server) rendered(c echo.Context, list *rendered, mediaType, cache string) error {
	c.Response().Header().Set("Vary", "Accept-Encoding")
	if acceptsGzip(c.Request().Header.Get("Accept-Encoding")) {
		c.Response().Header().Set("Content-Encoding", "gzip")
		c.Response().Before(func() { // http.ServeContent does not say how long a compressed answer is, which then would be sent in chunks
			if c.Response().Status == http.StatusOK {
				c.Response().Header().Set("Content-Length", strconv.Itoa(len(list.zipped)))
			}
		})
		return s.send(c, list.zipped, mediaType, cache, list.tag+"-gzip")
	}
	return s.send(c, list.text, mediaType, cache, list.tag)
}
