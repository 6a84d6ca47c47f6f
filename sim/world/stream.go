package world

// stream is the live channel: segments of equal length and size, one after the
// other on the epoch grid. Segments are counted from 0, the oldest in the
// playlist when the first viewer comes; object ids are these counts.
// A recording is all there from the start, and does not move.
type stream struct {
	recorded  int32 // segments; 0: live
	segmentMs int64
	delayMs   int64
	window    int32
	first     int64 // sequence number of segment 0
	size      int64
	leaves    int32
}

const leafSize = 16384

func newStream(cfg Config) stream {
	s := stream{
		segmentMs: cfg.Stream.SegmentMs, delayMs: cfg.Stream.PublishDelayMs, window: int32(cfg.Stream.WindowSegments),
		size: cfg.Stream.BytesPerSec * cfg.Stream.SegmentMs / 1000,
	}
	s.leaves = int32((s.size + leafSize - 1) / leafSize)
	if s.recorded = int32(cfg.Stream.RecordedSegments); s.recorded > 0 {
		return s
	}
	s.first = (startMs-s.delayMs)/s.segmentMs - int64(s.window)
	return s
}

// sequence is the segment's number in the records.
func (s *stream) sequence(segment int32) int64 { return s.first + int64(segment) }

// mediaMs is the time of the segment's first frame.
func (s *stream) mediaMs(segment int32) int64 { return s.sequence(segment) * s.segmentMs }

// publishedMs is when the segment is in the playlist and on the CDN.
func (s *stream) publishedMs(segment int32) int64 {
	if s.recorded > 0 {
		return 0
	}
	return s.mediaMs(segment+1) + s.delayMs
}

// head is the newest segment published at nowMs.
func (s *stream) head(nowMs int64) int32 {
	if s.recorded > 0 {
		return s.recorded - 1
	}
	return int32((nowMs-s.delayMs)/s.segmentMs - 1 - s.first)
}

// tail is the oldest segment in the playlist whose newest is head.
func (s *stream) tail(head int32) int32 {
	if s.recorded > 0 {
		return 0
	}
	return max(head-s.window+1, 0)
}

// leafBytes is the size of one leaf: all are full but the last.
func (s *stream) leafBytes(leaf int32) int64 { return min(leafSize, s.size-int64(leaf)*leafSize) }

// Sizes of what surrounds the media, about those of the real origin.
const (
	playlistHeaderBytes  = 500
	playlistSegmentBytes = 420 // a record in base64url, EXTINF, URI
	httpRequestBytes     = 400 // headers of a request, on the viewer's uplink
	httpResponseBytes    = 350 // headers of a response
)

func (s *stream) playlistBytes() int64 {
	return playlistHeaderBytes + int64(max(s.window, s.recorded))*playlistSegmentBytes
}

// edge is the CDN's cached playlist, one for all viewers.
type edge struct {
	head      int32
	fetchedMs int64
	filled    bool
}

// playlist is what a request gets that reaches the edge at atMs. Of two requests of one
// window the later may come first: the other is not to learn what is not published yet.
func (w *world) playlist(atMs int64) (head int32) {
	e := &w.edge
	if !e.filled || atMs-e.fetchedMs >= w.cfg.CDN.PlaylistAgeMs {
		*e = edge{w.stream.head(atMs), atMs, true}
	}
	return min(e.head, w.stream.head(atMs))
}
