// Package dash renders a channel as a live MPEG-DASH presentation (ISO/IEC 23009-1): a pure function from what the store
// holds, and the time, to an MPD.
//
// The presentation starts at the Unix epoch and every time in it is an epoch time, which is what the segments' own
// timestamps are: nothing is shifted, and a player's clock shows when a picture was taken.
//
// # Tracks
//
// The store's segments hold picture and sound multiplexed, which no DASH player is bound to play. However it is said, as two content
// components or as one video representation with two codecs, Shaka 5.2 plays it, dash.js 5.2 refuses it, and ffmpeg 5.1 files the packets of
// both under one stream. So an adaptation set of
// pictures has one representation for each rendition and another one has their sound, once for each bitrate, both at
// addresses of their own (VideoPath, AudioPath) where the server takes the other track out of the very segments that HLS
// lists (cmaf.TrackSegment).
//
// Both timelines are that of the pictures. An AAC frame does not divide a segment, so a segment's sound starts up to one frame
// (21 ms) away from what its S element says; what players append keeps the exact timestamps of the media.
//
// # Gaps and new encoders
//
// Where HLS has EXT-X-GAP or EXT-X-DISCONTINUITY a new Period begins, and with it a timeline without holes. A hole between an S element
// and the next one's t would be valid too, and needs no Period as long as the init section stays what it was, but dash.js asks for the
// segment that contains the end of the last one, and waits there for ever. A Period lasts until the next one starts, so its end may
// be empty; players jump over that. What neither dash.js nor Shaka gets over is a Period with sound followed by one without. So a channel
// that has had sound keeps it, as silence, for as long as the origin runs (package playout).
//
// A rendition that ceases to be made stays in the Periods that it was in: players may be there still. One of sound alone is in none,
// because sound is listed apart from the pictures anyway.
//
// A Period must keep its start and its id while its first segments leave the window, so the store remembers where a row of
// segments began (hls.View.SinceMs). Segments are addressed by time ($Time$), in milliseconds: a number would be a segment's
// place in its timeline, which ceases to be the number in HLS when a rendition alone lacks a segment.
//
// # Latency
//
// Players stay three segments behind the encoder (suggestedPresentationDelay). With --low-latency a segment is listed when its first part is out,
// for as long as the grid has it last, and its address answers with the parts that there are and then with each that comes
// (availabilityTimeOffset, availabilityTimeComplete). ServiceDescription asks players that can to stay a segment and a part behind: one reads the MPD
// again after each part, so it learns of a segment a part after it could, or less, and that is when it has to be played. What begins a
// Period is listed when it is whole, because only then it is known when that begins. The wall clock and media time are the same here, which
// ProducerReferenceTime says.
//
// A channel that is off the air has no MPD, as it has no playlist. It never becomes static: a publisher may always return.
package dash
