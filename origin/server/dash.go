package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"slipstream/origin/cmaf"
	"slipstream/origin/dash"
	"slipstream/origin/hls"
	"slipstream/origin/store"
	"slipstream/origin/timeline"
)

const (
	typeMPD   = "application/dash+xml" // ISO/IEC 23009-1, annex C
	typeAudio = "audio/mp4"
)

// presentation is a channel's MPD as it was when its renditions had come to these numbers, and had begun the next or not, which is all that
// changes it.
type presentation struct {
	numbers []int64
	text    *rendered
}

func (s *Server) mpd(c echo.Context, ch *channel) error {
	if err := s.fit(ch); err != nil {
		return err
	}
	text, err := ch.presentation(s.cfg.Now())
	if err != nil {
		return offAir(ch, err)
	}
	c.Response().Header().Set(headerCMSD, cmsdMPD)
	return s.rendered(c, text, typeMPD, cachePlaylist)
}

// presentation returns the MPD. However many players ask, it is made once for each segment.
func (ch *channel) presentation(nowMs int64) (*rendered, error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var numbers []int64
	for _, st := range ch.Store.Status() {
		if st.Head < 0 || nowMs-st.CreatedMs > hls.OffAirMs {
			return nil, hls.ErrOffAir
		}
		edge, _ := ch.Store.Edge(st.Rendition)
		numbers = append(numbers, st.Head, edge.Begun)
	}
	if ch.mpd.text != nil && slices.Equal(ch.mpd.numbers, numbers) {
		return ch.mpd.text, nil
	}
	text, err := dash.MPD(ch.dash(), nowMs)
	if err != nil {
		return nil, err
	}
	ch.mpd = presentation{numbers, newRendered(text)}
	return ch.mpd.text, nil
}

func (ch *channel) dash() dash.Channel {
	out := dash.Channel{WindowMs: ch.Store.WindowMs()}
	add := func(st store.Status, past bool) {
		view, _ := ch.Store.View(st.Rendition)
		out.Renditions = append(out.Renditions, dash.Rendition{Rendition: ch.describe(st), AudioBps: ch.AudioBps[st.Rendition], View: view, Past: past})
	}
	for _, st := range ch.Store.Status() {
		add(st, false)
	}
	for _, st := range ch.Store.Past() {
		add(st, true)
	}
	return out
}

// time is the clock that players of the MPD go by. A cache may make it a second slow, which costs a viewer a second; all
// viewers asking the origin again and again would cost more.
func (s *Server) time(c echo.Context, _ *channel) error {
	c.Response().Header().Set("Cache-Control", cachePlaylist)
	return c.String(http.StatusOK, time.UnixMilli(s.cfg.Now()).UTC().Format("2006-01-02T15:04:05.000Z"))
}

// track serves <rendition>/video/<start>.m4s and init-<root>.mp4, and the same in audio: one track out of what HLS players get.
func (s *Server) track(c echo.Context) error {
	if strings.HasPrefix(c.Param("object"), "init-") {
		return s.counted(kindInit, s.trackInit)(c)
	}
	return s.counted(kindTrack, s.trackSegment)(c)
}

func (s *Server) trackInit(c echo.Context, ch *channel) error {
	kind, mediaType, err := kindOf(c)
	if err != nil {
		return err
	}
	object, ok := ch.Store.Init(c.Param("rendition"), c.Param("object"))
	if !ok {
		return unknown("there is no init section %.64q in this channel any more", c.Param("object"))
	}
	data, err := cmaf.TrackInit(object.Data, kind)
	if err != nil {
		return unknown("%v", err)
	}
	c.Response().Header().Set(headerCMSD, cmsdDASHInit)
	return s.send(c, data, mediaType, cacheForEver, object.Root.String()+"."+string(kind))
}

func (s *Server) trackSegment(c echo.Context, ch *channel) error {
	kind, mediaType, err := kindOf(c)
	if err != nil {
		return err
	}
	name, rendition := c.Param("object"), c.Param("rendition")
	startMs, err := strconv.ParseInt(strings.TrimSuffix(name, ".m4s"), 10, 64)
	if err != nil || startMs < 0 || dash.SegmentURI(startMs) != name {
		return unknown("%.64q is no segment of this channel", name)
	}
	if f, ok := ch.Store.Filling(rendition, startMs/timeline.SegmentMs); ok && f.StartMs == startMs {
		return s.growing(c, ch, startMs/timeline.SegmentMs, f, kind, mediaType)
	}
	segment, ok := ch.Store.Muxed(rendition, startMs/timeline.SegmentMs)
	if !ok || segment.StartMs != startMs {
		return unknown("no segment of %.64q in the time-shift window starts at %d ms", rendition, startMs)
	}
	data, err := cmaf.TrackSegment(segment.Init, segment.Data, kind)
	if err != nil {
		return unknown("%v", err)
	}
	whole := &pieces{slices: data}
	c.Response().Header().Set(headerCMSD, cmsdTrack(kind, segment.DurationMs, whole.size()))
	return s.sendFrom(c, whole, mediaType, cacheForEver, segment.Root.String()+"."+string(kind))
}

// kindOf reads which track a request is about.
func kindOf(c echo.Context) (cmaf.Kind, string, error) {
	switch kind := cmaf.Kind(c.Param("track")); kind {
	case cmaf.Video:
		return kind, typeMedia, nil
	case cmaf.Audio:
		return kind, typeAudio, nil
	default:
		return "", "", unknown("%.64q is no track: there are video and audio", string(kind))
	}
}
