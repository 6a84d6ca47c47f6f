// Package rtc receives one publisher's H.264 and Opus over WebRTC and makes pictures and sound of them, on one clock.
//
//	UDP port ── ICE, DTLS, SRTP (pion) ──▶ RTP ──▶ reorder ──▶ assembler ──▶ access units ─┐
//	                                                └────────────────────▶ Opus packets ──▶ alignment ──▶ Receiver
//
// All publishers share one UDP port. An Engine turns an offer into a Connection and an answer that has all of this side's candidates;
// Connection.Receive then hands over what arrives until the publisher has gone. Who publishes and whether it may is not decided here.
//
// What is lost on the way is asked for again (NACK). Packets wait for the one that is missing for a moment (reorder.go); then the picture
// is given up, a key frame is asked for (PLI), and pictures that would only show what is broken are left out until it comes
// (assembler.go, keyframes.go). Picture and sound each count on a clock of their own; RTCP sender reports say how the two belong
// together (alignment.go). Those files are pure: time comes with each packet. B-frames have no place in WebRTC: a picture's
// timestamp is also the order of decoding.
//
// All is bounded: the offer and its candidates (offer.go), packets that wait, the size of a picture. A publisher that floods its
// connection loses packets, its own.
package rtc
