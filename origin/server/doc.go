// Package server answers HTTP for an origin: playlists, segments, leaf lists, join tokens, health and numbers.
//
//	GET  /live/<channel>/index.m3u8               multivariant playlist
//	GET  /live/<channel>/<rendition>/index.m3u8   media playlist
//	GET  /live/<channel>/<rendition>/<number>.m4s, <number>.m4s.leaves, init-<root>.mp4
//	GET  /live/<channel>/manifest.mpd             the same for DASH players
//	GET  /live/<channel>/time                     the clock that the MPD goes by
//	GET  /live/<channel>/<rendition>/video/<start>.m4s, init-<root>.mp4; likewise audio/
//	POST /live/<channel>/token                    a join token for the tracker (?role=seeder for seeders, ?fp= the certificate to bind it to)
//	GET  /livez /readyz /metrics /stats.json
//
// It is meant to stand behind a CDN, and every header follows from that. What lies under a segment's number never changes,
// so segments, leaf lists and init sections may be cached for ever; playlists for about half of what a segment
// lasts; what is missing for a second, because a segment may be about to appear. Everything but tokens can be had
// from any web page (CORS), and by byte range, which is how viewers fetch just the leaves that no neighbour has.
//
// Most of what an answer costs are system calls and copies of its bytes. So over plain HTTP/1.1 header and body go out together, from where they
// lie (sending.go); what is asked for most is answered below net/http (lane.go, package web); and a segment that is asked for again becomes a file in memory that the kernel sends by itself (residents.go).
//
// Media and playlists describe themselves by CMSD (cmsd.go), for players and caches that look at it.
//
// Everything else that a site consists of (pages, the player, the tracker) is mounted by the caller.
package server
