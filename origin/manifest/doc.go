// Package manifest is the integrity core: what a channel's owner signs, and how anybody checks it.
//
// # What is signed
//
// A channel is named by the hash of a root public key ([ChannelID]), so its name proves itself. The root
// key is used rarely: it signs a [Delegation], which lends the channel's name to a signing key for at most
// 24 hours. The signing key signs one [Record] per init section, segment and part. A record binds a place
// on the timeline (rendition, sequence number, start) to bytes (size and tree root), to the init section
// that those bytes need, and to the record before it. The channel id is not part of a record's bytes but is
// part of what is signed: it costs nothing on the wire and a record of one channel means nothing in another.
//
// # What bytes mean
//
// An object's root is the root of a SHA-256 tree over leaves of 16 KiB, padded as in BitTorrent v2 (BEP 52):
// a segment's root is its "pieces root" if it ever becomes a file in a torrent. The size is signed, so the
// shape of the tree is fixed, and the list of leaf hashes (0.2 % of the object) can come from anybody: check
// it once against the root ([Leaves]), then check each leaf alone as it arrives ([Leaf]).
//
// # How it travels
//
// Records and delegations ride in the media playlist as custom tags, one record before each EXTINF; players
// that do not know them ignore them (RFC 8216 section 6.3.1). [ReadPlaylist] reads such a playlist, and a
// [Verifier] decides whether to believe it. The verifier remembers what it has seen, so that an old playlist is
// recognised as a replay, a changed past as equivocation, and a poll costs one signature per new segment.
//
// In a media playlist (values are base64url without padding, in its only spelling):
//
//	#EXT-X-SLIPSTREAM-DELEGATION:<delegation>   header, at most 8: one for each signing key that the window needs
//	#EXT-X-SLIPSTREAM-INIT:<record of kind 0>   beside EXT-X-MAP, before or after it
//	#EXT-X-SLIPSTREAM-RECORD:<record of kind 1> before each EXTINF, except that of an EXT-X-GAP entry
//
// A record may also come alone, from a neighbour: [Verifier.Next] accepts it if it continues the newest segment without
// anything that only a playlist can tell, and [NextURI] says where its bytes will be, from the viewer's own playlist.
//
// A multivariant playlist names the channel in EXT-X-SESSION-DATA (see [DataChannel]); it is not signed, and need not be:
// a viewer who knows the channel id finds out with the first media playlist, everybody else trusts on first use.
//
// The chain (Previous) runs over the segment records of a rendition, across gaps and restarts. A window may begin anywhere
// in it; inside a window, and from one poll to the next number, it must not break. So a segment cannot be
// hidden as a gap, and a rewritten past does not fit a present that was seen. Regions that publish the same content side by side
// sign a chain each: it runs over the records of keys that were appointed for the same region.
//
// # Rules of the encoding
//
// All integers are big-endian. Integers of 64 bits stay below 2^53, because a JavaScript twin reads them. An
// encoding is canonical: what a parser accepts encodes to the same bytes again, and trailing bytes are refused.
//
//	record      version u8=1 · kind u8 · session u64 · variant u32 · rendition (u8 length + bytes) ·
//	            sequence u64 · part u16 · startMs u64 · durationMs u32 · size u32 · root[32] · init[32] ·
//	            previous[32] · createdMs u64 · key[8] · signature[64]
//	            signed: "slipstream/record/v1\x00" ‖ channel id ‖ all bytes before the signature
//	delegation  version u8=1 · root public key[32] · signing public key[32] · region (u8 length + bytes) ·
//	            firstSequence u64 · lastSequence u64 · notBeforeMs u64 · notAfterMs u64 · signature[64]
//	            signed: "slipstream/delegation/v1\x00" ‖ channel id ‖ all bytes before the signature
//
// Every refusal is an [*Error]: a sentence for people and a stable [Code] that the TypeScript twin shares
// (testdata/vectors.json holds both languages to the same answers).
//
// The package is pure: no I/O, no goroutine, no clock, no randomness.
package manifest
