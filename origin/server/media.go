package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"slipstream/origin/hls"
	"slipstream/origin/store"
)

const (
	typePlaylist = "application/vnd.apple.mpegurl" // RFC 8216 section 10
	typeMedia    = "video/mp4"
	typeLeaves   = "application/octet-stream"

	cacheMultivariant = "public, max-age=2"
	cachePlaylist     = "public, max-age=1"
	cacheForEver      = "public, max-age=31536000, immutable"

	// sendTimeout ends answers to clients that hardly read. The largest object at a phone's slowest rate fits.
	sendTimeout = 2 * time.Minute
)

// multivariant answers 404 until every rendition can be played: players read this playlist only once.
func (s *Server) multivariant(c echo.Context, ch *channel) error {
	list := hls.Channel{ID: ch.ID, Tracker: ch.Tracker}
	if ch.Tracker != "" {
		list.Token = "/live/" + ch.Name + "/token"
	}
	nowMs := s.cfg.Now()
	for _, st := range ch.Store.Status() {
		if st.Head < 0 || nowMs-st.CreatedMs > hls.OffAirMs {
			return offAir(ch, hls.ErrOffAir)
		}
		list.Renditions = append(list.Renditions, hls.Rendition{
			Name: st.Rendition, Codecs: st.Media.Codecs, Width: st.Media.Width, Height: st.Media.Height, FrameRate: st.Media.FrameRate,
			PeakBps: st.Media.PeakBps, AverageBps: st.Media.AverageBps, FloorBps: ch.FloorBps[st.Rendition],
		})
	}
	text, err := hls.Multivariant(list)
	if err != nil {
		return offAir(ch, err)
	}
	return s.playlist(c, text, cacheMultivariant)
}

func (s *Server) media(c echo.Context, ch *channel) error {
	rendition := c.Param("rendition")
	head, createdMs, ok := ch.Store.Head(rendition)
	if !ok {
		if _, exists := ch.Store.View(rendition); !exists {
			return unknown("the channel %q has no rendition %.64q", ch.Name, rendition)
		}
		return offAir(ch, hls.ErrOffAir)
	}
	nowMs := s.cfg.Now()
	ch.mu.Lock()
	list := ch.lists[rendition]
	ch.mu.Unlock()
	if list.text == "" || list.head != head || nowMs-createdMs > hls.OffAirMs {
		view, _ := ch.Store.View(rendition)
		text, err := hls.Media(view, nowMs)
		if err != nil {
			return offAir(ch, err)
		}
		list = rendered{view.Entries[len(view.Entries)-1].Number, text}
		ch.mu.Lock()
		if ch.lists[rendition].head <= list.head {
			ch.lists[rendition] = list
		}
		ch.mu.Unlock()
	}
	return s.playlist(c, list.text, cachePlaylist)
}

func (s *Server) playlist(c echo.Context, text, cache string) error {
	sum := sha256.Sum256([]byte(text))
	return s.send(c, []byte(text), typePlaylist, cache, base64.RawURLEncoding.EncodeToString(sum[:16]))
}

// object serves <number>.m4s, <number>.m4s.leaves and init-<root>.mp4.
func (s *Server) object(c echo.Context) error {
	name := c.Param("object")
	switch {
	case strings.HasPrefix(name, "init-"):
		return s.counted(kindInit, s.init)(c)
	case strings.HasSuffix(name, ".leaves"):
		return s.counted(kindLeaves, s.segment)(c)
	default:
		return s.counted(kindSegment, s.segment)(c)
	}
}

func (s *Server) init(c echo.Context, ch *channel) error {
	object, ok := ch.Store.Init(c.Param("rendition"), c.Param("object"))
	if !ok {
		return unknown("there is no init section %.64q in this channel any more", c.Param("object"))
	}
	return s.send(c, object.Data, typeMedia, cacheForEver, object.Root.String())
}

func (s *Server) segment(c echo.Context, ch *channel) error {
	name := c.Param("object")
	uri, leaves := strings.CutSuffix(name, ".leaves")
	number, err := strconv.ParseInt(strings.TrimSuffix(uri, path.Ext(uri)), 10, 64)
	if err != nil || hls.SegmentURI(number) != uri { // one spelling only, so that caches hold one copy
		return unknown("%.64q is no segment of this channel", name)
	}
	var object store.Object
	var ok bool
	if leaves {
		object, ok = ch.Store.Leaves(c.Param("rendition"), number)
	} else {
		object, ok = ch.Store.Segment(c.Param("rendition"), number)
	}
	switch {
	case !ok:
		return unknown("segment %d of %.64q is not in the time-shift window", number, c.Param("rendition"))
	case leaves:
		return s.send(c, object.Data, typeLeaves, cacheForEver, object.Root.String()+".leaves")
	default:
		return s.send(c, object.Data, typeMedia, cacheForEver, object.Root.String())
	}
}

// send lets net/http do ranges, conditions and HEAD (RFC 9110 sections 13 and 14).
func (s *Server) send(c echo.Context, data []byte, mediaType, cache, tag string) error {
	h := c.Response().Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", cache)
	h.Set("ETag", `"`+tag+`"`)
	// Not supported by every writer (tests have simple ones), and not worth failing for.
	_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(sendTimeout))
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(data))
	return nil
}

func unknown(format string, args ...any) error {
	return echo.NewHTTPError(http.StatusNotFound, fmt.Sprintf(format, args...))
}

func offAir(ch *channel, err error) error {
	if !errors.Is(err, hls.ErrOffAir) {
		return err
	}
	return unknown("%v (channel %q)", err, ch.Name)
}
