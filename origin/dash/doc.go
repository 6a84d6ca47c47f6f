// Package dash renders a channel as a live MPEG-DASH presentation (ISO/IEC 23009-1): a pure function from what the store
// holds, and the time, to an MPD.
//
// The presentation starts at the Unix epoch and every time in it is an epoch time, which is what the segments' own
// timestamps are: nothing is shifted, and a player's clock shows when a picture was taken.
//
// # Tracks
//
// The store's segments hold picture and sound multiplexed. No DASH player is bound to play that, and most do not: dash.js refuses
// two content components in one adaptation set, ffmpeg files every packet under one stream. So an adaptation set of
// pictures has one representation for each rendition and another one has the sound of the best of them, both at
// addresses of their own (VideoPath, AudioPath) where the server takes the other track out of the very segments that HLS
// lists (cmaf.TrackSegment).
//
// Both timelines are that of the pictures. An AAC frame does not divide a segment, so a segment's sound starts up to one frame
// (21 ms) away from what its S element says; what players append keeps the exact timestamps of the media.
//
// # Gaps and new encoders
//
// Segments are addressed by time ($Time$), in milliseconds. Numbers would not do: what counts in an MPD is a segment's place in its
// timeline, so every number after a hole would be wrong. Where HLS lists EXT-X-GAP there is simply a hole between an S element and the
// next one's t. Where HLS has EXT-X-DISCONTINUITY nothing is needed as long as the init section stays what it was, because the timeline
// goes on; a new init section begins a new Period. Its start is remembered by the store (hls.View.InitSinceMs), since a
// Period must keep its start and its id while its first segments leave the window.
//
// # Latency
//
// Players stay three segments behind the encoder (suggestedPresentationDelay). With --low-latency HLS has parts, which are objects of
// their own; a segment's address answers only when it is whole. So no availabilityTimeOffset is promised.
//
// A channel that is off the air has no MPD, as it has no playlist. It never becomes static: a publisher may always return.
package dash
