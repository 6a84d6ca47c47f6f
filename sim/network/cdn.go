package network

// CDN answers every request, as fast as the one who asks can take it, and counts.
type CDN struct {
	OneWayMs    int64 // from a viewer to the edge
	ServerMs    int64 // from request to first byte at the edge
	BytesPerSec int64 // of one response; 0: as fast as the downlink

	Requests int64 // of all kinds
	Bytes    int64 // of bodies: media, leaf lists and playlists
}

// Response is one body under way.
type Response struct {
	sentUs int64 // when the last byte handed over so far has left the edge
	rate   Link
}

// Open starts a response to a request that is sent at nowMs.
func (c *CDN) Open(nowMs int64) Response {
	c.Requests++
	return Response{
		sentUs: (nowMs + c.OneWayMs + c.ServerMs) * 1000,
		rate:   Link{BytesPerSec: c.BytesPerSec},
	}
}

// Next sends the next bytes of the body and tells when the first and the last of
// them reach the viewer's downlink. The caller asks for the next bytes only when
// those have come through, so several responses share a downlink piece by piece.
func (c *CDN) Next(r *Response, nowMs, bytes int64) (firstUs, lastUs int64) {
	c.Bytes += bytes
	firstUs, r.sentUs = r.rate.Send(max(r.sentUs, (nowMs-c.OneWayMs)*1000), bytes)
	return firstUs + c.OneWayMs*1000, r.sentUs + c.OneWayMs*1000
}
