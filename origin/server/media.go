package server

import (
	"errors"
	"fmt"
	"io"
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
	cacheBlocked      = "public, max-age=12" // the address names what is in it (RFC 8216bis, appendix B.1)
	cacheForEver      = "public, max-age=31536000, immutable"

	// sendTimeout ends answers to clients that hardly read. The largest object at a phone's slowest rate fits.
	sendTimeout = 2 * time.Minute
)

// object serves <number>.m4s, <number>.<part>.m4s, either with .leaves appended, init-<root>.mp4, <number>.ts and dvr-<number>.m3u8.
func (s *Server) object(c echo.Context) error {
	name := c.Param("object")
	switch {
	case strings.HasSuffix(name, ".ts"):
		return s.counted(kindTransport, s.transport)(c)
	case strings.HasPrefix(name, "dvr-"):
		return s.counted(kindChapter, s.chapter)(c)
	case strings.HasPrefix(name, "init-"):
		return s.counted(kindInit, s.init)(c)
	case strings.Count(strings.TrimSuffix(name, ".leaves"), ".") > 1:
		return s.counted(kindPart, s.part)(c)
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
	c.Response().Header().Set(headerCMSD, cmsdInit)
	return s.send(c, object.Data, typeMedia, cacheForEver, object.Root.String())
}

func (s *Server) segment(c echo.Context, ch *channel) error {
	uri, leaves := strings.CutSuffix(c.Param("object"), ".leaves")
	number, err := numberOf(uri, hls.SegmentURI)
	if err != nil {
		return err
	}
	var object store.Object
	var ok bool
	if leaves {
		object, ok = ch.Store.Leaves(c.Param("rendition"), number)
	} else {
		object, ok = ch.Store.Segment(c.Param("rendition"), number)
	}
	switch {
	case !ok && !leaves:
		return s.kept(c, ch, number)
	case !ok:
		return unknown("segment %d of %.64q is not in the time-shift window", number, c.Param("rendition"))
	case leaves:
		return s.send(c, object.Data, typeLeaves, cacheForEver, object.Root.String()+".leaves")
	default:
		sayWhat(c, ch, number, -1)
		return s.sendMedia(c, object)
	}
}

// numberOf reads the number in an address. One spelling only, so that caches hold one copy.
func numberOf(uri string, spell func(int64) string) (int64, error) {
	digits := strings.TrimPrefix(strings.TrimSuffix(uri, path.Ext(uri)), "dvr-")
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || spell(number) != uri {
		return 0, unknown("%.64q is no segment of this channel", uri)
	}
	return number, nil
}

// sendMedia sends what many ask for.
func (s *Server) sendMedia(c echo.Context, object store.Object) error {
	whole := pieces{slices: [][]byte{object.Data}}
	if c.Request().TLS == nil { // what is encrypted passes through our hands anyway
		if copied := s.residents.acquire(object.Root, object.Data); copied != nil {
			defer s.residents.release(copied)
			return s.sendFrom(c, &resident{whole, copied.file}, typeMedia, cacheForEver, object.Root.String())
		}
	}
	return s.sendFrom(c, &whole, typeMedia, cacheForEver, object.Root.String())
}

// sayWhat says what an answer with media holds.
func sayWhat(c echo.Context, ch *channel, number int64, part int) {
	if of, ok := ch.Store.Describe(c.Param("rendition"), number, part); ok {
		c.Response().Header().Set(headerCMSD, cmsdMedia(of))
	}
}

// part serves a part or its leaf list. The one that comes next may be asked for before it is there (RFC 8216bis, section 6.2.6).
func (s *Server) part(c echo.Context, ch *channel) error {
	name, rendition := c.Param("object"), c.Param("rendition")
	uri, leaves := strings.CutSuffix(name, ".leaves")
	var want place
	_, err := fmt.Sscanf(uri, "%d.%d.m4s", &want.number, &want.part)
	if err != nil || hls.PartURI(want.number, want.part) != uri {
		return unknown("%.64q is no part of this channel", name)
	}
	if edge, ok := ch.Store.Edge(rendition); ok && edge.Next(want.number, want.part) {
		if _, err := ch.await(c.Request().Context(), rendition, want); err != nil {
			return err
		}
	}
	get := ch.Store.Part
	if leaves {
		get = ch.Store.PartLeaves
	}
	object, ok := get(rendition, want.number, want.part)
	if !ok {
		return unknown("part %d of segment %d of %.64q is not here", want.part, want.number, rendition)
	}
	if leaves {
		return s.send(c, object.Data, typeLeaves, cacheForEver, object.Root.String()+".leaves")
	}
	sayWhat(c, ch, want.number, want.part)
	return s.sendMedia(c, object)
}

func (s *Server) send(c echo.Context, data []byte, mediaType, cache, tag string) error {
	return s.sendFrom(c, &pieces{slices: [][]byte{data}}, mediaType, cache, tag)
}

func (s *Server) sendFrom(c echo.Context, data io.ReadSeeker, mediaType, cache, tag string) error {
	h := c.Response().Header()
	said := [...]string{mediaType, cache, `"` + tag + `"`} // one allocation instead of one for each header
	h["Content-Type"], h["Cache-Control"], h["Etag"] = said[0:1:1], said[1:2:2], said[2:3:3]
	// Not supported by every writer (tests have simple ones), and not worth failing for.
	_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(sendTimeout))
	serve(c, data)
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
