package manifest

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxPlaylistBytes, MaxSegments and MaxDelegations bound what a media playlist may hold.
	MaxPlaylistBytes = 1 << 20
	MaxSegments      = 4096
	MaxDelegations   = 8
	// maxURI bounds each URI in a playlist, in bytes.
	maxURI = 2048
)

// The custom tags. Their values are base64url without padding. Players that do not know them ignore them.
const (
	TagDelegation = "#EXT-X-SLIPSTREAM-DELEGATION:" // in the header, one line per signing key in the window
	TagInit       = "#EXT-X-SLIPSTREAM-INIT:"       // beside EXT-X-MAP: the record of the init section
	TagRecord     = "#EXT-X-SLIPSTREAM-RECORD:"     // before each EXTINF: the record of the segment
)

// Playlist is what a viewer needs of a media playlist (RFC 8216bis section 4.4). Nothing in it is to be believed
// before a Verifier has accepted it.
type Playlist struct {
	TargetDurationMs int64
	MediaSequence    int64
	Delegations      []Delegation
	Segments         []Segment
	Parts            []Part // in order; also those of the segment that is not complete yet
	Blocks           bool   // the server holds a request for what is about to come until it is there (CAN-BLOCK-RELOAD)
	EndList          bool
}

// Segment is one entry of a media playlist.
type Segment struct {
	Number        int64 // media sequence number: the playlist's MediaSequence plus the entry's index
	URI           string
	DurationMs    int64  // EXTINF, truncated to whole ms
	PDTms         int64  // EXT-X-PROGRAM-DATE-TIME if the entry has one, otherwise 0
	Gap           bool   // EXT-X-GAP: there is nothing at the URI
	Discontinuity bool   // EXT-X-DISCONTINUITY precedes the entry
	MapURI        string // the EXT-X-MAP in force, "" if none
	InitRecord    *Record
	Record        *Record
}

// ReadPlaylist reads a media playlist. It is a minimal reader for viewers: tags that it does not know are skipped,
// and whatever it cannot read exactly is refused. Codes: MalformedPlaylist, MalformedRecord, MalformedDelegation.
func ReadPlaylist(text string) (Playlist, error) {
	return ReadWindow(text, MaxPlaylistBytes, MaxSegments)
}

// ReadWindow is ReadPlaylist with other bounds, for those who look at more of the past than viewers do.
func ReadWindow(text string, maxBytes, maxSegments int) (Playlist, error) {
	r := playlistReader{maxSegments: maxSegments}
	if len(text) > maxBytes {
		return Playlist{}, r.refuse("it has %d bytes; %d are allowed", len(text), maxBytes)
	}
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		r.line++
		if err := r.read(strings.TrimSuffix(line, "\r")); err != nil {
			return Playlist{}, err
		}
	}
	if r.line == 0 {
		return Playlist{}, r.refuse("it is empty")
	}
	if r.list.TargetDurationMs == 0 {
		return Playlist{}, r.refuse("it has no EXT-X-TARGETDURATION")
	}
	return r.list, nil
}

// playlistReader keeps the tags that wait for the URI line they belong to.
type playlistReader struct {
	list        Playlist
	line        int
	maxSegments int
	next        Segment // the entry being collected
	haveExtinf  bool
	newMap      bool    // an EXT-X-MAP was read for the entry being collected
	newInit     *Record // likewise the init record; the two may come in either order
	mapURI      string  // in force
	initRecord  *Record // in force
	partRecord  *Record // for the next EXT-X-PART
	parts       int     // of the entry being collected, so far
}

func (r *playlistReader) refuse(format string, args ...any) error {
	where := "the playlist"
	if r.line > 0 {
		where = fmt.Sprintf("the playlist, line %d", r.line)
	}
	return refuse(MalformedPlaylist, where, format, args...)
}

func (r *playlistReader) read(line string) error {
	switch {
	case r.line == 1:
		if line != "#EXTM3U" {
			return r.refuse("it does not begin with #EXTM3U")
		}
		return nil
	case line == "":
		return nil
	case line[0] != '#':
		return r.uri(line)
	}
	tag, value, _ := strings.Cut(line, ":")
	switch tag + ":" {
	case TagDelegation:
		return r.delegation(value)
	case TagInit, TagRecord, TagPart:
		return r.record(tag+":", value)
	case "#EXT-X-PART:":
		return r.part(value)
	}
	return r.standard(tag, value)
}

