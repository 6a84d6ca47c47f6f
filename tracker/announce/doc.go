// Package announce is the language between a viewer and the tracker: twelve JSON messages over one WebSocket, one struct
// each, with every limit enforced when decoding and when encoding. This comment is the protocol's specification; the
// examples in testdata/vectors.json belong to it, and the TypeScript twin of this package replays them.
//
// The package is a pure core: no I/O, no clock. Decode treats its input as hostile.
//
// # What the tracker is for
//
// The tracker introduces the viewers of one channel to each other, carries the few lines that two of them need to open
// a WebRTC data channel, and deals out duties: who fetches which part of each segment from the CDN on behalf of all.
// It never sees media. A viewer without a tracker keeps its neighbours, and without neighbours it plays over plain HTTP.
//
// # Transport
//
// A WebSocket (RFC 6455) at the URL named by the channel's multivariant playlist (session data "slipstream.tracker"; an
// absolute path is resolved against the playlist's URL, http becoming ws and https wss). The client should offer two
// subprotocols, "slipstream" and its token, as in
//
//	Sec-WebSocket-Protocol: slipstream, eyJhbGciOiJIUzI1NiJ9.eyJzdWIi…
//
// and the tracker selects "slipstream": so it knows whom to refuse before a socket costs it anything, and, unlike in a URL, the
// token is in nobody's access log. A client that offers none brings the token in join; of those the tracker takes few
// at a time who have not joined yet, and fewer when it is attacked.
//
// Every message
// is one text message holding one JSON object (RFC 8259) of at most 16,384 bytes of UTF-8; a larger message closes the
// connection with status 1009, a binary one is malformed. The tracker pings; a client that does not answer is gone.
//
// Every object has a member "type". Names are case-sensitive, unknown members are ignored, a repeated member counts
// with its last value, null is never a value. A message that breaks a rule below is malformed as a whole.
//
// # Values
//
//	integer     a JSON number whose value is an integer from 0 to 2^53 − 1, unless a narrower range is given
//	id          a viewer's name in this room: a 64-bit number, not 0, as 16 lower-case hexadecimal digits. The tracker
//	            draws it at random for each connection; it says nothing about the viewer
//	rendition   1–32 characters of a–z 0–9 _ -   (as in the playlist's path: "360p")
//	token       1–2048 characters of A–Z a–z 0–9 . _ -   (a JWT, see below)
//	code        1–32 characters of a–z 0–9 -, the first a letter
//	text        at most 500 bytes of UTF-8 without control characters (U+0000–001F, 007F–009F, 2028, 2029)
//
// # A conversation
//
//	viewer   {"type":"join","version":1,"role":"viewer","renditions":["360p"]}
//	tracker  {"type":"welcome","id":"00c0ffee00c0ffee","reportMs":5000,"viewers":7,"renewMs":3600000}
//	tracker  {"type":"neighbour","id":"5eed5eed5eed5eed","offer":true}
//	viewer   {"type":"signal","to":"5eed5eed5eed5eed","signal":{"kind":"offer","ufrag":"Ck4x", …}}
//	tracker  {"type":"signal","from":"5eed5eed5eed5eed","signal":{"kind":"answer", …}}
//	         … the data channel opens …
//	viewer   {"type":"report","ready":true,"neighbours":1,"renditions":["360p"], …}
//	tracker  {"type":"duty","duties":[{"rendition":"360p","stripes":12}]}
//	         … a neighbour closes its page …
//	tracker  {"type":"gone","id":"5eed5eed5eed5eed","close":false}
//	viewer   {"type":"leave"}
//
// # From the viewer to the tracker
//
// join, once, first, within 10 seconds:
//
//	version     integer, 1
//	token       token, unless it was offered as a subprotocol
//	role        "viewer" or "seeder"; must not exceed the token's
//	renditions  optional list of at most 8 different renditions that this viewer plays. A seeder plays all
//	noUpload    optional boolean, true: passes nothing on to anybody (no consent, a metered line); absent means false
//	uplinkBps   optional integer: uplink in bits per second as measured before, 0 or absent if unknown
//	nat         optional code: how its address translator maps (RFC 4787 4.1), "endpoint-independent" (or none at all)
//	            or "address-dependent"; absent or any other code means unknown
//
// renew, before the welcome's renewMs are over since the welcome or the last renew; best at a random moment in the second half of
// them, so that not all viewers of a minute fetch tokens in one. Whose visit is not renewed is told "token-expired":
//
//	token       token: a fresh one, with the same channel, role, web origin and certificate
//
// signal, to a viewer that the tracker introduced (anybody else: error "stranger"); to one that has left: ignored:
//
//	to          id
//	signal      a signal, see below
//
// report, every reportMs, and at once when ready or renditions change or a neighbour was dropped. Only ready is
// required; an absent number is 0, an absent list empty. Totals count since playback began, not since the last report:
//
//	ready          boolean: at least one neighbour is connected and the uplink has carried something in time, or
//	               nobody has asked it to, so a duty would be of use to somebody
//	noUpload       as in join; it may change at any time
//	neighbours     integer ≤ 1024: connected neighbours
//	renditions     as in join
//	uplinkBps      measured uplink in bits per second, 0 if unknown
//	httpBytes, p2pBytes, uploadedBytes      totals of media bytes from the CDN, from and to neighbours
//	stalls, stallMs                         totals: interruptions and their length
//	rescues        total: leaves (of 16 KiB) fetched from the CDN although a neighbour was connected and it was no duty
//	latencyMs      how far playback is behind the live edge
//	rtts           optional, at most 16 of {"id": id, "ms": integer ≤ 60,000}: measured round trips to neighbours, each told when it
//	               is first known and again when it has doubled or halved
//	dropped        at most 16 of {"id": id, "reason": code}: neighbours given up since the last report, each told once
//
// The reasons of a drop are "unreachable" (never connected: say so after 15 s), "lost" (the connection died), "full"
// (had more neighbours than wanted), "stalled" (promised and did not send), and those that are evidence against the
// neighbour: "bad-leaf", "liar", "intruder", "greedy", "protocol". The tracker introduces a lost pair again after a
// while, ever more rarely, and so an unreachable one in a small room; in a large one it finds them others. Any other
// reason makes it wait long. A pair with evidence never meets again; evidence of several independent neighbours, who
// must be half of those whom the accused met, ends first introductions and duties, and then the visit ("expelled"), of few in ten
// minutes; against a seeder none counts.
//
// All of this is what viewers say about themselves and others, so all of it is weighed: an uplink counts up to 16
// Mb/s, a viewer's rescues up to a bound and without those who claim the most, and all accusers of a network have one voice.
//
// leave has no members and ends the visit; closing the connection does as well.
//
// # From the tracker to the viewer
//
// welcome, the answer to join:
//
//	id          id: the viewer's own
//	reportMs    integer 500–600,000: the wanted interval of reports
//	viewers     integer: how many are in the room, this one included
//	renewMs     optional integer: in how many milliseconds a renew must come, and after it the next; absent or 0: never
//	iceServers  optional list of at most 4 of {"urls": list of 1–4, "username", "credential"}: STUN and TURN servers to
//	            use, as in the browsers' RTCIceServer; each text is at most 256 characters of A–Z a–z 0–9 + / = . : ? [ ] _ -
//	            and a URL begins with "stun:" or "turn:"
//	relayOnly   optional boolean, true: use and signal relayed candidates only; the tracker takes all others, and related
//	            addresses, out of signals. Viewers of this channel do not learn each other's addresses
//
// neighbour: get to know this viewer. Exactly one of the two is told to make the offer. If both are connected already,
// the one that would offer does nothing; an offer on an existing connection replaces it.
//
//	id          id
//	offer       boolean: you make the offer; otherwise wait for it
//
// Neighbours after the first few may come half a second late, gone and those who make the offer two seconds, but in order with
// everything else: who makes the offer is named before it comes.
//
// gone: this neighbour left the room. A connection that works may go on, unless the tracker says that it shall not:
// then both were told to part, because a growing room puts newcomers between those who know each other. A client closes
// the connection, also one that is not open yet, and does not report that as a drop:
//
//	id          id
//	close       optional boolean, true: close the connection; absent means false
//
// signal, relayed from a neighbour, in the order in which it sent them:
//
//	from        id
//	signal      a signal
//
// duty replaces all earlier duties. A piece i of n (peer/PROTOCOL.md) of segment number s belongs to stripe
// (⌊16·i/n⌋ + s) mod 16; the viewer fetches the pieces of its stripes from the CDN at once, by byte range, and passes them on. No duty message yet
// means no duty; a rendition that is not listed has none:
//
//	duties      list of at most 16 of {"rendition": rendition, "stripes": integer 1–65535}, each rendition once;
//	            bit i of stripes (value 2^i) is stripe i
//
// cap bounds what this viewer uploads to all neighbours together, until the next cap or welcome; before any there is none. What of its own
// settings is lower holds still. A viewer that stalls while its uplink is busy is told to upload less, and by and by more again; and
// an operator may bound what each viewer of a channel uploads:
//
//	uploadBps   integer ≤ 10^12: media bits per second, on average over a second or two; 0: as much as it likes
//
// error, after which the tracker closes the connection with status 1008, or 1001 for "shutting-down":
//
//	code        code, one of the table
//	message     text, not empty: a sentence for a person
//
//	code             meaning                                                   what a client does
//	malformed        a message broke a rule of this page                       stays away, it has a bug
//	version          join named a version that this tracker does not speak     stays away
//	join-first       the first message was not join, or none came in time      stays away
//	token-expired    the token is too old                                      gets a fresh token and joins again
//	token-invalid    not signed by this tracker's secret, or claims missing    gets a fresh token, once
//	token-origin     the token was given to another web origin                 gets a fresh token, once
//	token-channel    this tracker does not serve the token's channel           stays away
//	token-role       the token does not allow this role                        stays away
//	token-used       this token was used before                                gets a fresh token and joins again
//	fingerprint      an offer or answer shows another certificate than the     gets a fresh token and joins again
//	                 token is bound to
//	sharing-off      viewers of this channel do not meet                       stays away, and says nothing
//	quota-full       whose key signed the token has as many viewers as agreed  tries again after minutes
//	room-full        the channel's room has no place left                      tries again after minutes
//	tracker-full     the tracker has no place left                             tries again after minutes
//	rate-limited     too many messages                                         tries again after a minute
//	stranger         a signal to somebody to whom it was not introduced        joins again; it spoke of an earlier visit
//	expelled         several neighbours gave evidence against this viewer      stays away
//	shutting-down    the tracker stops or restarts                             joins again after 1–10 random seconds
//
// Clients treat an unknown code like rate-limited, and a closed connection without one as a tracker that is
// away: they try again after half a second, then twice as long each time, up to 15 s, with jitter (half to one and a half times as
// long). After a visit of more than 15 s they begin with two seconds: everybody else lost the tracker too. Before the WebSocket opens,
// the tracker may refuse with HTTP 401 (a token that was offered is not good: the body is the sentence that join would
// have been told), 403 (web origin not allowed, or banned), 429 (too many connections from this network) or 503.
// Whatever happens, playback goes on over HTTP and with the neighbours there are.
//
// # Tokens
//
// A token is a JWT from the URL in session data "slipstream.token" of the multivariant playlist: POST, with the fingerprint
// of the certificate that all connections of the visit will have as query parameter "fp" ("sha-256 AB:CD:…", as in signals); the
// answer is {"token": token, "expiresMs": Unix milliseconds}. In a page that certificate is
// RTCPeerConnection.generateCertificate's, given to each RTCPeerConnection. A fresh token is fetched for each join and renew.
// Package tracker/token specifies its claims, for those who mint tokens themselves, and says why they are as they are.
//
// # Signals
//
// A signal carries the parts of a session description that differ between connections; both sides rebuild the rest:
//
//	kind          "offer", "answer" or "candidate"
//	ufrag         4–64 characters of A–Z a–z 0–9 + /      (RFC 8839 5.4, ice-char)
//	pwd           22–128 such characters
//	fingerprint   "sha-256 " and 32 upper-case hexadecimal pairs joined by ":"     (RFC 8122 5)
//	setup         offer: "actpass", "active" or "passive"; answer: "active" or "passive"      (RFC 8842)
//	candidates    at most 16 candidates; with an offer or answer optional
//
// An offer and an answer have all members, and the fingerprint is the one that the viewer's token is bound to. A candidate signal brings late candidates (at least one) and the ufrag they
// belong to, and has no pwd, fingerprint or setup. A candidate is RFC 8839's candidate-attribute, at most 256
// characters of A–Z a–z 0–9 space . : + / _ - with single spaces between the fields:
//
//	candidate:<foundation> <component 1–256> <udp|tcp> <priority> <address> <port> typ <host|srflx|prflx|relay> …
//
// No value of a signal can hold a line break, so none can add a line to the session description made of it:
//
//	v=0
//	o=- <any number> 2 IN IP4 127.0.0.1
//	s=-
//	t=0 0
//	a=group:BUNDLE 0
//	m=application 9 UDP/DTLS/SCTP webrtc-datachannel
//	c=IN IP4 0.0.0.0
//	a=ice-ufrag:<ufrag>
//	a=ice-pwd:<pwd>
//	a=ice-options:trickle
//	a=fingerprint:<fingerprint>
//	a=setup:<setup>
//	a=mid:0
//	a=sctp-port:5000
//	a=max-message-size:262144
//	a=<candidate> …
//
// The data channel is negotiated in advance: id 0, ordered, reliable, label "slipstream". What travels on it is
// specified in peer/PROTOCOL.md.
package announce
