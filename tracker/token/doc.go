// Package token mints and checks the tokens that viewers join with. It is a pure core: time is a parameter, and so is what
// makes a token's name unique.
//
// A token is a JWT (RFC 7519), at most announce.MaxToken characters, signed with HS256 (a secret of at least 32 bytes) or
// with EdDSA (Ed25519). Anybody whose key the tracker has may mint them: the origin does, and a customer's own back end
// can, with any JWT library. Header:
//
//	alg   "HS256" or "EdDSA", as the key is; what a token says of it is not believed
//	kid   the key's name in the tracker's configuration, 1–64 characters; absent: the origin's own key
//
// Claims:
//
//	sub   the channel id
//	org   the web origin of the page that the token is for ("https://tv.example.com"), "" for a program
//	role  "viewer" or "seeder"
//	jti   1–64 characters that this key puts into no other token: each is accepted once
//	iat   when it was minted
//	exp   when it ends, at most 120 seconds (MaxLife) after iat
//	cnf   optional (RFC 7800): {"x5t#S256": the SHA-256 of the viewer's DTLS certificate, in base64url without padding}, as
//	      in RFC 8705. That is the fingerprint that its session descriptions show. Without it the token is unbound, which
//	      a key's terms may forbid
//	p2p   optional: "relay", viewers see no address but the relay's; "off", nobody meets anybody. A key's terms may be
//	      stricter, and the stricter counts
//
// Other claims are ignored. How the tracker looks at a token, from cheap to dear, so that rubbish costs it little: length,
// shape, key and algorithm, time, channel, web origin, and only then the signature. All clocks may differ by ClockLeeway.
//
// # What a thief gets
//
// A token is good for one visit, which must begin within 120 seconds of its minting, from a page of its web origin. If it is
// bound, each offer and answer of the visit must show its fingerprint, and whoever answers checks that the other end of the
// connection has the certificate: without the private key, which no page can read, nobody connects. So a bound
// visit is renewed rarely (an hour), and costs a back end next to nothing. An unbound one must be renewed within the token's
// own life, so that a stolen one ends with it, and costs a token a minute: that is the reason to bind them.
//
// To renew, the client sends a fresh token over the open socket. That the tracker itself hands out the next token would
// cost a back end even less, but then whoever once got in would stay in for ever, and the back end could not end a visit:
// with this one it gives no more tokens.
package token