func (r *playlistReader) standard(tag, value string) error {
	ok := true
	switch tag {
	case "#EXT-X-STREAM-INF":
		return r.refuse("this is a multivariant playlist, not a media playlist")
	case "#EXT-X-TARGETDURATION":
		var seconds int64
		seconds, ok = parseInteger(value)
		ok = ok && seconds >= 1 && seconds <= 3600
		r.list.TargetDurationMs = seconds * 1000
	case "#EXT-X-MEDIA-SEQUENCE":
		if len(r.list.Segments) > 0 {
			return r.refuse("EXT-X-MEDIA-SEQUENCE comes after a segment")
		}
		r.list.MediaSequence, ok = parseInteger(value)
		ok = ok && r.list.MediaSequence < maxInteger-int64(r.maxSegments)
	case "#EXTINF":
		duration, _, _ := strings.Cut(value, ",")
		r.next.DurationMs, ok = parseSecondsMs(duration)
		r.haveExtinf = true
	case "#EXT-X-PROGRAM-DATE-TIME":
		r.next.PDTms, ok = parseDateMs(value)
	case "#EXT-X-MAP":
		r.mapURI, ok = attribute(value, "URI")
		ok = ok && r.mapURI != "" && len(r.mapURI) <= maxURI
		r.newMap = true
	case "#EXT-X-GAP":
		r.next.Gap = true
	case "#EXT-X-DISCONTINUITY":
		r.next.Discontinuity = true
	case "#EXT-X-SERVER-CONTROL":
		can, _ := attribute(value, "CAN-BLOCK-RELOAD")
		r.list.Blocks = can == "YES"
	case "#EXT-X-ENDLIST":
		r.list.EndList = true
	}
	if !ok {
		return r.refuse("the value of %s is not understood", tag[1:])
	}
	return nil
}

func (r *playlistReader) delegation(value string) error {
	if len(r.list.Delegations) == MaxDelegations {
		return r.refuse("it has more than %d delegations", MaxDelegations)
	}
	b, err := decodeBase64(value)
	if err != nil {
		return refuse(MalformedDelegation, fmt.Sprintf("the delegation in line %d", r.line), "it is not base64url")
	}
	d, err := ParseDelegation(b)
	if err != nil {
		return relocate(err, fmt.Sprintf("the delegation in line %d", r.line))
	}
	r.list.Delegations = append(r.list.Delegations, d)
	return nil
}

func (r *playlistReader) record(tag, value string) error {
	number := r.list.MediaSequence + int64(len(r.list.Segments))
	where := fmt.Sprintf("the record of segment %d", number)
	slot := &r.next.Record
	switch tag {
	case TagInit:
		where = fmt.Sprintf("the init record of segment %d", number)
		slot = &r.newInit
	case TagPart:
		where = fmt.Sprintf("the record of part %d of segment %d", r.parts, number)
		slot = &r.partRecord
	}
	if *slot != nil {
		return r.refuse("%s is there twice", where)
	}
	b, err := decodeBase64(value)
	if err != nil {
		return refuse(MalformedRecord, where, "it is not base64url")
	}
	rec, err := ParseRecord(b)
	if err != nil {
		return relocate(err, where)
	}
	*slot = &rec
	return nil
}

// part takes an EXT-X-PART. One that is a byte range of something else, or is missing, has no record and can not be used.
func (r *playlistReader) part(value string) error {
	if r.parts == MaxParts {
		return r.refuse("a segment has more than %d parts", MaxParts)
	}
	p := Part{Number: r.list.MediaSequence + int64(len(r.list.Segments)), Index: r.parts, InitRecord: r.initInForce(), Record: r.partRecord}
	r.parts, r.partRecord = r.parts+1, nil
	var okURI, okDuration bool
	p.URI, okURI = attribute(value, "URI")
	duration, _ := attribute(value, "DURATION")
	p.DurationMs, okDuration = parseSecondsMs(duration)
	if !okURI || !okDuration || p.URI == "" || len(p.URI) > maxURI {
		return r.refuse("the value of EXT-X-PART is not understood")
	}
	r.list.Parts = append(r.list.Parts, p)
	return nil
}

// initInForce is the record of the init section for what follows: a new map must bring its own.
func (r *playlistReader) initInForce() *Record {
	switch {
	case r.newInit != nil:
		return r.newInit
	case r.newMap:
		return nil
	}
	return r.initRecord
}

// relocate names the place in a playlist where bytes that could not be parsed were found.
func relocate(err error, where string) error {
	var e *Error
	if errors.As(err, &e) {
		moved := *e
		moved.Where = where
		return &moved
	}
	return err
}

// uri ends the entry that the tags before it describe.
func (r *playlistReader) uri(line string) error {
	switch {
	case !r.haveExtinf:
		return r.refuse("a URI has no EXTINF before it")
	case len(line) > maxURI:
		return r.refuse("a URI has more than %d bytes", maxURI)
	case len(r.list.Segments) == r.maxSegments:
		return r.refuse("it has more than %d segments", r.maxSegments)
	}
	r.initRecord = r.initInForce()
	s := r.next
	s.Number = r.list.MediaSequence + int64(len(r.list.Segments))
	s.URI = line
	s.MapURI, s.InitRecord = r.mapURI, r.initRecord
	r.list.Segments = append(r.list.Segments, s)
	r.next, r.haveExtinf, r.newMap, r.newInit = Segment{}, false, false, nil
	r.parts, r.partRecord = 0, nil
	return nil
}
