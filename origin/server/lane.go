package server

import (
	"bytes"
	"strconv"
	"strings"

	"slipstream/origin/hls"
	"slipstream/origin/store"
	"slipstream/origin/web"
)

// Answer implements web.Lane: what is asked for most, and lies ready in memory, is answered without net/http. That is media playlists, and
// segments and parts, whole or one range of them. Whatever has to wait, fails or is unusual is left to the handlers, whose answers
// these are, header for header (lane_test.go asks both).
func (s *Server) Answer(q *web.Request, a *web.Answer) bool {
	path, ok := bytes.CutPrefix(q.Path, []byte("/live/"))
	if !ok || s.covered {
		return false
	}
	channel, path, _ := bytes.Cut(path, []byte("/"))
	rendition, name, ok := bytes.Cut(path, []byte("/"))
	if !ok {
		return false
	}
	s.mu.RLock()
	ch := s.channels[string(channel)]
	s.mu.RUnlock()
	switch {
	case ch == nil:
		return false
	case string(name) == hls.MediaName:
		return s.mediaReady(ch, string(rendition), q, a)
	default:
		return s.objectReady(ch, string(rendition), string(name), q, a)
	}
}

// mediaReady answers with a media playlist that need not be waited for.
func (s *Server) mediaReady(ch *channel, rendition string, q *web.Request, a *web.Answer) bool {
	edge, ok := ch.Store.Edge(rendition)
	if !ok || !ch.Store.Made(rendition) || s.fit(ch) != nil {
		return false
	}
	var ask directives
	cache := cachePlaylist
	if edge.InParts {
		var err error
		if ask, err = readDirectives(q.Param); err != nil {
			return false
		}
	}
	if ask.waits {
		if !edge.Has(ask.until.number, ask.until.part) {
			return false
		}
		cache = cacheBlocked
	}
	list, err := ch.list(listed{rendition, hls.MediaName, ask.skip}, edge, s.cfg.Now())
	if err != nil {
		return false
	}
	o := ready{kind: kindPlaylist, mediaType: typePlaylist, cache: cache, cmsd: cmsdPlaylist, tag: list.tag, data: list.text, varies: true}
	if acceptsGzip(string(q.AcceptEncoding)) {
		o.coding, o.tag, o.data = "gzip", list.tag+"-gzip", list.zipped
	}
	return s.answer(ch, o, q, a)
}

// objectReady answers with a segment or part in memory.
func (s *Server) objectReady(ch *channel, rendition, name string, q *web.Request, a *web.Answer) bool {
	number, part, ok := mediaName(name)
	if !ok {
		return false
	}
	var object store.Object
	kind := kindSegment
	if part < 0 {
		object, ok = ch.Store.Segment(rendition, number)
	} else {
		kind = kindPart
		object, ok = ch.Store.Part(rendition, number, part)
	}
	if !ok {
		return false
	}
	of, ok := ch.Store.Describe(rendition, number, part)
	if !ok {
		return false
	}
	return s.answer(ch, ready{
		kind: kind, mediaType: typeMedia, cache: cacheForEver, cmsd: cmsdMedia(of), tag: object.Root.String(), data: object.Data, object: object,
	}, q, a)
}

// mediaName reads <number>.m4s, whose part is -1, or <number>.<part>.m4s.
func mediaName(name string) (number int64, part int, ok bool) {
	stem, ok := strings.CutSuffix(name, ".m4s")
	if !ok {
		return 0, 0, false
	}
	digits, index, inPart := strings.Cut(stem, ".")
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if !inPart {
		return number, -1, hls.SegmentURI(number) == name
	}
	part, err = strconv.Atoi(index)
	return number, part, err == nil && part >= 0 && hls.PartURI(number, part) == name
}

// ready is something to send, and what is to be said of it.
type ready struct {
	kind                        kind
	mediaType, cache, cmsd, tag string
	coding                      string // "" for none
	varies                      bool   // by Accept-Encoding
	data                        []byte
	object                      store.Object // media
}

