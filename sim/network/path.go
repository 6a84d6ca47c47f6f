package network

import "math"

// Path is what packet loss makes of a data channel, which loses nothing and keeps
// the order: it is slower, and now and then everything waits for a repetition.
//
// The rate is that of additive increase and multiplicative decrease under random
// loss p (Mathis, Semke, Mahdavi and Ott: The Macroscopic Behavior of the TCP
// Congestion Avoidance Algorithm, 1997): MSS/RTT · √(3/2) / √p. SCTP's congestion
// control is TCP's (RFC 9260 section 7.2). FACTS.md has a measurement: pion at 1 %
// and 50 ms carried 0.34 MB/s, the formula says 0.29.
//
// A lost packet that is followed by others is repeated a round trip later (fast
// retransmit, section 7.2.4). One that is not waits for the timer (section 6.3).
type Path struct {
	freeUs    int64 // when the congestion window lets the next byte go
	arrivedUs int64 // the last byte of the message before
}

// Loss is the loss of a path, computed once.
type Loss struct {
	P       float64
	oneSqrt float64
}

// NewLoss is for a share of packets lost.
func NewLoss(p float64) Loss {
	if p <= 0 {
		return Loss{}
	}
	return Loss{P: p, oneSqrt: math.Sqrt(1.5 / p)}
}

// retransmitUs is the smallest retransmission timeout (RTO.Min, RFC 9260 section 16).
const retransmitUs = 1_000_000

// Send tells when a message that leaves the uplink at departsUs has left the send
// buffer, and when all of it is there. lost and late are draws from [0, 1): whether
// a packet is lost, and whether it is one of the last.
func (p *Path) Send(l Loss, departsUs, delayUs, bytes int64, lost, late float64) (sentUs, arrivesUs int64) {
	idle := p.freeUs <= departsUs
	rate := float64(packetPayload) * 1e6 / float64(max(2*delayUs, 1000)) * l.oneSqrt
	p.freeUs = max(departsUs, p.freeUs+int64(float64(bytes)*1e6/rate))
	sentUs, arrivesUs = p.freeUs, p.freeUs+delayUs
	packets := float64((bytes + packetPayload - 1) / packetPayload)
	if lost < 1-math.Pow(1-l.P, packets) {
		if idle && late < min(3/packets, 1) {
			arrivesUs += max(retransmitUs, 4*delayUs)
		} else {
			arrivesUs += 2 * delayUs
		}
	}
	p.arrivedUs = max(p.arrivedUs, arrivesUs)
	return sentUs, p.arrivedUs
}
