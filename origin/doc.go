// Package origin is the origin of a live channel: it takes what an encoder sends, makes segments of it, signs them and
// serves them over HTTP.
//
//	files, HLS ──pull──╮
//	RTMP, SRT ──ingest─┴▶ playout ──▶ transcode (ffmpeg) ──cmaf──▶ store (sign, head on disk, window) ──hls──▶ server
//	                         ▲                                         ▲                                          │
//	            slate, switcher                                        │            viewers ◀──HTTP/1.1, 2, 3── web
//	                                                     keys (root, signing, stream, token)
//
// An origin may do half of that (Role): one that encodes pushes its segments (package push) to others that package, by CMAF ingest:
//
//	ingest ──▶ transcode ──cmaf──▶ store ──push──┬──▶ ingest ──cmaf──▶ store (sign) ──▶ server    region a
//	                                             ╰──▶ ingest ──cmaf──▶ store (sign) ──▶ server    region b
//
// Run wires these packages together and is the only place that knows them all. Verify looks at a channel from the
// outside, as `slipstream origin verify` does, with nothing but package manifest and an HTTP client.
package origin
