package link

// Line is one direction of an access line: a rate and the queue before it.
type Line struct {
	BytesPerSec int64 // 0: unlimited, and then nothing ever waits
	QueueUs     int64 // how long a packet may wait before it is sent; more is dropped

	freeUs int64 // when everything accepted so far is through
}

// leastQueue is what even the shortest queue holds: four full packets. A line so
// slow that 200 ms are less than that would otherwise pass nothing that comes in
// twos, such as the flights of a DTLS handshake.
const leastQueue = 4 * 1400

// Send puts a packet into the queue and tells when its last bit has left the line,
// or that the queue was full. Calls come in the order of nowUs.
func (l *Line) Send(nowUs, bytes int64) (endUs int64, ok bool) {
	if l.BytesPerSec == 0 {
		return nowUs, true
	}
	if l.freeUs-nowUs > max(l.QueueUs, l.durationUs(leastQueue)) {
		return 0, false
	}
	l.freeUs = max(l.freeUs, nowUs) + l.durationUs(bytes)
	return l.freeUs, true
}

func (l *Line) durationUs(bytes int64) int64 {
	return (bytes*1_000_000 + l.BytesPerSec - 1) / l.BytesPerSec
}
