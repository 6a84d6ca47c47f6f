package server

import (
	"container/list"
	"path"
	"sync"

	"github.com/labstack/echo/v4"

	"slipstream/origin/hls"
	"slipstream/origin/ts"
)

const (
	typeTransport = "video/mp2t" // RFC 3555
	// maxTransportBytes bounds a channel's segments in MPEG-TS that are remembered. What is not can be made again.
	maxTransportBytes = 64 << 20
)

// transportVariants is the multivariant playlist for players that cannot do fragmented MP4.
func (s *Server) transportVariants(c echo.Context, ch *channel) error {
	return s.variants(c, ch, hls.Channel{ID: ch.ID, Playlist: hls.TransportName})
}

// trackVariants is the multivariant playlist with pictures and sound apart.
func (s *Server) trackVariants(c echo.Context, ch *channel) error {
	return s.variants(c, ch, hls.Channel{ID: ch.ID, Playlist: hls.TracksName, AudioBps: ch.AudioBps})
}

// plain serves the live window in a rendering without records: <rendition>/ts.m3u8, video.m3u8, audio.m3u8.
func (s *Server) plain(c echo.Context, ch *channel) error {
	rendition := c.Param("rendition")
	edge, ok := ch.Store.Edge(rendition)
	if !ok {
		return unknown("the channel %q has no rendition %.64q", ch.Name, rendition)
	}
	if err := s.fit(ch); err != nil {
		return err
	}
	return s.list(c, ch, listed{rendition: rendition, name: path.Base(c.Path())}, edge, cachePlaylist)
}

// transport serves <number>.ts, made from the segment that all others get.
func (s *Server) transport(c echo.Context, ch *channel) error {
	number, err := numberOf(c.Param("object"), hls.TransportURI)
	if err != nil {
		return err
	}
	rendition := c.Param("rendition")
	data, tag, err := ch.transports.get(madeOf{rendition, number}, func() ([]byte, string, error) {
		segment, ok := ch.Store.Muxed(rendition, number)
		if !ok {
			return nil, "", unknown("segment %d of %.64q is not in the time-shift window", number, rendition)
		}
		data, err := ts.Segment(segment.Init, segment.Data, number)
		if err != nil {
			return nil, "", unknown("segment %d of %.64q cannot be had as MPEG-TS: %v", number, rendition, err)
		}
		return data, segment.Root.String() + ".ts", nil
	})
	if err != nil {
		return err
	}
	if of, ok := ch.Store.Describe(rendition, number, -1); ok {
		of.Size = int64(len(data))
		if of.Next != "" {
			of.Next = hls.TransportURI(number + 1)
		}
		c.Response().Header().Set(headerCMSD, cmsdMedia(of))
	}
	return s.send(c, data, typeTransport, cacheForEver, tag)
}

// transports remembers segments in MPEG-TS. However many players ask for one, it is made once.
type transports struct {
	mu     sync.Mutex
	known  map[madeOf]*list.Element
	recent *list.List // of *made, most recently used first
	bytes  int
}

type madeOf struct {
	rendition string
	number    int64
}

type made struct {
	at   madeOf
	once sync.Once
	size int // as counted
	data []byte
	tag  string
	err  error
}

// get returns what make makes. A failure is not remembered.
func (t *transports) get(at madeOf, make func() ([]byte, string, error)) ([]byte, string, error) {
	m := t.find(at)
	m.once.Do(func() {
		m.data, m.tag, m.err = make()
		t.account(m)
	})
	return m.data, m.tag, m.err
}

func (t *transports) find(at madeOf) *made {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known, t.recent = map[madeOf]*list.Element{}, list.New()
	}
	if element, ok := t.known[at]; ok {
		t.recent.MoveToFront(element)
		return element.Value.(*made)
	}
	m := &made{at: at}
	t.known[at] = t.recent.PushFront(m)
	return m
}

// account counts what was made, and forgets what was asked for least recently.
func (t *transports) account(m *made) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.err != nil {
		t.forget(m)
	}
	if element, ok := t.known[m.at]; !ok || element.Value.(*made) != m {
		return // others were in greater demand while it was made
	}
	m.size = len(m.data)
	t.bytes += m.size
	for t.bytes > maxTransportBytes && t.recent.Len() > 1 {
		t.forget(t.recent.Back().Value.(*made))
	}
}

func (t *transports) forget(m *made) {
	element, ok := t.known[m.at]
	if !ok || element.Value.(*made) != m {
		return
	}
	t.recent.Remove(element)
	delete(t.known, m.at)
	t.bytes -= m.size
}
