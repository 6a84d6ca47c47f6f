// Package webtorrent is the announce protocol of WebTorrent: how peers in browsers find each other through a tracker, and
// exchange the offers and answers of WebRTC. There is no BEP for it; this comment describes what bittorrent-tracker (the
// reference, client and server), WebTorrent, p2p-media-loader and libtorrent send, and where this tracker differs.
//
// The package is a pure core: no I/O, no clock. Decode reads what clients send, Swarms decide who gets what, the Append
// functions write it. Package server has the WebSockets.
//
// # Transport
//
// A WebSocket, without subprotocol or extension. Each message is one JSON object in one text message of at most 65,536
// bytes (the tracker reads binary ones alike). Names are case-sensitive, unknown members are ignored, a repeated one
// counts with its last value.
//
// Info hashes, peer ids and offer ids are 20 bytes. In JSON they are strings of 20 characters, each standing for the byte
// of its number: U+0000 to U+00FF, as JavaScript's "binary strings". In UTF-8 those from U+0080 on take two bytes.
//
// One WebSocket serves all torrents of a page: every message names its swarm, and one connection may announce several
// peers, also several in one swarm.
//
// # Announce
//
//	{"action":"announce","info_hash":"…","peer_id":"…","event":"started","uploaded":0,"downloaded":0,"left":1000,
//	 "numwant":5,"trackerid":"…","offers":[{"offer":{"type":"offer","sdp":"…"},"offer_id":"…"}, …]}
//
//	event    started, update (or "", "empty", "none", null, or no event), completed, paused (BEP 21) or stopped
//	left     0 makes the peer a seeder; anything else, null or nothing a leecher. Completed makes it a seeder too
//	offers   at most 16 of them are used, each at most 16,384 bytes; null or none is allowed
//
// The tracker answers
//
//	{"action":"announce","complete":3,"incomplete":17,"interval":120,"tracker id":"…","info_hash":"…"}
//
// with the number of seeders and leechers, the one who asks included (unless it stopped), and the seconds until the next
// announce. "tracker id" is in the answer to started only: clients remember it and send it back, and nothing depends on it.
//
// It passes each offer on to one other peer of the swarm, chosen at random, no peer twice:
//
//	{"action":"announce","offer":{"type":"offer","sdp":"…"},"offer_id":"…","peer_id":"… of who offers","info_hash":"…"}
//
// Offers that find no peer are dropped. A seeder's go to leechers as long as there are enough.
//
// A peer that says nothing for three intervals is forgotten, one whose WebSocket closes at once.
//
// # Answer
//
//	{"action":"announce","info_hash":"…","peer_id":"…","to_peer_id":"…","offer_id":"…","answer":{"type":"answer","sdp":"…"}}
//
// goes to the peer named, if it is in the swarm, and is not answered by the tracker:
//
//	{"action":"announce","answer":{"type":"answer","sdp":"…"},"offer_id":"…","peer_id":"… of who answers","info_hash":"…"}
//
// # Scrape
//
//	{"action":"scrape","info_hash":"…"}   or   {"action":"scrape","info_hash":["…","…"]}
//
// of at most 64 swarms is answered with what is known of each, zeros for one that is unknown:
//
//	{"action":"scrape","files":{"…":{"complete":3,"incomplete":17,"downloaded":3}, …},"flags":{"min_request_interval":120}}
//
// # Failures
//
//	{"action":"announce","failure reason":"The swarm is full; try again later.","info_hash":"…"}
//
// is a sentence. After one about a malformed message, or too many of them, the tracker closes the connection (status
// 1008; 1002 for broken frames, 1009 for one that is too long); after any other the connection goes on. The info_hash is
// there where it is known: clients ignore what they cannot ascribe to a torrent.
//
// # How this differs from bittorrent-tracker
//
//   - A peer id belongs to the connection that announced it. Another that announces the same is refused until the first
//     has ended; there it counts as an update of the first, whose WebSocket goes on to receive.
//   - "left":null makes a leecher; there it makes a seeder. Browsers send it as long as a torrent's size is unknown.
//   - Offers and answers must be objects, offer ids 20 characters, as in aquatic_ws; there they may be anything.
//   - A seeder's offers prefer leechers.
//   - A scrape must name its swarms: nobody is told the names of all.
//   - A malformed message costs its sender the connection; there it is only answered.
//   - A swarm without peers is forgotten at once, with its count of downloads.
//   - "tracker id" is sent.
//   - HTTP and UDP announces are not spoken: their peers could not connect to browsers.
//
// # What the protocol cannot do
//
// It has no admission and no secrets: whoever knows an info hash is shown the addresses in the offers of its peers, and
// can offer to all of them in turn. The tracker's own protocol (package announce) has tokens, introduces before anybody
// describes himself, and needs no re-announcing; this one is for players that exist. It is off unless asked for.
package webtorrent
