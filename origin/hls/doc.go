// Package hls renders a channel as HLS (RFC 8216bis): pure functions from what the store holds, and the time, to text.
//
// A media playlist carries, beside the usual tags, what a viewer needs to trust it (package manifest): the
// delegations of the signing keys in its header, the record of the init section beside EXT-X-MAP, and one record
// before each EXTINF. Players that do not know these tags ignore them, so the same playlist serves everybody.
//
// Numbers come from the clock (floor(UTC / 2 s)), so a publisher that goes away leaves numbers without
// segments. Inside the window they are listed as EXT-X-GAP, which keeps numbering and clock together; what
// follows them is a discontinuity. When nothing is left of the window it simply begins anew.
//
// Three more renderings have no records (Plain): hours that are kept on disk, whose records are in chapters; the live window with segments in
// MPEG-TS; and the live window with pictures and sound apart (Track), so that renditions share their sound.
//
// Where several CDNs have a channel, its multivariant playlists list everything once for each, and a steering manifest says in which order they
// are to be preferred (Content Steering): see Steering.
//
// A channel whose newest segment is older than OffAirMs has no playlist any more: a player is told "not found" rather than
// being fed a past that verifiers would have to call a replay (manifest.MaxAgeMs).
package hls