// answer writes the header as net/http and the handlers do, and refers to the body.
func (s *Server) answer(ch *channel, o ready, q *web.Request, a *web.Answer) bool {
	known, ok := o.knownTo(q.IfNoneMatch)
	if !ok {
		return false
	}
	from, size := int64(0), int64(len(o.data))
	ranged := len(q.Range) > 0 && !known
	if ranged {
		if from, size, ok = oneRange(string(q.Range), size); !ok || o.coding != "" {
			return false
		}
	}
	h := a.Header
	switch {
	case known:
		h = append(h, "HTTP/1.1 304 Not Modified\r\n"...)
	case ranged:
		h = append(h, "HTTP/1.1 206 Partial Content\r\n"...)
	default:
		h = append(h, "HTTP/1.1 200 OK\r\n"...)
	}
	h = append(h, sameForAll...)
	h = appendField(h, "Cache-Control", o.cache)
	h = appendField(h, headerCMSD, o.cmsd)
	h = append(append(append(h, "Etag: \""...), o.tag...), "\"\r\n"...)
	if o.varies {
		h = appendField(h, "Vary", "Accept-Encoding")
	}
	if !known {
		h = appendField(h, "Content-Type", o.mediaType)
		h = appendField(h, "Accept-Ranges", "bytes")
		h = append(strconv.AppendInt(append(h, "Content-Length: "...), size, 10), "\r\n"...)
		if o.coding != "" {
			h = appendField(h, "Content-Encoding", o.coding)
		}
	}
	if ranged {
		h = strconv.AppendInt(append(h, "Content-Range: bytes "...), from, 10)
		h = strconv.AppendInt(append(h, '-'), from+size-1, 10)
		h = append(strconv.AppendInt(append(h, '/'), int64(len(o.data)), 10), "\r\n"...)
	}
	a.Header = h
	ch.traffic.requests[o.kind].Add(1)
	if known || q.Head {
		return true
	}
	ch.traffic.bytes[o.kind].Add(size)
	if o.object.Data != nil {
		if copied := s.residents.acquire(o.object.Root, o.data); copied != nil {
			a.File, a.Offset, a.Size = copied.file, from, size
			a.Release = func() { s.residents.release(copied) }
			return true
		}
	}
	a.Body = o.data[from : from+size]
	return true
}

// sameForAll are the headers of every answer (crossOrigin).
var sameForAll = func() (h []byte) {
	for _, field := range [][2]string{
		{"Access-Control-Allow-Origin", anyOrigin[0]}, {"Timing-Allow-Origin", anyOrigin[0]},
		{"Access-Control-Expose-Headers", exposed[0]}, {"Cross-Origin-Resource-Policy", crossed[0]},
	} {
		h = appendField(h, field[0], field[1])
	}
	return h
}()

func appendField(h []byte, name, value string) []byte {
	return append(append(append(append(h, name...), ": "...), value...), "\r\n"...)
}

// knownTo reads an If-None-Match field of one tag; of several, or of any ("*"), it reads nothing and says so.
func (o ready) knownTo(ifNoneMatch []byte) (known, ok bool) {
	if len(ifNoneMatch) == 0 {
		return false, true
	}
	tag, opened := bytes.CutPrefix(bytes.TrimPrefix(ifNoneMatch, []byte("W/")), []byte(`"`))
	tag, closed := bytes.CutSuffix(tag, []byte(`"`))
	if !opened || !closed || bytes.ContainsAny(tag, "\" \t") {
		return false, false
	}
	return string(tag) == o.tag, true
}

// oneRange reads a Range field with one range that begins and ends within the object.
func oneRange(field string, of int64) (from, size int64, ok bool) {
	text, ok := strings.CutPrefix(field, "bytes=")
	first, last, dashed := strings.Cut(text, "-")
	if !ok || !dashed || !digits(first) || !digits(last) {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	to, err := strconv.ParseInt(last, 10, 64)
	if err != nil || from > to || to >= of {
		return 0, 0, false
	}
	return from, to - from + 1, true
}

func digits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }
