// Package cmaf cuts the fragmented MP4 that ffmpeg writes into segments on the epoch grid.
//
// What comes out of the encoder's pipe is one endless file: ftyp and moov once (the init
// section), then fragments, each a moof that describes samples and an mdat that holds
// them (ISO/IEC 14496-12, 8.8; the profile of ISO/IEC 23000-19). Fragments are short,
// about half a second, and start with a key frame wherever a segment begins. A Cutter
// takes that byte stream in pieces of any size and returns each fragment with video as a
// Part, and a Segment as soon as the video of its last fragment ends on the segment's
// boundary: it does not wait for the first fragment of the next segment, which would
// cost the viewer half a second.
//
// Where a segment ends is decided by the video alone. Its fragments carry the sound that
// belongs to them to within one AAC frame, because an AAC frame does not divide a
// segment.
//
// Only a boundary of the epoch grid ends a segment, so all segments between the first
// and the last of a run start on number × 2000 ms and last exactly 2000 ms. The first may
// start late and the last may end early: those are partial. An encoder that misses
// a boundary is an error, not a longer segment, since everything later in the system
// computes with the grid.
//
// A rendition of sound alone has no picture to decide; a SoundCutter sorts its frames by when they start.
// A Demuxer reads what other encoders send as CMAF (DASH-IF live media ingest), into samples to be encoded.
//
// The package is a core: no I/O, no goroutine, no clock. Bytes that make no sense give an
// error that is a sentence, and every buffer is bounded.
package cmaf

const (
	// MaxBoxSize bounds a single box, and with it what a Cutter buffers: 32 MiB is half
	// a second of 500 Mb/s.
	MaxBoxSize = 32 << 20
	// MaxSegmentSize is the greatest segment that a signed record can describe.
	MaxSegmentSize = 64 << 20
	// maxHeaderSize bounds the boxes that are parsed: moov and moof. ffmpeg's are below 2 KiB.
	maxHeaderSize = 1 << 20
)

// A Track is one track of an init section.
type Track struct {
	Codec         string  // as in RFC 6381, for instance "avc1.4d401e" or "mp4a.40.2"
	Width, Height int     // 0 for sound
	FrameRate     float64 // of the first fragment; an init section does not tell
}

// A Segment is what is published under one number of one rendition. Data and Init are
// shared and must not be changed.
type Segment struct {
	Rendition     string // "360p"
	Number        int64  // floor(StartMs / 2000)
	StartMs       int64  // epoch milliseconds of the first video frame
	DurationMs    int64
	Data          []byte  // (styp, prft,) moof, mdat, moof, mdat …
	Init          []byte  // ftyp and moov, which Data needs
	Codecs        string  // "avc1.4d401e,mp4a.40.2"
	Width, Height int     // of the video
	FrameRate     float64 // frames per second
	Discontinuity bool    // first segment of a run of the encoder
	Slate         bool    // shows slate, for some time at least; a Cutter does not know
	// Discontinuities counts those up to this segment since the channel began, if it is Counted: by the encoder, where others
	// only package. Otherwise who publishes it counts.
	Discontinuities int64
	Counted         bool
}

// A Part is what a segment grew by, and goes out before the segment is complete (RFC 8216bis, section 4.4.4.9). The
// parts of a segment are its Data, one after the other; only sound at the end of a segment that ended early is in none.
type Part struct {
	Segment          // that it belongs to; StartMs, DurationMs and Data are the part's own
	Index       int  // within its segment, from 0
	Independent bool // starts with a key frame
}

// An Output is a part or, after the last of its parts, a segment; the other is nil.
type Output struct {
	Part    *Part
	Segment *Segment
}
